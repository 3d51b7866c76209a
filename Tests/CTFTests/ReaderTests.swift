import CTF
import Decoding
import Foundation
import Testing
import TraceModel

/// Reading LTTng's traces: counts, fields, threads, order, and what damaged files do.
struct ReaderTests {
    @Test func `every event of an LTTng trace has ftrace's name, and all are there`() throws {
        let machines = try open(Fixtures.path("lttng-plain/host"))
        #expect(machines.count == 1)
        let all = Everything(machines[0])
        #expect(all.events == 1452)
        #expect(
            all.counts == [
                "irq:irq_handler_entry": 64, "irq:irq_handler_exit": 64, "irq:softirq_entry": 148,
                "irq:softirq_exit": 148, "kvm:kvm_apic_accept_irq": 80, "kvm:kvm_entry": 249, "kvm:kvm_exit": 249,
                "kvm:kvm_inj_virq": 81, "sched:sched_migrate_task": 5, "sched:sched_switch": 159,
                "sched:sched_wakeup": 87, "sched:sched_waking": 118,
            ])
        #expect(all.problems == [])
        #expect(all.anomalies == [:])
    }

    @Test func `the environment and the clock tell the machine`() throws {
        let facts = try #require(try open(Fixtures.path("lttng-plain/host")).first).facts
        #expect(facts.hostname == "l1")
        #expect(facts.kernelRelease == "6.1.0-56-amd64")
        #expect(facts.bootID == "fa060715-5f2a-4a18-8fbf-ef5365e73373")
        #expect(facts.clock.frequency == 1_000_000_000)
        #expect(facts.clock.epochOffsetNanoseconds == 1_795_226_276_586_977_150)
        #expect(facts.environment["tracer_name"] == "lttng-modules")
    }

    @Test func `a directory above several machines' traces gives each machine`() throws {
        let machines = try open(Fixtures.path("lttng-plain"))
        #expect(machines.map(\.facts.hostname).sorted() == ["g2", "l1"])
        #expect(machines.reduce(0) { $0 + Everything($1).events } == 1452 + 954)
    }

    @Test func `every field is what babeltrace2 prints`() throws {
        try #require(Fixtures.hasBabeltrace, "babeltrace2 is not installed (Debian: babeltrace2)")
        for name in ["lttng-plain/host", "lttng-plain/g2"] {
            try check(Fixtures.path(name))
        }
    }

    /// Line by line against babeltrace2's text, with its names put into ours.
    private func check(_ path: String) throws {
        let all = Everything(try #require(try open(path).first))
        let printed = try output(["/usr/bin/babeltrace2", "--clock-cycles", path]).split(separator: "\n")
        let ours = all.lines
        try #require(printed.count == ours.count)
        for (line, our) in zip(printed, ours) {
            // [00000000000123] (+…) host name: { cpu_id = 1 }, { field = value, … }
            let cycles = line.dropFirst().prefix { $0 != "]" }
            #expect(UInt64(cycles) == our.ticks.rawValue)
            let parts = line.split(separator: ": { cpu_id = ", maxSplits: 1)
            let name = try #require(parts.first?.split(separator: " ").last)
            let fields = try #require(parts.last?.split(separator: "}, ", maxSplits: 1).last)
            #expect(inFtraceWords(String(name), String(fields)) == our.text)
        }
    }

    private func inFtraceWords(_ name: String, _ fields: String) -> String {
        var fields = fields
        for (lttng, ftrace) in [
            ("parent_pid", "parent_tgid"), ("child_pid", "child_tgid"), ("_tid", "_pid"), (" tid", " pid"),
        ] {
            fields = fields.replacing(lttng, with: ftrace)
        }
        fields = fields.replacing(/0x([0-9A-F]+)/) { "\(UInt64($0.output.1, radix: 16) ?? 0)" }
        // The probe of this version writes an address there; see EventPlan.impossibleVCPU.
        if name == "kvm_x86_entry" { fields = "{ vcpu_id = \(UInt32.max) }" }
        let plain = name.replacing("kvm_x86_", with: "kvm_").replacing("irq_softirq_", with: "softirq_")
            .replacing("timer_hrtimer_", with: "hrtimer_")
        return "\(plain) \(fields)"
    }

    @Test func `formats are texts that the kernel's format reader understands`() throws {
        for machine in try open(Fixtures.path("lttng-plain")) {
            for format in machine.formats {
                let parsed = try EventFormatParser.parse(format.text, system: format.system)
                #expect(parsed == format)
            }
        }
    }

    @Test func `each event carries the thread that its CPU's switches tell, backwards at the start`() throws {
        let all = Everything(try #require(try open(Fixtures.path("lttng-plain/host")).first))
        let switchType = try #require(all.formats.firstIndex { $0.name == "sched_switch" })
        let format = all.formats[switchType]
        let previous = try #require(IntegerField("prev_pid", of: format, byteOrder: .native))
        let next = try #require(IntegerField("next_pid", of: format, byteOrder: .native))
        var current: Int32?
        for batch in all.batches {
            for header in batch.headers {
                #expect(header.pid >= 0)
                if let current { #expect(header.pid == current) }
                current = header.pid
                guard Int(header.typeIndex) == switchType else { continue }
                #expect(previous.value(in: batch.records.span.bytes, of: header) == Int64(header.pid))
                current = next.value(in: batch.records.span.bytes, of: header).map(Int32.init)
            }
        }
        // The vCPU's thread, by the lab's own notes.
        #expect(all.batches.first?.headers.first?.pid == 187)
    }

    @Test func `after a watermark nothing earlier comes`() throws {
        for machine in try open(Fixtures.path("lttng-plain")) {
            var promised = TraceTicks(0)
            while let step = machine.next() {
                for batch in step.batches { for header in batch.headers { #expect(header.ticks >= promised) } }
                promised = max(promised, step.watermark ?? promised)
            }
            #expect(promised > TraceTicks(0))
        }
    }

    // MARK: The whole recordings

    @Test(.enabled(if: Fixtures.lab != nil, "set TANDEM_LAB_DATA to the lab's recordings"))
    func `the lab's LTTng recordings have exactly babeltrace2's counts`() throws {
        let lab = try #require(Fixtures.lab)
        for (name, count) in [("host", 50_192), ("g1", 20_578), ("g2", 28_069)] {
            let all = Everything(try #require(try open("\(lab)/lttng-plain/\(name)").first))
            #expect(all.events == count)
            #expect(all.losses.isEmpty)
        }
    }

    @Test(.enabled(if: Fixtures.lab != nil, "set TANDEM_LAB_DATA to the lab's recordings"))
    func `every field of the lab's recordings is what babeltrace2 prints`() throws {
        try #require(Fixtures.hasBabeltrace, "babeltrace2 is not installed (Debian: babeltrace2)")
        let lab = try #require(Fixtures.lab)
        for name in ["host", "g1", "g2"] { try check("\(lab)/lttng-plain/\(name)") }
    }
}
