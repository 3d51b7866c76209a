import CTF
import Threading
import TraceModel

/// A trace on disk as a live session: its events come packet by packet, each when the live timer has run out after it.
final class FollowedTrace: LiveSource {
    private let reader: MachineReader
    private let timer: UInt64
    private let begun = MonotonicClock.nanoseconds()
    /// The trace's time when it was begun to be followed.
    private let start: UInt64
    private var next: (batches: [EventBatch], watermark: TraceTicks?)?
    private var hasEnded = false

    /// `start` is where in the trace's time the session is now; what is before it, nobody followed. `timer` is the live
    /// timer in nanoseconds.
    init(_ reader: MachineReader, start: UInt64, timer: UInt64) {
        self.reader = reader
        self.start = start
        self.timer = timer
    }

    static func follow(_ path: String, start: UInt64, timer: UInt64) -> Result<any LiveSource, CTFError> {
        guard let reader = try? open(path).first else { return .failure(CTFError("'\(path)' cannot be read")) }
        return .success(FollowedTrace(reader, start: start, timer: timer))
    }

    var facts: CTFMachineFacts? { reader.facts }
    var formats: [EventFormat] { reader.formats }

    func step() -> LiveReader.Step {
        if next == nil, !hasEnded {
            next = reader.next()
            hasEnded = next == nil
        }
        guard let step = next else { return .ended(problem: nil) }
        let last = step.batches.compactMap(\.headers.last?.ticks.rawValue).max() ?? step.watermark?.rawValue ?? 0
        let due = (last / timer + 1) * timer
        guard UInt64(MonotonicClock.nanoseconds() - begun) + start >= due else { return .waiting }
        next = nil
        return .events(step.batches, watermark: step.watermark)
    }
}
