import CTF
import Collector
import Foundation
import SessionLog
import Testing
import TraceModel

/// What Trace Compass's kernel and virtual machine analyses ask of a trace, asserted on exports as babeltrace2 sees them. The
/// rules and where they come from: the list in `CTF.docc/TraceCompass.md`, in this order.
struct TraceCompassTests {
    private struct Exported {
        let scratch: Scratch
        let metadata: [String: String]

        init() throws {
            scratch = try Scratch()
            let paths = SessionPaths(
                path: Fixtures.path("lttng-plain/host"),
                guests: [.init(name: "web", path: Fixtures.path("lttng-plain/g2"))])
            try export({ try CTFInput(paths) }, into: "\(scratch.path)/out")
            var metadata: [String: String] = [:]
            for name in ["host", "web"] {
                metadata[name] = try String(contentsOfFile: "\(scratch.path)/out/\(name)/metadata", encoding: .utf8)
            }
            self.metadata = metadata
        }

        /// Payload fields of an event, as declared.
        func fields(_ event: String, of machine: String) -> Set<String> {
            guard let text = metadata[machine], let start = text.range(of: "name = \"\(event)\";") else { return [] }
            let rest = text[start.upperBound...]
            let end = rest.range(of: "\n};")?.lowerBound ?? rest.endIndex
            // Written with an underscore before each name, as CTF 1.8 recommends; readers take it off.
            let names = rest[..<end].matches(of: /_([a-z][a-z_]*);/).map { String($0.output.1) }
            return Set(names)
        }

        func value(_ name: String, of machine: String) -> String? {
            metadata[machine]?.matches(of: /([a-z_]+) = "?([^";\n]*)"?;/).first { $0.output.1 == name }
                .map { String($0.output.2) }
        }
    }

    @Test func `a trace says that it is a kernel's, and LTTng's`() throws {
        let exported = try Exported()
        for machine in ["host", "web"] {
            #expect(exported.value("domain", of: machine) == "kernel")
            #expect(exported.value("tracer_name", of: machine) == "lttng-modules")
            #expect(exported.value("tracer_major", of: machine) == "2")
            #expect(exported.value("tracer_minor", of: machine).flatMap { Int($0) } ?? 0 >= 9)
            #expect(exported.value("hostname", of: machine)?.isEmpty == false)
        }
    }

    @Test func `the kernel analysis finds its events and their fields`() throws {
        let exported = try Exported()
        let wanted: [String: Set<String>] = [
            "sched_switch": [
                "prev_comm", "prev_tid", "prev_prio", "prev_state", "next_comm", "next_tid", "next_prio",
            ],
            "sched_waking": ["comm", "tid", "prio", "target_cpu"],
            "sched_wakeup": ["comm", "tid", "prio", "target_cpu"],
            "sched_migrate_task": ["comm", "tid", "prio", "orig_cpu", "dest_cpu"],
            "irq_handler_entry": ["irq", "name"], "irq_handler_exit": ["irq", "ret"],
            "irq_softirq_entry": ["vec"], "irq_softirq_exit": ["vec"],
        ]
        for (event, fields) in wanted {
            #expect(exported.fields(event, of: "host").isSuperset(of: fields), "\(event)")
        }
    }

    @Test func `the virtual machine analysis finds entries and exits`() throws {
        let exported = try Exported()
        #expect(exported.fields("kvm_x86_entry", of: "host").contains("vcpu_id"))
        #expect(exported.fields("kvm_x86_exit", of: "host").contains("exit_reason"))
        // A guest that had them would be taken for a host.
        #expect(exported.metadata["web"]?.contains("kvm_x86_entry") == false)
    }

    @Test func `machines are told apart by the clock's uuid, and lie on one time line`() throws {
        let exported = try Exported()
        let machines = try CTFExperimentFacts(exported.scratch.path + "/out")
        #expect(Set(machines.bootIDs).count == 2)
        #expect(machines.bootIDs.allSatisfy { !$0.isEmpty })
        #expect(Set(machines.epochs).count == 1)
        #expect(machines.epochs.first.flatMap(\.self) ?? 0 > 1_000_000_000_000_000_000)
    }

    private struct CTFExperimentFacts {
        let bootIDs: [String]
        let epochs: [Int64?]

        init(_ path: String) throws {
            let facts = try open(path).map(\.facts)
            bootIDs = facts.map(\.bootID)
            epochs = facts.map(\.clock.epochOffsetNanoseconds)
        }
    }

    @Test func `every packet tells its CPU, and events ascend within a file`() throws {
        let exported = try Exported()
        for machine in ["host", "web"] {
            let text = try #require(exported.metadata[machine])
            #expect(text.contains("cpu_id;"))
            #expect(text.contains("timestamp_begin"))
            #expect(text.contains("timestamp_end"))
            let all = Everything(try #require(try open("\(exported.scratch.path)/out/\(machine)").first))
            #expect(all.anomalies == [:], "a step back within a stream")
        }
    }

    @Test func `lost events are counted in the packets`() throws {
        let exported = try Exported()
        for machine in ["host", "web"] {
            #expect(exported.metadata[machine]?.contains("events_discarded;") == true)
        }
    }

    /// Two hypercalls of a guest: `vmsync_gh_guest` keeps its name and the fields by which the analysis pairs it with the host's.
    @Test func `a guest that made vmsync's hypercalls is one`() throws {
        let fields = [
            EventField(name: "cnt", type: "unsigned int", offset: 8, size: 4, isSigned: false, kind: .integer),
            EventField(name: "vm_uid", type: "u64", offset: 16, size: 8, isSigned: false, kind: .integer),
        ]
        let format = EventFormat(kernelID: 40, system: "vmsync", name: "vmsync_gh_guest", fields: fields, text: "")
        let machine = ExportedMachine(
            name: "web", hostname: "web", bootID: "01234567-89ab-cdef-0123-456789abcdef", kernelRelease: "6.1",
            isHost: false, formats: FormatTable(byteOrder: .native, longSize: 8, formats: [format]))
        var batch = EventBatch(cpu: 0)
        for count in [7, 8] as [UInt8] {
            batch.headers.append(
                EventHeader(
                    ticks: TraceTicks(UInt64(count)), offset: UInt32(batch.records.count), length: 24, pid: 1,
                    typeIndex: 0, flags: 0, preemptCount: 0))
            batch.records += [40, 0, 0, 0, 1, 0, 0, 0, count, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0]
        }
        let scratch = try Scratch()
        let writer = try CTFWriter(
            directory: "\(scratch.path)/out", machines: [machine],
            clock: ExportedClock(hostBootID: machine.bootID, epochOffsetNanoseconds: 1_700_000_000_000_000_000))
        let times = batch.headers.map { HostTime(nanoseconds: Int64($0.ticks.rawValue)) }
        try writer.append(batch, times: times, range: 0..<2, boundNanoseconds: 0, machine: 0)
        try writer.finish()
        let metadata = try String(contentsOfFile: "\(scratch.path)/out/web/metadata", encoding: .utf8)
        #expect(metadata.contains("name = \"vmsync_gh_guest\";"))
        let all = Everything(try #require(try open("\(scratch.path)/out").first))
        #expect(all.lines.map(\.text) == [7, 8].map { "vmsync_gh_guest { cnt = \($0), vm_uid = 9 }" })
    }
}
