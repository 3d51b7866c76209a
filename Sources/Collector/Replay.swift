package import SessionLog
package import TraceModel

/// Feeds a recording to the pipeline that a live session feeds.
package struct Replay {
    private let reader: LogReader
    private var pipeline = CollectorPipeline()

    package init(_ reader: LogReader) { self.reader = reader }

    /// Records until the analysis has reached `time`, or to the end; false at the end.
    package mutating func advance(to time: HostTime?) throws(LogError) -> Bool {
        while let record = try reader.next() {
            pipeline.apply(.record(record))
            // Threads were identified when the session was live; the answers are in the recording.
            _ = pipeline.takeUnidentifiedThreads()
            if let time, pipeline.horizon >= time { return true }
        }
        return false
    }

    package var horizon: HostTime { pipeline.horizon }
    package var facts: SessionFacts? { pipeline.facts }
    package var snapshot: Snapshot { pipeline.snapshot() }
    package var eventCount: UInt64 { pipeline.eventCount }
    /// Why the recording ends before its session did; nil when it is whole.
    package var tornTail: String? { reader.tornTail }
}
