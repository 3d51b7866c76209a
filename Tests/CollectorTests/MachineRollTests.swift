import Collector
import Foundation
import Testing
import TraceModel

/// Whether machines are still there, by this machine's own /proc.
struct MachineRollTests {
    private func sleeper() throws -> Process {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sleep")
        process.arguments = ["60"]
        process.standardInput = FileHandle.nullDevice
        try process.run()
        return process
    }

    @Test func `a process that ends is told once, and one that goes on is not`() throws {
        let (first, second) = (try sleeper(), try sleeper())
        defer { kill(second.processIdentifier, SIGKILL) }
        var roll = MachineRoll()
        for process in [first, second] {
            roll.add(VMFacts(vmmPID: process.processIdentifier, vmm: "qemu", name: "web"))
        }
        #expect(roll.takeEnded() == [])
        kill(first.processIdentifier, SIGKILL)
        first.waitUntilExit()
        #expect(roll.takeEnded() == [first.processIdentifier])
        #expect(roll.takeEnded() == [])
    }

    @Test func `whoever ended before the roll began to look is told at the first look`() throws {
        let process = try sleeper()
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        var roll = MachineRoll()
        roll.add(VMFacts(vmmPID: process.processIdentifier, vmm: "qemu", name: "web"))
        #expect(roll.takeEnded() == [process.processIdentifier])
    }
}
