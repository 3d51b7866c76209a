import Foundation
import Inventory
import Testing
import TraceModel

func makePipe(_ path: String) -> Bool { mkfifo(path, 0o600) == 0 }

/// A program of this host that ends with the value's life, by its own number.
private final class Started {
    let process = Process()

    init(_ program: String, _ arguments: [String]) throws {
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        process.standardInput = FileHandle.nullDevice
        try process.run()
    }

    deinit {
        // Not terminate(): it inherits the signal mask of a pool thread, which blocks SIGTERM.
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }
}

/// On this machine's own /proc.
struct RealProcTests {
    private let proc = ProcFS()

    @Test
    func `a sleep that calls itself QEMU is no virtual machine`() throws {
        let sleep = try Started("/bin/bash", ["-c", "exec -a qemu-system-x86_64 sleep 30"])
        let pid = sleep.process.processIdentifier
        let renamed = Data("qemu-system-x86_64\0".utf8)
        var cmdline = Data()
        for _ in 0..<200 where !cmdline.starts(with: renamed) {
            usleep(10_000)
            cmdline = (try? Data(contentsOf: URL(fileURLWithPath: "/proc/\(pid)/cmdline"))) ?? Data()
        }
        #expect(cmdline.starts(with: renamed), "bash did not rename it")
        #expect(!proc.virtualMachines().contains { $0.vmmPID == pid })
        #expect(proc.facts(ofThread: pid) == nil)
        #expect(proc.isKernelThread(pid) == false)
    }

    @Test
    func `the kernel's threads are told from others`() throws {
        #expect(proc.isKernelThread(getpid()) == false)
        #expect(proc.isKernelThread(Int32.max) == nil)
        // In a container's own process namespace there is none.
        let comm = try? String(contentsOfFile: "/proc/2/comm", encoding: .utf8)
        if comm == "kthreadd\n" { #expect(proc.isKernelThread(2) == true) }
    }

    @Test(.enabled(if: access("/dev/kvm", R_OK | W_OK) == 0, "needs /dev/kvm"))
    func `whoever has a KVM vCPU has a virtual machine`() throws {
        #expect(proc.facts(ofThread: getpid()) == nil)
        let kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC)
        defer { close(kvm) }
        // KVM_CREATE_VM and KVM_CREATE_VCPU, include/uapi/linux/kvm.h.
        let machine = ioctl(kvm, 0xae01, 0)
        try #require(machine >= 0)
        defer { close(machine) }
        #expect(proc.facts(ofThread: getpid()) == nil, "a machine without a vCPU is none yet")
        let vcpu = ioctl(machine, 0xae41, 0)
        try #require(vcpu >= 0)
        defer { close(vcpu) }
        let facts = try #require(proc.facts(ofThread: getpid()))
        #expect(facts.vmmPID == getpid())
        #expect(facts.name == "vm-\(getpid())")
        #expect(!facts.isEmulated)
    }

    private static let qemu = "/usr/bin/qemu-system-x86_64"
    private static let idle = ["-smp", "2", "-m", "32", "-display", "none", "-nodefaults", "-name", "real"]

    /// Looks until the machine is as `isExpected` wants it, at most ten seconds.
    private func check(_ machine: Started, until isExpected: (VMFacts) -> Bool) {
        let pid = machine.process.processIdentifier
        var facts: VMFacts?
        for _ in 0..<500 {
            facts = proc.virtualMachines().first { $0.vmmPID == pid }
            if let facts, isExpected(facts) { return }
            usleep(20_000)
        }
        Issue.record("not as expected: \(String(describing: facts))")
    }

    @Test(
        .enabled(if: access(qemu, X_OK) == 0, "needs QEMU"),
        arguments: [["tcg,thread=multi", "on"], ["tcg,thread=single", "on"], ["tcg", "off"]])
    func `a real translated machine is found, with named threads and without`(options: [String]) throws {
        let machine = try Started(
            Self.qemu, Self.idle.dropLast() + ["real,debug-threads=\(options[1])", "-accel", options[0]])
        check(machine) {
            $0.isEmulated && $0.name == "real" && (options[1] == "off" || !$0.vcpuThreads.isEmpty)
        }
    }

    @Test(.enabled(if: access(qemu, X_OK) == 0 && access("/dev/kvm", R_OK | W_OK) == 0, "needs QEMU and /dev/kvm"))
    func `a real KVM machine without thread names shows the vCPU that waits`() throws {
        let machine = try Started(Self.qemu, Self.idle + ["-accel", "kvm"])
        // The second vCPU waits in KVM_RUN until the first, in the firmware, starts it, and halts afterwards.
        check(machine) { !$0.isEmulated && $0.vcpuThreads.contains { $0.vcpu == 1 } }
    }

    @Test
    func `processes that come and go do not disturb`() throws {
        let churn = try Started("/bin/bash", ["-c", "for ((i = 0; i < 10000; i++)); do /bin/true; done"])
        for _ in 0..<50 { #expect(!proc.survey().machines.contains { $0.vmmPID == churn.process.processIdentifier }) }
    }
}
