import Inventory
import Testing
import TraceModel

struct TaskStatTests {
    /// Read on Linux 6.18; the name and the guest time are ours.
    private func line(_ comm: String) -> [UInt8] {
        Array(
            """
            6943 (\(comm)) R 6935 6935 3363 0 -1 4194304 89 180 0 2 0 200 0 0 20 0 2 0 163687 2613248 381 \
            18446744073709551615 94439868981248 94439868982437 140727607374992 0 0 0 0 0 0 0 0 0 17 0 0 0 0 77 0 \
            94439868992976 94439868993648 94440881725440 140727607376599 140727607376612 140727607376612 140727607377899 0

            """.utf8)
    }

    @Test(arguments: ["kvmfd", "a b", ") R 1 (", "))((", "CPU 0/KVM", "", "x\ny"])
    func `a name with spaces and parentheses hides no field`(comm: String) throws {
        let stat = try #require(TaskStat(line(comm)))
        #expect(stat.comm.text == comm.sanitized)
        #expect(stat.state == UInt8(ascii: "R"))
        #expect(stat.flags == 4_194_304)
        #expect(stat.startTicks == 163687)
        #expect(stat.guestTicks == 77)
        #expect(!stat.isKernelThread)
    }

    @Test
    func `a text cut or changed anywhere never traps`() {
        let text = line("qemu-system-x86")
        for count in 0..<text.count { _ = TaskStat(Array(text[..<count])) }
        #expect(TaskStat(Array("1 )(".utf8)) == nil)
        #expect(TaskStat(Array("1 (a) S 1 1 1 0 -1 99999999999999999999999".utf8)) == nil)
        let seed = UInt64.random(in: .min ... .max)
        var random = SplitMix(state: seed)
        var readable = 0
        for _ in 0..<20_000 {
            var changed = text
            changed[Int(random.next() % UInt64(text.count))] = UInt8(truncatingIfNeeded: random.next())
            if TaskStat(changed) != nil { readable += 1 }
        }
        #expect(readable > 0 && readable < 20_000, "seed \(seed)")
    }
}
