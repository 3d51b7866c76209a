import Timeline
import TraceModel

/// How far the events of one CPU of an export may be from their true place, as its packets state it: a map that changes no
/// time, and has these bounds.
///
/// Bounded: when there are too many, neighbours become one, with the larger of their bounds.
struct StatedBounds {
    private var bounds: [ExportNotes.Bound] = []
    /// Two knots each.
    private static let most = Limits.clockKnots / 2 - 1

    mutating func add(_ bound: ExportNotes.Bound) {
        if let last = bounds.last {
            // CTF's times ascend within a stream, and a CPU of an export has one.
            guard bound.first >= last.last else { return widen(by: bound) }
            if bound.nanoseconds == last.nanoseconds {
                bounds[bounds.count - 1].last = bound.last
                return
            }
        }
        bounds.append(bound)
        if bounds.count > Self.most { halve() }
    }

    private mutating func widen(by bound: ExportNotes.Bound) {
        let last = bounds.count - 1
        bounds[last].last = max(bounds[last].last, bound.last)
        bounds[last].nanoseconds = max(bounds[last].nanoseconds, bound.nanoseconds)
    }

    private mutating func halve() {
        bounds = stride(from: 0, to: bounds.count, by: 2).map { place in
            var pair = bounds[place]
            if place + 1 < bounds.count {
                pair.last = bounds[place + 1].last
                pair.nanoseconds = max(pair.nanoseconds, bounds[place + 1].nanoseconds)
            }
            return pair
        }
    }

    /// The map of a CPU. Between two knots the larger bound holds, so that where one bound ends there is a knot of it behind its
    /// last event, if there is room before the next one's first.
    func clock(cpu: Int) -> GivenClock? {
        var knots: [GivenClock.Knot] = []
        func put(_ ticks: UInt64, _ bound: ExportNotes.Bound) {
            if let last = knots.last, last.ticks.rawValue >= ticks { return }
            knots.append(
                GivenClock.Knot(
                    ticks: TraceTicks(ticks), host: HostTime(nanoseconds: Int64(clamping: ticks)),
                    // The map adds its own.
                    boundNanoseconds: max(0, bound.nanoseconds &- GivenClock.roundingNanoseconds)))
        }
        for (index, bound) in bounds.enumerated() {
            put(bound.first, bound)
            let end = bound.last &+ 1
            put(index + 1 < bounds.count ? min(end, max(1, bounds[index + 1].first) - 1) : end, bound)
        }
        guard !knots.isEmpty else { return nil }
        return GivenClock(cpu: cpu, knots: knots, nanosecondsPerTick: 1, method: Self.method)
    }

    static let method = "the host's time line"
}
