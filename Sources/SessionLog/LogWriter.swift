import Compression
import Glibc
package import TraceModel
package import Wire

/// Writes a recording. Not thread-safe: it belongs to the thread that runs the pipeline.
package final class LogWriter {
    package let directory: String
    private let retention: LogRetention
    private let isDirectoryOurs: Bool
    private var descriptor: Int32
    private var buffer: [UInt8] = []
    static let bufferBytes = 256 << 10
    /// Nil when nothing is compressed.
    private let codec: Codec?
    /// Keeps others from making an index while this one is made.
    private let lock: LogLock?
    /// Handed to the kernel since the beginning, whatever was removed again.
    package private(set) var bytesWritten: UInt64 = 0

    private struct Segment {
        var number: Int
        var start: HostTime?
        var bytes: UInt64 = 0
    }

    /// Those on disk; the last one is written to.
    private var segments = [Segment(number: 1)]
    private var current: Segment {
        get { segments[segments.count - 1] }
        set { segments[segments.count - 1] = newValue }
    }

    /// Creates the directory; one that is already there must not hold a recording.
    package init(
        creating directory: String, retention: LogRetention = LogRetention(), isCompressed: Bool = false
    ) throws(LogError) {
        self.directory = directory
        self.retention = retention
        codec = isCompressed ? Codec(.zstd) : nil
        isDirectoryOurs = mkdir(directory, 0o755) == 0
        guard isDirectoryOurs || errno == EEXIST else {
            throw LogError(doing: "creating the recording's directory", directory, errno: errno)
        }
        descriptor = try LogWriter.create(LogFile.path(directory, segment: 1))
        lock = LogLock(directory)
        buffer.reserveCapacity(LogWriter.bufferBytes * 2)
        // At once: a program killed in its first moments leaves a recording, if an empty one.
        do throws(LogError) {
            try hand(magic)
        } catch {
            close(descriptor)
            throw error
        }
    }

    deinit { close(descriptor) }

    private var magic: [UInt8] {
        LogFile.magic(version: codec == nil ? LogFile.plainVersion : LogFile.groupedVersion)
    }

    private static func create(_ path: String) throws(LogError) -> Int32 {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw LogError(
                doing: "creating", path, errno: errno,
                hint: errno == EEXIST ? "a recording is there already; give another -o" : "")
        }
        return descriptor
    }

    package func append(_ record: LogRecord) throws(LogError) {
        let (source, frames) = record.frames
        for frame in frames { try append(frame, source: source) }
    }

    package func append(_ frame: Frame, source: SourceID) throws(LogError) {
        LogWriter.put(frame, source: source, into: &buffer)
        if buffer.count >= LogWriter.bufferBytes { try flush() }
    }

    static func put(_ frame: Frame, source: SourceID, into buffer: inout [UInt8]) {
        for word in [source.rawValue, ~source.rawValue] {
            withUnsafeBytes(of: word.littleEndian) { buffer.append(contentsOf: $0) }
        }
        frame.append(to: &buffer)
    }

    /// Those of all records, also of those that wait in memory.
    package var bytesAppended: UInt64 { bytesWritten + UInt64(buffer.count) }

    /// Where the next record begins. In a compressed recording it begins a group.
    package func mark() throws(LogError) -> LogPosition {
        if codec != nil { try flush() }
        return LogPosition(segment: current.number, offset: current.bytes + UInt64(buffer.count))
    }

    /// Takes the recording back: the session never began. A directory that was there before stays.
    package func discard() {
        for segment in segments { unlink(LogFile.path(directory, segment: segment.number)) }
        for name in [LogIndex.indexName, LogIndex.checkpointsName] { unlink("\(directory)/\(name)") }
        if isDirectoryOurs { rmdir(directory) }
    }

    /// Hands everything to the kernel. A killed process loses what came after; a crashed machine, what was not on disk.
    package func flush() throws(LogError) {
        guard !buffer.isEmpty else { return }
        // What was written stays; the torn record at its end is cut by the reader.
        defer { buffer.removeAll(keepingCapacity: true) }
        if let codec, let group = LogGroup.record(of: buffer, by: codec) {
            try hand(group)
        } else {
            try hand(buffer)
        }
    }

    private func hand(_ bytes: [UInt8]) throws(LogError) {
        var at = 0
        while at < bytes.count {
            let written = bytes.withUnsafeBytes {
                write(descriptor, $0.baseAddress?.advanced(by: at), $0.count - at)
            }
            if written < 0 {
                if errno == EINTR { continue }
                throw LogError(
                    doing: "writing", LogFile.path(directory, segment: current.number), errno: errno,
                    hint: "what was recorded before stays readable")
            }
            at += written
            bytesWritten += UInt64(written)
            current.bytes += UInt64(written)
        }
    }

    // MARK: Segments

    /// The session has come to `time`: is it time for the next segment?
    package func isSegmentFull(at time: HostTime) -> Bool {
        if current.start == nil { current.start = time }
        if let limit = retention.segmentBytes, current.bytes + UInt64(buffer.count) >= limit { return true }
        if let limit = retention.segmentNanoseconds, let start = current.start { return time - start >= limit }
        return false
    }

    /// Ends the segment and begins the next one, at `time`, with a repetition of what has to be known. Then the oldest ones go
    /// that are not to be kept. Says whether the first segment is still there.
    package func beginSegment(at time: HostTime, repeating records: [LogRecord]) throws(LogError) -> Bool {
        try flush()
        let next = current.number + 1
        let created = try LogWriter.create(LogFile.path(directory, segment: next))
        close(descriptor)
        descriptor = created
        segments.append(Segment(number: next, start: time))
        var repetition: [UInt8] = []
        for record in records {
            let (source, frames) = record.frames
            for frame in frames { LogWriter.put(frame, source: source, into: &repetition) }
        }
        var beginning = magic
        var head = BodyWriter()
        head.put(repetition.count)
        LogWriter.put(Frame(type: LogFile.segmentHeadType, body: head.bytes), source: .host, into: &beginning)
        try hand(beginning + repetition)
        removeOldest(at: time)
        return segments[0].number == 1
    }

    private func removeOldest(at time: HostTime) {
        while segments.count > 1, !isKept(segments[0], next: segments[1], at: time) {
            unlink(LogFile.path(directory, segment: segments[0].number))
            segments.removeFirst()
        }
    }

    private func isKept(_ oldest: Segment, next: Segment, at time: HostTime) -> Bool {
        if let limit = retention.keptBytes {
            // The segment that is written to will grow to its full size.
            let closed = segments.dropLast().reduce(0) { $0 + $1.bytes }
            if closed + (retention.segmentBytes ?? 0) > limit { return false }
        }
        if let limit = retention.keptNanoseconds, let start = next.start { return time - start < limit }
        return true
    }

    /// Makes a recording of its own of all that is kept now, in `copy`, without copying it: the files have two names from now
    /// on. Only whole segments are taken, so begin a new one first.
    package func save(as copy: String) throws(LogError) {
        guard mkdir(copy, 0o755) == 0 else {
            throw LogError(doing: "creating the recording's directory", copy, errno: errno)
        }
        for segment in segments.dropLast() {
            let path = LogFile.path(directory, segment: segment.number)
            guard link(path, LogFile.path(copy, segment: segment.number)) == 0 else {
                throw LogError(doing: "saving", path, errno: errno)
            }
        }
    }
}
