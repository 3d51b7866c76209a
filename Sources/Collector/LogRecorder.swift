package import SessionLog
import StateCoding
package import TraceModel
import Wire

/// Writes the pipeline's inputs to the log, in their order, so that a replay can give them to a pipeline again.
///
/// A batch that never was on a wire, the host's or one of an imported file, is encoded here the way an agent does it. After
/// the first error nothing more is written.
package struct LogRecorder {
    private let writer: LogWriter?
    /// By source, made when its first batch comes: most sources send theirs encoded.
    private var encoders: [SourceID: BatchEncoder] = [:]
    private var openings: [SourceID: (facts: SourceFacts, formats: [FormatMessage])] = [:]
    private var hasFailed = false
    private var preamble = LogPreamble()
    private var index: LogIndexWriter?
    private var openingPositions: [SourceID: LogPosition] = [:]
    private var lastCheckpoint: UInt64 = 0
    private let checkpointBytes: UInt64

    package init(writer: LogWriter?, checkpointBytes: UInt64 = Limits.checkpointIntervalBytes) {
        self.writer = writer
        self.checkpointBytes = checkpointBytes
        index = writer.flatMap { LogIndexWriter(in: $0.directory) }
    }

    package var bytesWritten: UInt64 { writer?.bytesWritten ?? 0 }

    /// The problem, once.
    package mutating func write(_ input: PipelineInput) -> String? {
        guard let writer else { return nil }
        return attempt { (recorder) throws(LogError) in
            switch input {
            case .record(let record):
                if case .sourceOpened(let source, let facts, let formats, _) = record {
                    recorder.openingPositions[source] = try writer.mark()
                    recorder.openings[source] = (facts, formats)
                    recorder.encoders[source] = nil
                }
                recorder.preamble.note(record)
                try writer.append(record)
            case .batch(let source, let batch):
                if let opening = recorder.openings.removeValue(forKey: source) {
                    var anomalies = AnomalyCounts()
                    recorder.encoders[source] = BatchEncoder(
                        formats: FormatTable(opening.formats, of: opening.facts, anomalies: &anomalies))
                }
                for frame in recorder.encoders[source]?.frames(for: batch) ?? [] {
                    try writer.append(frame, source: source)
                }
            }
        }
    }

    /// The pipeline has applied all that was written: time for a checkpoint, or for the next segment? The problem, once.
    package mutating func follow(_ pipeline: CollectorPipeline) -> String? {
        guard let writer else { return nil }
        return attempt { (recorder) throws(LogError) in
            if writer.isSegmentFull(at: pipeline.horizon) { try recorder.beginSegment(at: pipeline.horizon) }
            if recorder.index != nil, writer.bytesAppended >= recorder.lastCheckpoint + recorder.checkpointBytes {
                try recorder.makeCheckpoint(of: pipeline)
            }
        }
    }

    private mutating func beginSegment(at time: HostTime) throws(LogError) {
        guard let writer else { return }
        let isWhole = try writer.beginSegment(at: time, repeating: preamble.records(at: time))
        if !isWhole {
            index?.remove()
            index = nil
        }
    }

    private mutating func makeCheckpoint(of pipeline: CollectorPipeline) throws(LogError) {
        guard let writer else { return }
        // Never an entry for what is not in the stream yet.
        try writer.flush()
        lastCheckpoint = writer.bytesWritten
        let checkpoint = LogCheckpoint(openings: openingPositions, pipeline: pipeline)
        if !checkpoint.append(to: index, at: try writer.mark()) { index = nil }
    }

    /// Makes a recording of its own of what is kept now. The problem, if there is one: the session goes on in any case.
    package mutating func save(as directory: String, at time: HostTime) -> String? {
        guard let writer, !hasFailed else { return "nothing is being recorded" }
        do throws(LogError) {
            try beginSegment(at: time)
            try writer.save(as: directory)
            return nil
        } catch {
            return error.description
        }
    }

    package mutating func flush() -> String? {
        guard let writer else { return nil }
        return attempt { (_) throws(LogError) in try writer.flush() }
    }

    private mutating func attempt(_ body: (inout LogRecorder) throws(LogError) -> Void) -> String? {
        guard !hasFailed else { return nil }
        do throws(LogError) {
            try body(&self)
            return nil
        } catch {
            hasFailed = true
            return error.description
        }
    }
}

/// What the index of a recording holds of one moment: the whole pipeline, and where the openings of its sources are.
struct LogCheckpoint: Codable {
    var openings: [LogPosition]
    var pipeline: CollectorPipeline

    /// Openings of sources that the pipeline has no more are of no use to it.
    init(openings: [SourceID: LogPosition], pipeline: CollectorPipeline) {
        let ids = Set(pipeline.sources.map(\.id))
        self.openings = openings.filter { ids.contains($0.key) }.values.sorted()
        self.pipeline = pipeline
    }

    /// False when the index ends before it.
    func append(to index: LogIndexWriter?, at place: LogPosition) -> Bool {
        guard let index, let bytes = try? StateEncoder.encode(self) else { return false }
        return index.append(bytes, time: pipeline.analyzedUntil, position: place)
    }
}
