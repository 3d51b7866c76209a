import TraceModel

/// Figures of a machine from those of its vCPUs, and of all exits from those of each reason.
///
/// Snapshots can come from a file, so nothing here traps on their numbers.
extension Snapshot.Exit {
    /// By reason, most time first.
    static func sum(of parts: [[Snapshot.Exit]]) -> [Snapshot.Exit] {
        var groups: [String: [Snapshot.Exit]] = [:]
        for exit in parts.joined() { groups[exit.reason, default: []].append(exit) }
        return groups.map { reason, exits in
            Snapshot.Exit(
                reason: reason, count: exits.reduce(0) { $0.addingReportingOverflow($1.count).partialValue },
                nanoseconds: exits.reduce(0) { HostSections.sum($0, $1.nanoseconds) },
                handling: Snapshot.Durations(sumOf: exits.compactMap(\.handling)))
        }.sorted { (b: Self, a: Self) in (a.nanoseconds, b.reason) < (b.nanoseconds, a.reason) }
    }
}

extension Snapshot.WakeUpReason {
    /// By reason, most frequent first.
    static func sum(of parts: [[Snapshot.WakeUpReason]]) -> [Snapshot.WakeUpReason] {
        Reason.allCases.compactMap { reason -> Snapshot.WakeUpReason? in
            let same = parts.joined().filter { $0.reason == reason }
            guard !same.isEmpty else { return nil }
            return Snapshot.WakeUpReason(
                reason: reason, count: same.reduce(0) { $0.addingReportingOverflow($1.count).partialValue },
                haltedNanoseconds: same.reduce(0) { HostSections.sum($0, $1.haltedNanoseconds) })
        }.sorted { $0.count > $1.count }
    }
}

extension Snapshot.Halts {
    /// The polling limit is the greatest one.
    init(sumOf parts: [Snapshot.Halts]) {
        self.init(
            polled: parts.reduce(0) { $0.addingReportingOverflow($1.polled).partialValue },
            slept: parts.reduce(0) { $0.addingReportingOverflow($1.slept).partialValue },
            pollLimitNanoseconds: parts.compactMap(\.pollLimitNanoseconds).max())
    }
}

extension Snapshot.Durations {
    /// The durations of all parts together. Percentiles of a sum are not sums: they are found in its steps, and so are up
    /// to twice what they are; nil without parts.
    init?(sumOf parts: [Snapshot.Durations]) {
        guard let longest = parts.max(by: { $0.maximumNanoseconds < $1.maximumNanoseconds }) else { return nil }
        var counts: [UInt64] = []
        for part in parts {
            for (index, count) in part.countsByPowerOfTwo.prefix(63).enumerated() {
                if index == counts.count { counts.append(0) }
                counts[index] = counts[index].addingReportingOverflow(count).partialValue
            }
        }
        func percentile(_ permille: UInt64) -> Int64 {
            let whole = counts.reduce(UInt64(0)) { $0.addingReportingOverflow($1).partialValue }
            let wanted = whole / 1_000 * permille + whole % 1_000 * permille / 1_000
            var seen: UInt64 = 0
            for (index, count) in counts.enumerated() {
                seen = seen.addingReportingOverflow(count).partialValue
                if seen > wanted { return min((Int64(2) << Int64(index)) &- 1, longest.maximumNanoseconds) }
            }
            return longest.maximumNanoseconds
        }
        self.init(
            count: parts.reduce(0) { $0.addingReportingOverflow($1.count).partialValue },
            totalNanoseconds: parts.reduce(0) { HostSections.sum($0, $1.totalNanoseconds) },
            p50Nanoseconds: percentile(500), p99Nanoseconds: percentile(990), p999Nanoseconds: percentile(999),
            maximumNanoseconds: longest.maximumNanoseconds, maximumAtNanoseconds: longest.maximumAtNanoseconds,
            countsByPowerOfTwo: counts)
    }
}

extension Snapshot.Steal {
    init?(sumOf parts: [Snapshot.Steal]) {
        guard let first = parts.first else { return nil }
        // Shares are of the vCPUs' time together.
        let span = parts.reduce(0) {
            HostSections.sum($0, Interval.difference($1.untilNanoseconds, $1.fromNanoseconds))
        }
        self.init(
            toldNanoseconds: parts.reduce(0) { HostSections.sum($0, $1.toldNanoseconds) },
            // The sum of what was measured is the sum of all only when all was.
            readyNanoseconds: parts.reduce(0) { sum, part in
                sum.flatMap { sum in part.readyNanoseconds.map { HostSections.sum(sum, $0) } }
            },
            unknownNanoseconds: parts.reduce(0) { HostSections.sum($0, $1.unknownNanoseconds) },
            fromNanoseconds: first.fromNanoseconds,
            untilNanoseconds: first.fromNanoseconds.addingReportingOverflow(span).partialValue)
    }
}

extension Snapshot.GuestRunning {
    init?(sumOf parts: [Snapshot.GuestRunning]) {
        guard !parts.isEmpty else { return nil }
        func sum(_ time: (Snapshot.GuestRunning) -> Int64) -> Int64 {
            parts.reduce(0) { HostSections.sum($0, time($1)) }
        }
        self.init(
            busyNanoseconds: sum(\.busyNanoseconds), idleNanoseconds: sum(\.idleNanoseconds),
            unknownNanoseconds: sum(\.unknownNanoseconds), uncertainNanoseconds: sum(\.uncertainNanoseconds),
            isUncertainNow: parts.contains { $0.isUncertainNow })
    }
}
