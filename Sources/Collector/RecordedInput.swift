package import SessionLog
import StateCoding
import TraceModel

/// A recording as an input.
package final class RecordedInput: SessionInput {
    private let reader: LogReader

    package init(_ reader: LogReader) { self.reader = reader }

    package func next() throws -> PipelineInput? { try reader.next().map { .record($0) } }

    package var shortfall: String? { reader.tornTail.map { "the recording ends early: \($0)" } }

    package var progress: Double { reader.progress }

    /// Goes to the last checkpoint of the index that is not after `time`, and gives the pipeline that goes on from there. Nil
    /// when there is none of this version later than `past`, and nothing has changed.
    func resume(notAfter time: HostTime, after past: HostTime) throws -> CollectorPipeline? {
        let begin = reader.position
        guard reader.isFromBeginning,
            let (entry, bytes) = LogIndexReader(in: reader.directory).checkpoint(notAfter: time),
            entry.time > past
        else { return nil }
        do {
            var checkpoint = try StateDecoder.decode(LogCheckpoint.self, from: bytes)
            try checkpoint.pipeline.reopen(try checkpoint.openings.compactMap(opening))
            try reader.go(to: entry.position)
            return checkpoint.pipeline
        } catch {
            // Of another version, or not of this stream. All that it says is in the stream too.
            try reader.go(to: begin)
            return nil
        }
    }

    private func opening(at place: LogPosition) throws -> LogRecord? {
        try reader.go(to: place)
        return try reader.next()
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
