import Glibc
import TraceModel
import Wire

/// Reads a recording in order, segment after segment.
package final class LogReader {
    package let directory: String
    /// Numbers of the segments that follow each other without a hole, from the first that is there.
    private let segments: [Int]
    private var segment: Int
    private var descriptor: Int32
    private var description = Description()
    private var buffer: [UInt8] = []
    /// The next byte in `buffer`, and where that lies in the file.
    private var at = 0
    private var fileOffset: UInt64 = 0
    private static let chunkBytes = 256 << 10
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
        let all = LogFile.segments(in: directory)
        let first = all.first ?? 1
        segments = all.enumerated().prefix { $0.element == first + $0.offset }.map(\.element)
        segment = first
        descriptor = try LogReader.open(directory, segment: first)
        do throws(LogError) {
            try readMagic()
            if first > 1 { _ = try segmentHead() }
        } catch {
            close(descriptor)
            throw error
        }
    }

    deinit { close(descriptor) }

    private static func open(_ directory: String, segment: Int) throws(LogError) -> Int32 {
        let path = LogFile.path(directory, segment: segment)
        let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw LogError(
                doing: "opening the recording", path, errno: errno,
                hint: "a recording is a directory made by 'tandem record -o DIRECTORY'")
        }
        return descriptor
    }

    private var path: String { LogFile.path(directory, segment: segment) }

    private func readMagic() throws(LogError) {
        try fill(LogFile.magic.count)
        let magic = Array(buffer[at...].prefix(LogFile.magic.count))
        guard magic.prefix(7) == LogFile.magic.prefix(7), magic.count == 8 else {
            throw LogError("'\(path)' is not a Tandem recording")
        }
        guard magic == LogFile.magic else {
            throw LogError("'\(path)' has format version \(magic.last ?? 0); this program reads version 1")
        }
        at += magic.count
    }

    // MARK: Records

    /// The next record; nil at the end. A torn or damaged tail ends the recording and is told in `tornTail`.
    package func next() throws(LogError) -> LogRecord? {
        while tornTail == nil {
            let start = position
            guard let (source, frame) = try nextFrame() else {
                if tornTail == nil, try openNextSegment() { continue }
                break
            }
            do throws(MessageError) {
                if let record = try LogRecord(source: source, frame: frame).flatMap(described) { return record }
            } catch {
                // Its checksum is right: it was written like this.
                tornTail =
                    "the record at byte \(start.offset) cannot be read (\(error.message), \(error.problem)); "
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

    /// The next record's source and frame; nil at the end of the segment.
    private func nextFrame() throws(LogError) -> (SourceID, Frame)? {
        let headBytes = LogFile.recordPrefixBytes + Frame.headerBytes
        try fill(headBytes)
        let start = position.offset
        guard buffer.count - at >= headBytes else {
            if at < buffer.count { tornTail = "the record at byte \(start) is cut" }
            return nil
        }
        let source = number(at)
        let length = Int(number(at + LogFile.recordPrefixBytes))
        guard number(at + 4) == ~source, length <= Limits.frameBytes else {
            tornTail = "the record at byte \(start) is damaged"
            return nil
        }
        let count = headBytes + length
        try fill(count)
        guard buffer.count - at >= count else {
            tornTail = "the record at byte \(start) is cut: \(count - (buffer.count - at)) of its bytes are missing"
            return nil
        }
        let frame = buffer.withUnsafeBytes {
            Frame(whole: UnsafeRawBufferPointer(rebasing: $0[at + LogFile.recordPrefixBytes..<at + count]))
        }
        guard let frame else {
            tornTail = "the record at byte \(start) is damaged"
            return nil
        }
        at += count
        return (SourceID(source), frame)
    }

    /// Little-endian.
    private func number(_ at: Int) -> UInt32 {
        buffer[at..<at + 4].reversed().reduce(0) { $0 << 8 | UInt32($1) }
    }

    /// Reads until `count` bytes from `at` on are there, or the file ends.
    private func fill(_ count: Int) throws(LogError) {
        guard buffer.count - at < count else { return }
        fileOffset += UInt64(at)
        buffer.removeFirst(at)
        at = 0
        var chunk = [UInt8](repeating: 0, count: max(LogReader.chunkBytes, count))
        while buffer.count < count {
            let got = chunk.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
            if got < 0, errno == EINTR { continue }
            guard got >= 0 else { throw LogError(doing: "reading", path, errno: errno) }
            if got == 0 { return }
            buffer.append(contentsOf: chunk[..<got])
        }
    }

    // MARK: Segments and places

    /// False at the end of the last one.
    private func openNextSegment() throws(LogError) -> Bool {
        guard segments.contains(segment + 1) else { return false }
        try go(to: LogPosition(segment: segment + 1, offset: 0))
        // All that it repeats was told in the segments before.
        if (try? readMagic()) != nil, let repeated = try segmentHead() {
            var facts = stat()
            let end = position.offset + repeated
            if fstat(descriptor, &facts) == 0, end <= UInt64(facts.st_size) {
                try go(to: LogPosition(segment: segment, offset: end))
                return true
            }
        }
        // The program ended while it began this one.
        tornTail = tornTail ?? "segment \(segment) has no beginning"
        return true
    }

    /// The number of bytes that repeat what earlier segments said; nil when the head is not whole.
    private func segmentHead() throws(LogError) -> UInt64? {
        guard let (_, frame) = try nextFrame() else { return nil }
        var body = BodyReader(frame.body, message: "segment head")
        guard frame.type == LogFile.segmentHeadType, let count = try? body.unsigned(), count < 1 << 40 else {
            tornTail = "the segment '\(path)' has no head"
            return nil
        }
        return count
    }

    /// The next record's place.
    package var position: LogPosition { LogPosition(segment: segment, offset: fileOffset + UInt64(at)) }

    /// Whether nothing was removed from the recording's beginning.
    package var isFromBeginning: Bool { segments.first == 1 }

    /// Reads on from a record's beginning that `position` or an index told.
    package func go(to place: LogPosition) throws(LogError) {
        if place.segment != segment {
            let opened = try LogReader.open(directory, segment: place.segment)
            close(descriptor)
            descriptor = opened
            segment = place.segment
        }
        guard let offset = off_t(exactly: place.offset), lseek(descriptor, offset, SEEK_SET) == offset else {
            throw LogError(doing: "reading", path, errno: errno)
        }
        buffer.removeAll(keepingCapacity: true)
        at = 0
        fileOffset = place.offset
        description = Description()
        tornTail = nil
    }

    /// The share of the recording that was read.
    package var progress: Double {
        var (before, all): (UInt64, UInt64) = (position.offset, 0)
        for number in segments {
            var facts = stat()
            guard stat(LogFile.path(directory, segment: number), &facts) == 0 else { continue }
            all += UInt64(facts.st_size)
            if number < segment { before += UInt64(facts.st_size) }
        }
        return all == 0 ? 1 : min(1, Double(before) / Double(all))
    }
}
