import Compression
import TraceModel
import Wire

/// Records that were compressed together: a record of the host whose body is one zstd frame, in which the records stand as
/// they would in the stream.
///
/// What is handed to the kernel at once is one group, up to some hundred KB: more would be lost with a killed program, and
/// less compresses worse. A batch alone is too short to find anything again in it; its neighbours have the same tasks, CPUs
/// and distances of time. A repetition at a segment's beginning is never in a group.
enum LogGroup {
    static let recordType: UInt8 = 73
    /// What a writer collects, and one record of the greatest size more.
    static let mostBytes = LogWriter.bufferBytes + LogFile.recordPrefixBytes + Frame.headerBytes + Limits.frameBytes
    /// The fastest: the levels above it gain little here and cost as much as the analysis.
    private static let level = 1

    /// The record; nil when the bytes are not fewer with it.
    static func record(of bytes: [UInt8], by codec: Codec) -> [UInt8]? {
        guard let body = try? codec.compress(bytes.span.bytes, level: level), body.count <= Limits.frameBytes else {
            return nil
        }
        var record: [UInt8] = []
        LogWriter.put(Frame(type: recordType, body: body), source: .host, into: &record)
        return record.count < bytes.count ? record : nil
    }
}
