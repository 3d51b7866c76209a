import Glibc
package import TraceModel
package import Wire

/// A recording on disk: a directory with one append-only file of frames.
///
/// ```
/// NAME.tandem/stream
///     8 bytes "TANDEM\0" and the version (1)
///     then records: u32 source id and u32 its complement (little-endian), one Frame (see Wire/Frame.swift)
/// ```
/// The complement finds what the frame's checksum does not cover: a damaged id must not give events to another source.
///
/// One file for all sources, because their interleaving *is* the session: the pipeline was told these things in this
/// order, and only the same order gives the same analysis again. A file cut anywhere is readable up to its last whole
/// record.
package enum LogFile {
    package static let magic: [UInt8] = Array("TANDEM".utf8) + [0, 1]
    package static let streamName = "stream"
    /// Whether a directory holds the stream of a recording.
    package static func isRecording(_ directory: String) -> Bool { access("\(directory)/\(streamName)", F_OK) == 0 }

    /// The source id and its complement before each frame.
    static let recordPrefixBytes = 8
}

package struct LogError: Error, Hashable, Sendable, CustomStringConvertible {
    package var description: String

    init(_ description: String) { self.description = description }

    init(doing what: String, _ path: String, errno code: Int32, hint: String = "") {
        description = "\(what) '\(path)' failed: \(String(cString: strerror(code)))\(hint.isEmpty ? "" : "; \(hint)")"
    }
}

/// Writes a recording. Not thread-safe: it belongs to the thread that runs the pipeline.
package final class LogWriter {
    package let directory: String
    private let descriptor: Int32
    private let isDirectoryOurs: Bool
    private var buffer: [UInt8] = []
    private let bufferBytes = 256 << 10
    package private(set) var bytesWritten: UInt64 = 0

    /// Creates the directory; one that is already there must not hold a recording.
    package init(creating directory: String) throws(LogError) {
        self.directory = directory
        isDirectoryOurs = mkdir(directory, 0o755) == 0
        guard isDirectoryOurs || errno == EEXIST else {
            throw LogError(doing: "creating the recording's directory", directory, errno: errno)
        }
        let path = "\(directory)/\(LogFile.streamName)"
        descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw LogError(
                doing: "creating", path, errno: errno,
                hint: errno == EEXIST ? "a recording is there already; give another -o" : "")
        }
        buffer.reserveCapacity(bufferBytes * 2)
        buffer.append(contentsOf: LogFile.magic)
    }

    deinit { close(descriptor) }

    package func append(_ record: LogRecord) throws(LogError) {
        let (source, frames) = record.frames
        for frame in frames { try append(frame, source: source) }
    }

    package func append(_ frame: Frame, source: SourceID) throws(LogError) {
        for word in [source.rawValue, ~source.rawValue] {
            withUnsafeBytes(of: word.littleEndian) { buffer.append(contentsOf: $0) }
        }
        frame.append(to: &buffer)
        if buffer.count >= bufferBytes { try flush() }
    }

    /// Takes the recording back: the session never began. A directory that was there before stays.
    package func discard() {
        unlink("\(directory)/\(LogFile.streamName)")
        if isDirectoryOurs { rmdir(directory) }
    }

    /// Hands everything to the kernel. A killed process loses what came after; a crashed machine, what was not on disk.
    package func flush() throws(LogError) {
        var at = 0
        while at < buffer.count {
            let written = buffer.withUnsafeBytes {
                write(descriptor, $0.baseAddress?.advanced(by: at), $0.count - at)
            }
            if written < 0 {
                if errno == EINTR { continue }
                let code = errno
                // What was written stays; the torn record at its end is cut by the reader.
                buffer.removeAll(keepingCapacity: true)
                throw LogError(
                    doing: "writing", "\(directory)/\(LogFile.streamName)", errno: code,
                    hint: "what was recorded before stays readable")
            }
            at += written
            bytesWritten += UInt64(written)
        }
        buffer.removeAll(keepingCapacity: true)
    }
}

