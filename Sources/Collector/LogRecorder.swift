package import SessionLog
import TraceModel
import Wire

/// Writes the pipeline's inputs to the log, in their order, so that a replay can give them to a pipeline again.
///
/// A host's batch never was on a wire, so it is encoded here the way a guest's is by its agent. After the first error
/// nothing more is written.
package struct LogRecorder {
    private let writer: LogWriter?
    private var hostEncoder: BatchEncoder?
    private var hasFailed = false

    package init(writer: LogWriter?) { self.writer = writer }

    package var bytesWritten: UInt64 { writer?.bytesWritten ?? 0 }

    /// The problem, once.
    package mutating func write(_ input: PipelineInput) -> String? {
        guard let writer, !hasFailed else { return nil }
        do throws(LogError) {
            switch input {
            case .record(let record):
                if case .sourceOpened(.host, let facts, let formats, _) = record {
                    hostEncoder = BatchEncoder(formats: CollectorSource.table(facts, formats))
                }
                try writer.append(record)
            case .batch(let source, let batch):
                for frame in hostEncoder?.frames(for: batch) ?? [] { try writer.append(frame, source: source) }
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
