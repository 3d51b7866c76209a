package import SessionLog
import StateCoding
import TraceModel

/// A recording as an input.
///
/// Whoever looks for an instant in a recording without an index makes it on the way there, where he may write: an imported
/// recording has none, nor has a ring that lost its beginning, and the checkpoints of another version of the program are none.
package final class RecordedInput: SessionInput {
    private let reader: LogReader
    private let checkpointBytes: UInt64
    /// Of the sources that are open, from the beginning of what was read.
    private var openings: [SourceID: LogPosition] = [:]
    private var index: LogIndexWriter?
    private var nextCheckpoint: UInt64 = 0

    package init(_ reader: LogReader, checkpointBytes: UInt64 = Limits.checkpointIntervalBytes) {
        self.reader = reader
        self.checkpointBytes = checkpointBytes
    }

    package func next() throws -> PipelineInput? {
        let record = try reader.next()
        if case .sourceOpened(let source, _, _, _) = record { openings[source] = reader.start }
        return record.map { .record($0) }
    }

    package var shortfall: String? { reader.tornTail.map { "the recording ends early: \($0)" } }

    package var progress: Double { reader.progress }

    /// A pipeline that goes on from a checkpoint, and what opened its sources, in their order.
    struct Resumption {
        var pipeline: CollectorPipeline
        var openings: [LogRecord]
    }

    /// Goes to the last checkpoint of the index that is not after `time`, and gives the pipeline that goes on from there. Nil
    /// when there is none of this version later than `past`, and nothing has changed.
    ///
    /// What the index lacks is made on the way on, unless nothing is analyzed there.
    func resume(notAfter time: HostTime, after past: HostTime, extends: Bool = true) throws -> Resumption? {
        let reading = LogIndexReader(in: reader.directory, firstSegment: reader.firstSegment)
        let found = reading.checkpoint(notAfter: time)
        guard let found, found.entry.time > past else {
            if extends, found?.isLast ?? (reading.count == 0) { extendIndex(after: found?.entry) }
            return nil
        }
        let (begin, known) = (reader.position, openings)
        do {
            var checkpoint = try StateDecoder.decode(LogCheckpoint.self, from: found.bytes)
            let records = try checkpoint.openings.compactMap(opening)
            try checkpoint.pipeline.reopen(records)
            try reader.go(to: found.entry.position)
            index = nil
            if extends, found.isLast { extendIndex(after: found.entry) }
            return Resumption(pipeline: checkpoint.pipeline, openings: records)
        } catch {
            // Of another version, or not of this stream. All that it says is in the stream too.
            try reader.go(to: begin)
            openings = known
            if extends { extendIndex(after: nil) }
            return nil
        }
    }

    private func opening(at place: LogPosition) throws -> LogRecord? {
        try reader.go(to: place)
        let record = try reader.next()
        if case .sourceOpened(let source, _, _, _) = record { openings[source] = place }
        return record
    }

    // MARK: Making an index

    private func extendIndex(after last: LogIndex.Entry?) {
        guard index == nil else { return }
        index = LogIndexWriter(of: reader.directory, firstSegment: reader.firstSegment, after: last)
        nextCheckpoint = reader.bytesRead + checkpointBytes
    }

    /// The pipeline has applied all that was given, and nothing else.
    func follow(_ pipeline: CollectorPipeline) {
        guard index != nil, reader.bytesRead >= nextCheckpoint, !pipeline.isHeld, reader.position.inside == 0 else {
            return
        }
        nextCheckpoint = reader.bytesRead + checkpointBytes
        var checkpoint = LogCheckpoint(openings: openings, pipeline: pipeline)
        // It serves whoever looks for later instants than the one that is looked for now.
        checkpoint.pipeline.release()
        if !checkpoint.append(to: index, at: reader.position) { index = nil }
    }
}

/// Recordings that `tandem record` made.
package enum RecordingKind: SessionFileKind {
    package static let description = "a recording made by 'tandem record'"

    package static func claims(_ path: String) -> Bool { LogFile.isRecording(path) }

    package static func open(_ paths: SessionPaths) throws -> any SessionInput {
        guard paths.guests.isEmpty else {
            throw SessionError("'\(paths.path)' is a recording, which holds its guests: it takes no -A")
        }
        return RecordedInput(try LogReader(opening: paths.path))
    }
}
