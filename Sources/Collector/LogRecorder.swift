package import SessionLog
import TraceModel
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

    package init(writer: LogWriter?) { self.writer = writer }

    package var bytesWritten: UInt64 { writer?.bytesWritten ?? 0 }

    /// The problem, once.
    package mutating func write(_ input: PipelineInput) -> String? {
        guard let writer, !hasFailed else { return nil }
        do throws(LogError) {
            switch input {
            case .record(let record):
                if case .sourceOpened(let source, let facts, let formats, _) = record {
                    openings[source] = (facts, formats)
                    encoders[source] = nil
                }
                try writer.append(record)
            case .batch(let source, let batch):
                if let opening = openings.removeValue(forKey: source) {
                    encoders[source] = BatchEncoder(
                        formats: SourceOpening(opening.facts, formats: opening.formats).formats)
                }
                for frame in encoders[source]?.frames(for: batch) ?? [] { try writer.append(frame, source: source) }
            }
            return nil
        } catch {
            hasFailed = true
            return error.description
        }
    }

    package mutating func flush() -> String? {
        guard let writer, !hasFailed else { return nil }
        do throws(LogError) {
            try writer.flush()
            return nil
        } catch {
            hasFailed = true
            return error.description
        }
    }
}
