import CTF
import Foundation
import Testing
import TraceModel

/// CTF as perf converts it, in both byte orders.
struct PerfTests {
    private let switches = [
        MadeTrace.Switch(time: 1000, previous: ("swapper/3", 0, 0), next: ("qemu", 4711)),
        MadeTrace.Switch(time: 5000, previous: ("qemu", 4711, 0x1_0000_0001), next: ("swapper/3", 0)),
    ]

    @Test(arguments: [ByteOrder.little, .big])
    func `names with a system, fields and threads come out of perf's traces, from machines of both byte orders`(
        order: ByteOrder
    ) throws {
        let scratch = try Scratch()
        try MadeTrace(order: order).write(
            switches, exits: [(time: 2000, thread: 4711, reason: 0xdead_beef)], to: "\(scratch.path)/perf")
        let reader = try #require(try open("\(scratch.path)/perf").first)
        #expect(reader.facts.hostname == "made")
        #expect(reader.facts.kernelRelease == "6.1.0")
        let all = Everything(reader)
        #expect(all.problems == [])
        #expect(all.counts == ["sched:sched_switch": 2, "kvm:kvm_exit": 1])
        #expect(
            all.lines.map(\.text) == [
                "sched_switch { prev_comm = \"swapper/3\", prev_pid = 0, prev_prio = 120, prev_state = 0, "
                    + "next_comm = \"qemu\", next_pid = 4711, next_prio = 120 }",
                "kvm_exit { exit_reason = 3735928559, guest_rip = 65520, isa = 1 }",
                "sched_switch { prev_comm = \"qemu\", prev_pid = 4711, prev_prio = 120, prev_state = 4294967297, "
                    + "next_comm = \"swapper/3\", next_pid = 0, next_prio = 120 }",
            ])
        #expect(all.lines.map(\.ticks.rawValue) == [1000, 2000, 5000])
        #expect(all.batches.flatMap(\.headers).map(\.pid) == [0, 4711, 4711])
        #expect(Set(all.batches.map(\.cpu)) == [3])
    }

    @Test(arguments: [ByteOrder.little, .big])
    func `babeltrace2 reads the made traces without a word`(order: ByteOrder) throws {
        try #require(Fixtures.hasBabeltrace, "babeltrace2 is not installed (Debian: babeltrace2)")
        let scratch = try Scratch()
        try MadeTrace(order: order).write(switches, exits: [], to: "\(scratch.path)/perf")
        let printed = try output(["/bin/sh", "-c", "/usr/bin/babeltrace2 '\(scratch.path)/perf' 2>&1"])
        #expect(printed.split(separator: "\n").count == 2)
        #expect(printed.contains("next_pid = 4711"))
    }

    private static var canRecord: Bool {
        getuid() == 0 && FileManager.default.isExecutableFile(atPath: "/usr/bin/perf") && Fixtures.hasBabeltrace
    }

    /// What perf records of this machine in a fifth of a second, line by line.
    @Test(.enabled(if: canRecord, "needs root, perf and babeltrace2"))
    func `what perf itself converts has babeltrace2's counts, and the threads that perf tells`() throws {
        let scratch = try Scratch()
        let data = "\(scratch.path)/perf.data"
        let events = "sched:sched_switch,sched:sched_waking"
        try #require(try Child.succeeds("perf", "record", "-q", "-a", "-e", events, "-o", data, "sleep", "0.2"))
        let ctf = "\(scratch.path)/ctf"
        _ = try Child.succeeds("perf", "data", "convert", "-i", data, "--to-ctf=\(ctf)")
        try #require(TraceDirectories.isTrace(ctf), "this perf does not convert to CTF")
        let printed = try output(["/usr/bin/babeltrace2", ctf]).split(separator: "\n")
        let all = Everything(try #require(try open(ctf).first))
        #expect(all.problems == [])
        #expect(all.events == printed.count)
        #expect(Set(all.counts.keys).isSubset(of: ["sched:sched_switch", "sched:sched_waking"]))
        let switches = printed.filter { $0.contains(" sched:sched_switch: ") }
        #expect(all.counts["sched:sched_switch"] == (switches.isEmpty ? nil : switches.count))
        let previous = try #require(all.formats.first { $0.name == "sched_switch" })
        let field = try #require(IntegerField("prev_pid", of: previous, byteOrder: .native))
        for batch in all.batches {
            for header in batch.headers where all.formats[Int(header.typeIndex)].name == "sched_switch" {
                #expect(field.value(in: batch.records.span.bytes, of: header) == Int64(header.pid))
            }
        }
    }
}
