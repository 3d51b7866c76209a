import TraceModel

/// How far one stream has come, and what its books say.
struct StreamStatus: Sendable {
    /// Nothing earlier will come from it; nil before its first event.
    var reached: TraceTicks?
    var hasEnded = false
    /// Why it ended before its end: a sentence that names the trace.
    var problem: String?
    var events: UInt64 = 0
    var stepsBack: UInt64 = 0
    var eventsWithoutFormat: UInt64 = 0
}

/// What an export of our own tells beside events.
struct ExportNotes: Sendable {
    /// How far events of one CPU may be from their true place.
    struct Bound: Hashable, Sendable {
        let cpu: Int
        /// Time of the first event for which it holds, and of the last.
        var first: UInt64
        var last: UInt64
        var nanoseconds: Int64
    }

    /// Steal time that a guest's kernel was told of until then.
    struct Steal: Hashable, Sendable {
        let ticks: TraceTicks
        let cpu: StealSample.CPU
    }

    var bounds: [Bound] = []
    var steal: [Steal] = []
}

extension [StreamStatus] {
    /// The one whose next events are the earliest, as far as is known; nil when all have ended.
    var slowest: Int? {
        var slowest: Int?
        for index in indices where !self[index].hasEnded {
            guard let reached = self[index].reached else { return index }
            if let known = slowest, let time = self[known].reached, time <= reached { continue }
            slowest = index
        }
        return slowest
    }
}
