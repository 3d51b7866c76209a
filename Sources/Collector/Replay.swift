package import SessionLog
package import TraceModel

/// Feeds a recording, or whatever else a session is in, to the pipeline that a live session feeds.
package struct Replay {
    private let input: any SessionInput
    /// The same, when it can be gone through by an index.
    private let recorded: RecordedInput?
    private var pipeline = CollectorPipeline()
    /// While intervals are listed, until when; the session's end is nil in it.
    private var listEnd: HostTime??
    /// Told with every input how much is done of what was asked for, 0 to 1.
    package typealias Watch = (_ share: () -> Double) -> Void
    private let watch: Watch?

    /// - Parameter watch: for people who wait.
    package init(_ input: any SessionInput, watch: Watch? = nil) {
        self.input = input
        recorded = input as? RecordedInput
        self.watch = watch
    }

    /// Goes as close before `time` as the input's index knows a way, if that is forward.
    package mutating func skip(to time: HostTime) throws {
        let resumption = try recorded?.resume(notAfter: time, after: pipeline.analyzedUntil)
        if let resumption { pipeline = resumption.pipeline }
    }

    /// Inputs until the analysis has reached `time`, or to the end; false at the end.
    package mutating func advance(to time: HostTime?) throws -> Bool {
        pipeline.release()
        while let next = try input.next() {
            pipeline.apply(next)
            // Threads were identified when the session was live; the answers are in the recording.
            _ = pipeline.takeUnidentifiedThreads()
            recorded?.follow(pipeline)
            watch? { input.progress }
            if let time, pipeline.horizon >= time { return true }
        }
        return false
    }

    /// Everything exactly as it was at `time`, or at the end where that came before. Later instants may be asked after it,
    /// and the replay may go on.
    package mutating func snapshot(at time: HostTime) throws -> Snapshot {
        pipeline.hold(at: time)
        let begin = pipeline.horizon
        while !pipeline.isHeld, let next = try input.next() {
            pipeline.apply(next)
            _ = pipeline.takeUnidentifiedThreads()
            recorded?.follow(pipeline)
            let reached = pipeline.horizon
            watch? { min(1, Double(reached - begin) / Double(max(1, time - begin))) }
        }
        return pipeline.isHeld ? pipeline.snapshot(at: time) : pipeline.snapshot()
    }

    /// The same of an instant as people say it.
    package mutating func snapshot(at time: SessionTime) throws -> Snapshot {
        try snapshot(at: try seek(time))
    }

    /// Begins, if it has not, and goes as close before `time` as the index knows a way.
    package mutating func seek(_ time: SessionTime) throws -> HostTime {
        while pipeline.facts == nil, let next = try input.next() { pipeline.apply(next) }
        guard let facts = pipeline.facts else { return HostTime(nanoseconds: 0) }
        let instant = time.instant(in: facts)
        try skip(to: instant)
        return instant
    }

    /// Lists intervals from here on, until `end`. The index is not made meanwhile: a list is no part of a checkpoint.
    mutating func listIntervals(until end: HostTime?) {
        // Before anything that was held back is let through.
        pipeline.listIntervals()
        if let end { pipeline.hold(at: end) } else { pipeline.release() }
        listEnd = .some(end)
    }

    /// Those that closed, and with the last of them those that go on at the end; nil behind it.
    mutating func nextIntervals() throws -> [StateInterval]? {
        guard case .some(let end) = listEnd else { return nil }
        while !pipeline.isHeld, let next = try input.next() {
            pipeline.apply(next)
            _ = pipeline.takeUnidentifiedThreads()
            watch? { input.progress }
            let closed = pipeline.takeIntervals()
            if !closed.isEmpty { return closed }
        }
        listEnd = nil
        return pipeline.lastIntervals(at: pipeline.isHeld ? end : nil)
    }

    func name(ofMachine vmmPID: Int32) -> String? {
        pipeline.snapshot().guests.first { $0.vmmPID == vmmPID }?.name
    }

    /// Everything at the end.
    package mutating func end() throws -> Snapshot {
        _ = try advance(to: nil)
        return pipeline.snapshot()
    }

    package var horizon: HostTime { pipeline.horizon }
    /// How far the analysis is; the horizon may lie before it.
    package var reached: HostTime { pipeline.analyzedUntil }
    package var facts: SessionFacts? { pipeline.facts }
    package var snapshot: Snapshot { pipeline.snapshot() }
    package var eventCount: UInt64 { pipeline.eventCount }
    /// Why the input ends before its session did; nil when it is whole.
    package var shortfall: String? { input.shortfall }
    package var progress: Double { input.progress }
}
