package import TraceModel

/// Everything in a snapshot as comma-separated tables, one kind of row each: what has no place in the one row per vCPU of
/// `CSVView`.
///
/// The same promises hold: totals since the start of the window, an empty field is unknown, columns are only added at the
/// end. Each row begins with the end of its window and says to whom it belongs, so that rows of many snapshots and
/// sessions can lie in one file.
package enum CSVTable: String, CaseIterable, Sendable {
    case vcpus
    case culprits
    case exits
    case wakeups
    case histograms
    case tasks
    case robbed
    case matrix
    case sources
    case checks
    case cpus

    /// Column names, ended by a newline.
    package var header: String {
        switch self {
        case .vcpus: return CSVView.header
        case .culprits:
            return heading("vm", "vcpu", "kind", "name", "tid", "culprit_vm", "culprit_vcpu", "count", "time_ns")
        case .exits:
            return heading(
                "vm", "vcpu", "reason", "count", "time_ns", "handled", "p50_ns", "p99_ns", "p99_9_ns", "max_ns",
                "max_at_ns")
        case .wakeups: return heading("vm", "vcpu", "reason", "count", "halted_ns")
        case .histograms: return heading("vm", "vcpu", "of", "reason", "from_ns", "below_ns", "count")
        case .tasks:
            let states = VCPUState.allCases.map { "\($0.label)_ns" }
            return CSV.line(
                ["window_end_ns", "vm", "tid", "name", "vcpu", "current", "believed_ns", "robbed_ns"] + states + [
                    "switches", "migrations", "worst_robbed_ns", "worst_robbed_at_ns", "uncertain_ns", "lower_bounds",
                ])
        case .robbed: return heading("vm", "tid", "name", "reason", "time_ns")
        case .matrix: return heading("vm", "taker_kind", "taker", "count", "time_ns")
        case .sources:
            return heading(
                "source", "kind", "state", "endpoint", "cpus", "events", "bytes", "lost_ring_buffer", "lost_agent",
                "malformed", "losses_of_unknown_size", "late_events", "producer_cpu_ns", "clock", "clock_quality",
                "clock_offset_ns", "clock_drift_ppm", "clock_bound_ns", "clock_epoch", "clock_containment",
                "clock_estimators")
        case .checks: return heading("check", "checked", "violations", "excused")
        case .cpus: return heading("cpu", "task", "tid", "busy_ns", "unknown_ns", "switches", "vm", "vcpu")
        }
    }

    /// The snapshot's rows, each ended by a newline.
    package func rows(_ snapshot: Snapshot) -> String {
        if self == .vcpus { return CSVView.rows(snapshot) }
        let end = "\(snapshot.window.endNanoseconds)"
        return fields(snapshot).map { row in CSV.line([end] + row.map { $0 ?? "" }) }.joined()
    }

    private func heading(_ names: String...) -> String { CSV.line(["window_end_ns"] + names) }

    /// The fields behind the window's end.
    private func fields(_ snapshot: Snapshot) -> [[String?]] {
        switch self {
        case .vcpus: []
        case .culprits: CSVTable.perVCPU(snapshot) { CSVTable.culprits($0) }
        case .exits: CSVTable.perVCPU(snapshot) { CSVTable.exits($0) }
        case .wakeups:
            CSVTable.perVCPU(snapshot) { vcpu in
                vcpu.wakeUpReasons.map { [$0.reason.rawValue, "\($0.count)", "\($0.haltedNanoseconds)"] }
            }
        case .histograms: CSVTable.perVCPU(snapshot) { CSVTable.histograms($0) }
        case .tasks: snapshot.guests.flatMap { guest in guest.tasks.map { CSVTable.task($0, of: guest) } }
        case .robbed:
            snapshot.guests.flatMap { guest in
                guest.tasks.flatMap { task in
                    task.robbedBy.map { [guest.name, "\(task.tid)", task.name, $0.reason, "\($0.nanoseconds)"] }
                }
            }
        case .matrix: snapshot.guests.flatMap { CSVTable.matrix($0, in: snapshot) }
        case .sources: snapshot.sources.enumerated().map { CSVTable.source($1, at: $0, in: snapshot) }
        case .checks:
            snapshot.health.checks.map {
                [$0.name.rawValue, "\($0.checked)", "\($0.violations)", "\($0.excused)"]
            }
        case .cpus: snapshot.host.cpus.map { CSVTable.cpu($0, in: snapshot) }
        }
    }

    private static func perVCPU(
        _ snapshot: Snapshot, _ rows: (Snapshot.VCPU) -> [[String?]]
    ) -> [[String?]] {
        snapshot.guests.flatMap { guest in
            guest.vcpus.flatMap { vcpu in
                rows(vcpu).map { [guest.name, vcpu.vcpu.map { "\($0)" }] + $0 }
            }
        }
    }

    private static func culprits(_ vcpu: Snapshot.VCPU) -> [[String?]] {
        vcpu.culprits.map {
            [
                $0.kind.rawValue, $0.name, "\($0.tid)", $0.guest, $0.vcpu.map { "\($0)" }, "\($0.count)",
                "\($0.nanoseconds)",
            ]
        }
    }

    private static func exits(_ vcpu: Snapshot.VCPU) -> [[String?]] {
        vcpu.exits.map { exit in
            let handling = exit.handling
            return [
                exit.reason, "\(exit.count)", "\(exit.nanoseconds)", handling.map { "\($0.count)" },
                handling.map { "\($0.p50Nanoseconds)" }, handling.map { "\($0.p99Nanoseconds)" },
                handling.map { "\($0.p999Nanoseconds)" }, handling.map { "\($0.maximumNanoseconds)" },
                handling.map { "\($0.maximumAtNanoseconds)" },
            ]
        }
    }

    /// Only steps that hold something.
    private static func histograms(_ vcpu: Snapshot.VCPU) -> [[String?]] {
        let all: [(of: String, reason: String?, durations: Snapshot.Durations?)] =
            [("ready", nil, vcpu.ready), ("wakeup_latency", nil, vcpu.wakeUpLatency)]
            + vcpu.exits.map { ("exit", $0.reason, $0.handling) }
        return all.flatMap { entry in
            (entry.durations?.countsByPowerOfTwo ?? []).prefix(62).enumerated().filter { $0.element > 0 }.map {
                let from = $0.offset == 0 ? 0 : Int64(1) << Int64($0.offset)
                return [entry.of, entry.reason, "\(from)", "\(Int64(2) << Int64($0.offset))", "\($0.element)"]
            }
        }
    }

    private static func task(_ task: Snapshot.GuestTask, of guest: Snapshot.Guest) -> [String?] {
        [
            guest.name, "\(task.tid)", task.name, task.vcpu.map { "\($0)" }, task.isCurrent ? "1" : "0",
            "\(task.believedNanoseconds)", "\(task.robbedNanoseconds)",
        ] + VCPUState.allCases.map { "\(task.times[$0])" } + [
            "\(task.switches)", "\(task.migrations)", "\(task.worstRobbedNanoseconds)",
            "\(task.worstRobbedAtNanoseconds)", "\(task.uncertainNanoseconds)", guest.hasTaskGaps ? "1" : "0",
        ]
    }

    private static func matrix(_ guest: Snapshot.Guest, in snapshot: Snapshot) -> [[String?]] {
        guest.takenBy.map { cell in
            let taker = cell.guest.flatMap { snapshot.guests.indices.contains($0) ? snapshot.guests[$0].name : nil }
            return [guest.name, cell.kind.rawValue, taker, "\(cell.count)", "\(cell.nanoseconds)"]
        }
    }

    private static func source(_ source: Snapshot.Source, at index: Int, in snapshot: Snapshot) -> [String?] {
        let clock = snapshot.guests.first { $0.source == index }?.clock(in: snapshot) ?? source.clock
        let isKnown = clock.map { $0.quality != "absent" } ?? false
        return [
            source.name, source.kind, source.state, source.endpoint, "\(source.cpus)", "\(source.events)",
            "\(source.bytes)", "\(source.lost.ringBuffer)", "\(source.lost.agent)", "\(source.lost.malformed)",
            "\(source.lost.ofUnknownSize)", "\(source.lateEvents)", "\(source.producerCPUNanoseconds)",
            clock?.clock, clock?.quality, isKnown ? clock.map { "\($0.offsetNanoseconds)" } : nil,
            isKnown ? clock.map { "\($0.driftPPM)" } : nil,
            clock.flatMap { $0.isBounded ? "\($0.boundNanoseconds)" : nil }, clock.map { "\($0.epoch)" },
            clock?.containment.map { "\($0)" }, clock?.estimators.joined(separator: " "),
        ]
    }

    private static func cpu(_ cpu: Snapshot.CPU, in snapshot: Snapshot) -> [String?] {
        let guest = cpu.guest.flatMap { snapshot.guests.indices.contains($0) ? snapshot.guests[$0].name : nil }
        let isSeen = !cpu.task.isEmpty
        return [
            "\(cpu.cpu)", isSeen ? cpu.task : nil, isSeen ? "\(cpu.tid)" : nil, "\(cpu.busyNanoseconds)",
            "\(cpu.unknownNanoseconds)", "\(cpu.switches)", guest, cpu.vcpu.map { "\($0)" },
        ]
    }
}

extension CSVTable {
    /// A list of intervals is not part of a snapshot: its own header and rows.
    package static let intervalHeader = CSV.line([
        "start_ns", "end_ns", "vm", "vcpu", "host_tid", "state", "detail", "host_cpu", "guest_task", "guest_tid",
    ])

    package static func row(_ interval: StateInterval) -> String {
        CSV.line([
            "\(interval.startNanoseconds)", "\(interval.endNanoseconds)", interval.guest,
            interval.vcpu.map { "\($0)" } ?? "", interval.hostTID.map { "\($0)" } ?? "", interval.state.state.label,
            interval.detail ?? "", interval.hostCPU.map { "\($0)" } ?? "", interval.guestTask ?? "",
            interval.guestTID.map { "\($0)" } ?? "",
        ])
    }
}
