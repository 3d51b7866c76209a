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

        init(scratch: Scratch, metadata: [String: String]) {
            self.scratch = scratch
            self.metadata = metadata
        }

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

    /// The events that the fused view and the virtual machine analysis are made of (with the fields that they read), out of a
    /// recording by ftrace: the host's by default, the guests' with `-e sched -e irq`.
    @Test(
        arguments: [
            (
                "host",
                [
                    "sched_switch": [
                        "prev_comm", "prev_tid", "prev_prio", "prev_state", "next_comm", "next_tid", "next_prio",
                    ],
                    "sched_waking": ["comm", "tid", "prio", "target_cpu"],
                    "sched_wakeup": ["comm", "tid", "prio", "target_cpu"],
                    "sched_migrate_task": ["comm", "tid", "prio", "orig_cpu", "dest_cpu"],
                    "sched_process_exit": ["comm", "tid", "prio"], "kvm_x86_entry": ["vcpu_id"],
                    "kvm_x86_exit": ["exit_reason", "vcpu_id"],
                ]
            ),
            (
                "g1",
                [
                    "sched_switch": [
                        "prev_comm", "prev_tid", "prev_prio", "prev_state", "next_comm", "next_tid", "next_prio",
                    ],
                    "sched_waking": ["comm", "tid", "prio", "target_cpu"],
                    "sched_wakeup": ["comm", "tid", "prio", "target_cpu"],
                    "sched_wakeup_new": ["comm", "tid", "prio", "target_cpu"],
                    "sched_process_fork": ["parent_comm", "parent_tid", "child_comm", "child_tid"],
                    "sched_process_exit": ["comm", "tid", "prio"], "sched_process_free": ["comm", "tid", "prio"],
                    "irq_handler_entry": ["irq", "name"], "irq_handler_exit": ["irq", "ret"],
                    "irq_softirq_raise": ["vec"], "irq_softirq_entry": ["vec"], "irq_softirq_exit": ["vec"],
                ]
            ),
        ] as [(String, [String: Set<String>])])
    func `an export of a recording by ftrace has all that is read`(
        machine: String, wanted: [String: Set<String>]
    ) throws {
        let scratch = try Scratch()
        try export({ try recording("two-guests") }, into: "\(scratch.path)/out")
        let metadata = try String(contentsOfFile: "\(scratch.path)/out/\(machine)/metadata", encoding: .utf8)
        let exported = Exported(scratch: scratch, metadata: [machine: metadata])
        for (event, fields) in wanted {
            #expect(exported.fields(event, of: machine).isSuperset(of: fields), "\(event)")
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

    /// Two hypercalls: both sides keep their names and the fields by which the analysis pairs them.
    @Test func `a guest that made vmsync's hypercalls is one, and the host's side tells whose it is`() throws {
        func calls(_ name: String) -> [MadeMachine.Event] {
            [7, 8].map { count in
                MadeMachine.Event(
                    time: count, name: "vmsync:\(name)", fields: [("cnt", .number(count)), ("vm_uid", .number(9))])
            }
        }
        let scratch = try Scratch()
        try MadeMachine.write(
            [
                MadeMachine(name: "host", isHost: true, events: calls("vmsync_gh_host")),
                MadeMachine(name: "web", isHost: false, events: calls("vmsync_gh_guest")),
            ], into: "\(scratch.path)/out")
        for (machine, name) in [("host", "vmsync_gh_host"), ("web", "vmsync_gh_guest")] {
            let path = "\(scratch.path)/out/\(machine)"
            let metadata = try String(contentsOfFile: "\(path)/metadata", encoding: .utf8)
            #expect(metadata.contains("name = \"\(name)\";"))
            let all = Everything(try #require(try open(path).first))
            #expect(all.lines.map(\.text) == [7, 8].map { "\(name) { cnt = \($0), vm_uid = 9 }" })
        }
    }
}
