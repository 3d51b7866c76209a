package import TraceModel

/// Snapshots as comma-separated values: a header once, then one row per vCPU and snapshot.
///
/// Everything is a total since the start of the window, in nanoseconds where it is a time, so rows can be subtracted; an
/// empty field is unknown. Columns may be added at the end, never renamed or moved. Quoting is RFC 4180's; lines end with
/// a newline alone, as every tool on Linux expects. Texts are sanitized: a file is shown on a terminal sooner or later.
package enum CSVView {
    package static let header = CSV.line(columns.map(\.name))

    /// One line per vCPU, each ended by a newline.
    package static func rows(_ snapshot: Snapshot) -> String {
        var text = ""
        for guest in snapshot.guests {
            for vcpu in guest.vcpus {
                let row = Row(snapshot: snapshot, guest: guest, vcpu: vcpu)
                text += CSV.line(columns.map { $0.value(row) ?? "" })
            }
        }
        return text
    }

    private struct Row {
        let snapshot: Snapshot
        let guest: Snapshot.Guest
        let vcpu: Snapshot.VCPU
        /// Where context switches are seen.
        var scheduled: Snapshot.VCPU? { snapshot.host.sees.scheduling ? vcpu : nil }
    }

    private struct Column: Sendable {
        let name: String
        let value: @Sendable (Row) -> String?
    }

    private static let columns: [Column] = states + lengths

    private static let states: [Column] =
        [
            .init(name: "window_start_ns") { "\($0.snapshot.window.startNanoseconds)" },
            .init(name: "window_end_ns") { "\($0.snapshot.window.endNanoseconds)" },
            .init(name: "vm") { $0.guest.name },
            .init(name: "vmm") { $0.guest.vmm },
            .init(name: "vmm_pid") { $0.guest.vmmPID.map { "\($0)" } },
            .init(name: "vcpu") { $0.vcpu.vcpu.map { "\($0)" } },
            .init(name: "host_tid") { $0.vcpu.hostTID.map { "\($0)" } },
            .init(name: "host_cpu") { $0.vcpu.hostCPU.map { "\($0)" } },
            .init(name: "state") { $0.vcpu.state.state.label },
            .init(name: "since_ns") { "\($0.vcpu.sinceNanoseconds)" },
            .init(name: "detail") { $0.vcpu.detail },
            .init(name: "guest_task") { $0.vcpu.guestTask },
            .init(name: "guest_tid") { $0.vcpu.guestTID.map { "\($0)" } },
        ]
        + VCPUState.allCases.map { state in
            .init(name: "\(state.label)_ns") {
                $0.snapshot.host.sees.tells(state) ? "\($0.vcpu.times[state])" : nil
            }
        }
        + [
            .init(name: "preemptions") { $0.scheduled.map { "\($0.preemptions)" } },
            .init(name: "wakeups") { $0.scheduled.map { "\($0.wakeups)" } },
            .init(name: "migrations") { "\($0.vcpu.migrations)" },
            .init(name: "worst_preemption_ns") { $0.scheduled.map { "\($0.worstPreemptionNanoseconds)" } },
            .init(name: "worst_preemption_at_ns") { $0.scheduled.map { "\($0.worstPreemptionAtNanoseconds)" } },
            .init(name: "exits") { "\($0.vcpu.exitCount)" },
            .init(name: "top_culprit") { $0.vcpu.culprits.first?.label },
            .init(name: "top_culprit_kind") { $0.vcpu.culprits.first?.kind.rawValue },
            .init(name: "top_culprit_ns") { $0.vcpu.culprits.first.map { "\($0.nanoseconds)" } },
            .init(name: "agent") { $0.guest.agent(in: $0.snapshot)?.state },
            .init(name: "clock_quality") { $0.guest.clock(in: $0.snapshot)?.quality },
            .init(name: "clock_bound_ns") {
                $0.guest.clock(in: $0.snapshot).flatMap { $0.isBounded ? "\($0.boundNanoseconds)" : nil }
            },
            .init(name: "events_lost") { "\($0.snapshot.health.eventsLost)" },
            .init(name: "losses_of_unknown_size") { "\($0.snapshot.health.lossesOfUnknownSize)" },
        ]

    private static let lengths: [Column] =
        durations("ready") { $0.scheduled?.ready } + durations("wakeup_latency") { $0.scheduled?.wakeUpLatency }
        + [
            .init(name: "exit") { $0.vcpu.exitReason },
            .init(name: "lower_bounds") { $0.vcpu.isLowerBound ? "1" : "0" },
            .init(name: "halts_polled") { "\($0.vcpu.halts.polled)" },
            .init(name: "halts_slept") { "\($0.vcpu.halts.slept)" },
            .init(name: "poll_limit_ns") { $0.vcpu.halts.pollLimitNanoseconds.map { "\($0)" } },
            .init(name: "guest_busy_ns") { $0.vcpu.guestRunning.map { "\($0.busyNanoseconds)" } },
            .init(name: "guest_idle_ns") { $0.vcpu.guestRunning.map { "\($0.idleNanoseconds)" } },
            .init(name: "guest_unknown_ns") { $0.vcpu.guestRunning.map { "\($0.unknownNanoseconds)" } },
            .init(name: "guest_uncertain_ns") { $0.vcpu.guestRunning.map { "\($0.uncertainNanoseconds)" } },
            .init(name: "steal_told_ns") { $0.vcpu.steal.map { "\($0.toldNanoseconds)" } },
            .init(name: "steal_ready_ns") { $0.vcpu.steal?.readyNanoseconds.map { "\($0)" } },
            .init(name: "steal_from_ns") { $0.vcpu.steal.map { "\($0.fromNanoseconds)" } },
            .init(name: "steal_until_ns") { $0.vcpu.steal.map { "\($0.untilNanoseconds)" } },
            .init(name: "steal_unknown_ns") { $0.vcpu.steal.map { "\($0.unknownNanoseconds)" } },
        ]

    private static func durations(
        _ name: String, _ value: @escaping @Sendable (Row) -> Snapshot.Durations?
    ) -> [Column] {
        let parts: [(String, @Sendable (Snapshot.Durations) -> String)] = [
            ("count", { "\($0.count)" }), ("total_ns", { "\($0.totalNanoseconds)" }),
            ("p50_ns", { "\($0.p50Nanoseconds)" }), ("p99_ns", { "\($0.p99Nanoseconds)" }),
            ("p99_9_ns", { "\($0.p999Nanoseconds)" }), ("max_ns", { "\($0.maximumNanoseconds)" }),
            ("max_at_ns", { "\($0.maximumAtNanoseconds)" }),
        ]
        return parts.map { part, text in .init(name: "\(name)_\(part)") { value($0).map(text) } }
    }
}