/// Reads a recording in order.
package final class LogReader {
    package let directory: String
    private let descriptor: Int32
    private var frames = FrameReader()
    private var description = Description()
    private var chunk = [UInt8](repeating: 0, count: 256 << 10)
    private var available = 0
    private var at = 0
    private var isAtEnd = false
    package private(set) var bytesRead: UInt64 = 0
    /// Set when the recording does not end with a whole record: it was cut (crash, full disk).
    package private(set) var tornTail: String?

    /// What a source was said to look like, before it is opened.
    private struct Description {
        var source: SourceID?
        var formats: [FormatMessage] = []
        var names = TaskNamesMessage(tasks: [])
        var bytes = 0
    }

    package init(opening directory: String) throws(LogError) {
        self.directory = directory
        let path = "\(directory)/\(LogFile.streamName)"
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw LogError(
                doing: "opening the recording", path, errno: errno,
                hint: "a recording is a directory made by 'tandem record -o DIRECTORY'")
        }
        var magic: [UInt8] = []
        while magic.count < LogFile.magic.count, let byte = try nextByte() { magic.append(byte) }
        guard magic.prefix(7) == LogFile.magic.prefix(7) else {
            throw LogError("'\(path)' is not a Tandem recording")
        }
        guard magic == LogFile.magic else {
            throw LogError("'\(path)' has format version \(magic.last ?? 0); this program reads version 1")
        }
    }

    deinit { close(descriptor) }

    private func fill() throws(LogError) {
        guard at == available, !isAtEnd else { return }
        repeat {
            let count = chunk.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else {
                throw LogError(doing: "reading", "\(directory)/\(LogFile.streamName)", errno: errno)
            }
            at = 0
            available = count
            isAtEnd = count == 0
            bytesRead += UInt64(count)
            return
        } while true
    }

    private func nextByte() throws(LogError) -> UInt8? {
        try fill()
        guard at < available else { return nil }
        defer { at += 1 }
        return chunk[at]
    }

    /// The next record; nil at the end. A torn or damaged tail ends the recording and is told in `tornTail`.
    package func next() throws(LogError) -> LogRecord? {
        while tornTail == nil {
            let start = position
            guard let (source, frame) = try nextFrame() else { break }
            do throws(MessageError) {
                if let record = try LogRecord(source: source, frame: frame).flatMap(described) { return record }
            } catch {
                // Its checksum is right: it was written like this.
                tornTail =
                    "the record at byte \(start) cannot be read (\(error.message), \(error.problem)); "
                    + "a later version may have written it"
            }
        }
        return nil
    }

    /// Keeps formats and names until the opening that they belong to.
    private func described(_ record: LogRecord) -> LogRecord? {
        switch record {
        case .message(let source, .format(let format)):
            if description.source != source { description = Description(source: source) }
            description.bytes += format.text.utf8.count
            // More than a kernel can have: a damaged or hostile file.
            if description.formats.count == Limits.formats || description.bytes > Limits.descriptionBytes {
                tornTail = "it describes more events than a kernel can have"
            }
            description.formats.append(format)
            return nil
        case .message(let source, .taskNames(let names)):
            if description.source != source { description = Description(source: source) }
            let room = Limits.taskNames - description.names.tasks.count
            description.names.tasks.append(contentsOf: names.tasks.prefix(room))
            return nil
        case .sourceOpened(let source, let facts, _, _):
            let mine = description.source == source ? description : Description(source: source)
            description = Description()
            return .sourceOpened(source, facts, formats: mine.formats, names: mine.names)
        default: return record
        }
    }

    /// The next record's source and frame; nil at the end.
    private func nextFrame() throws(LogError) -> (SourceID, Frame)? {
        let start = position
        var head: [UInt8] = []
        let headBytes = LogFile.recordPrefixBytes + Frame.headerBytes
        while head.count < headBytes, let byte = try nextByte() { head.append(byte) }
        guard head.count == headBytes else {
            if !head.isEmpty { tornTail = "the record at byte \(start) is cut" }
            return nil
        }
        let source = number(head[..<4])
        let length = Int(number(head[LogFile.recordPrefixBytes..<LogFile.recordPrefixBytes + 4]))
        guard number(head[4..<8]) == ~source, length <= Limits.frameBytes else {
            tornTail = "the record at byte \(start) is damaged"
            return nil
        }
        frames.append(Array(head[LogFile.recordPrefixBytes...]))
        var missing = length
        while missing > 0 {
            try fill()
            guard at < available else {
                tornTail = "the record at byte \(start) is cut: \(missing) of its bytes are missing"
                return nil
            }
            let count = min(missing, available - at)
            chunk.withUnsafeBytes { frames.append(UnsafeRawBufferPointer(rebasing: $0[at..<at + count])) }
            at += count
            missing -= count
        }
        if let frame = try? frames.next() { return (SourceID(source), frame) }
        tornTail = "the record at byte \(start) is damaged"
        return nil
    }

    /// Little-endian.
    private func number(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        bytes.reversed().reduce(0) { $0 << 8 | UInt32($1) }
    }

    /// The share of the file that was read.
    package var progress: Double {
        var facts = stat()
        guard fstat(descriptor, &facts) == 0, facts.st_size > 0 else { return 1 }
        return min(1, Double(position) / Double(facts.st_size))
    }

    /// Offset in the file of the byte that is read next.
    private var position: UInt64 { bytesRead - UInt64(available - at) }
}
