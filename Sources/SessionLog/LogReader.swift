import Compression
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
    /// The records of the group that is read, the next one's place in it, and the group's in the file.
    private var group: [UInt8] = []
    private var groupAt = 0
    private var groupOffset: UInt64 = 0
    private var codec: Codec?
    /// Bytes of the files that were read.
    package private(set) var bytesRead: UInt64 = 0
    /// Where the record that `next` gave last begins, with all that describes it.
    package private(set) var start = LogPosition(segment: 1, offset: 0)
    /// Set when the recording does not end with a whole record: it was cut (crash, full disk).
    package private(set) var tornTail: String?

    /// What a source was said to look like, before it is opened.
    private struct Description {
        var source: SourceID?
        var formats: [FormatMessage] = []
        var names = TaskNamesMessage(tasks: [])
        var bytes = 0
        var start: LogPosition?
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
        try fill(LogFile.magicBytes)
        let magic = Array(buffer[at...].prefix(LogFile.magicBytes))
        let version = magic.last ?? 0
        guard magic.count == LogFile.magicBytes, magic == LogFile.magic(version: version) else {
            throw LogError("'\(path)' is not a Tandem recording")
        }
        guard version == LogFile.plainVersion || version == LogFile.groupedVersion else {
            throw LogError("'\(path)' has format version \(version); this program reads versions 1 and 2")
        }
        at += magic.count
    }

    // MARK: Records

    /// The next record; nil at the end. A torn or damaged tail ends the recording and is told in `tornTail`.
    package func next() throws(LogError) -> LogRecord? {
        while tornTail == nil {
            let place = position
            guard let (source, frame) = try nextFrame() else {
                if tornTail == nil, try openNextSegment() { continue }
                break
            }
            do throws(MessageError) {
                if let record = try LogRecord(source: source, frame: frame).flatMap({ described($0, at: place) }) {
                    return record
                }
            } catch {
                // Its checksum is right: it was written like this.
                tornTail =
                    "the record at byte \(place.offset) cannot be read (\(error.message), \(error.problem)); "
                    + "a later version may have written it"
            }
        }
        return nil
    }

    /// Keeps formats and names until the opening that they belong to.
    private func described(_ record: LogRecord, at place: LogPosition) -> LogRecord? {
        start = place
        switch record {
        case .message(let source, .format(let format)):
            if description.source != source { description = Description(source: source, start: place) }
            description.bytes += format.text.utf8.count
            // More than a kernel can have: a damaged or hostile file.
            if description.formats.count == Limits.formats || description.bytes > Limits.descriptionBytes {
                tornTail = "it describes more events than a kernel can have"
            }
            description.formats.append(format)
            return nil
        case .message(let source, .taskNames(let names)):
            if description.source != source { description = Description(source: source, start: place) }
            let room = Limits.taskNames - description.names.tasks.count
            description.names.tasks.append(contentsOf: names.tasks.prefix(room))
            return nil
        case .sourceOpened(let source, let facts, _, _):
            let mine = description.source == source ? description : Description(source: source)
            start = mine.start ?? place
            description = Description()
            return .sourceOpened(source, facts, formats: mine.formats, names: mine.names)
        default: return record
        }
    }

    /// The next record's source and frame; nil at the end of the segment.
    private func nextFrame() throws(LogError) -> (SourceID, Frame)? {
        while true {
            if groupAt < group.count { return nextOfGroup() }
            let offset = fileOffset + UInt64(at)
            try fill(LogReader.headBytes)
            let count = LogReader.headBytes + (bodyLength(in: buffer, at) ?? 0)
            try fill(count)
            switch LogReader.record(in: buffer, at, bodyLength(in: buffer, at)) {
            case .whole(let source, let frame):
                at += count
                bytesRead += UInt64(count)
                guard frame.type == LogGroup.recordType else { return (source, frame) }
                guard open(frame, at: offset) else { return nil }
            case .cut(let missing):
                if at < buffer.count { tornTail = "the record at byte \(offset) is cut\(missing)" }
                return nil
            case .damaged:
                tornTail = "the record at byte \(offset) is damaged"
                return nil
            }
        }
    }

    private func open(_ frame: Frame, at offset: UInt64) -> Bool {
        codec = codec ?? Codec(.zstd)
        do {
            group = try codec?.decompress(frame.body.span.bytes, maximumBytes: LogGroup.mostBytes) ?? []
        } catch {
            tornTail = "the group at byte \(offset) is damaged: \(error)"
            return false
        }
        (groupAt, groupOffset) = (0, offset)
        return true
    }

    private func nextOfGroup() -> (SourceID, Frame)? {
        guard case .whole(let source, let frame) = LogReader.record(in: group, groupAt, bodyLength(in: group, groupAt))
        else {
            tornTail = "the group at byte \(groupOffset) is damaged: it does not hold whole records"
            return nil
        }
        groupAt += LogReader.headBytes + frame.body.count
        return (source, frame)
    }

    private enum Found {
        case whole(SourceID, Frame)
        case cut(missing: String)
        case damaged
    }

    private static let headBytes = LogFile.recordPrefixBytes + Frame.headerBytes

    /// What its head says; nil when there is none.
    private func bodyLength(in bytes: [UInt8], _ at: Int) -> Int? {
        guard bytes.count - at >= LogReader.headBytes else { return nil }
        let length = Int(LogReader.number(bytes, at + LogFile.recordPrefixBytes))
        return length <= Limits.frameBytes ? length : 0
    }

    private static func record(in bytes: [UInt8], _ at: Int, _ length: Int?) -> Found {
        guard let length else { return .cut(missing: "") }
        let source = number(bytes, at)
        guard number(bytes, at + 4) == ~source, number(bytes, at + LogFile.recordPrefixBytes) <= Limits.frameBytes
        else { return .damaged }
        let count = headBytes + length
        guard bytes.count - at >= count else {
            return .cut(missing: ": \(count - (bytes.count - at)) of its bytes are missing")
        }
        let frame = bytes.withUnsafeBytes {
            Frame(whole: UnsafeRawBufferPointer(rebasing: $0[at + LogFile.recordPrefixBytes..<at + count]))
        }
        return frame.map { .whole(SourceID(source), $0) } ?? .damaged
    }

    /// Little-endian.
    private static func number(_ bytes: [UInt8], _ at: Int) -> UInt32 {
        bytes[at..<at + 4].reversed().reduce(0) { $0 << 8 | UInt32($1) }
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
    package var position: LogPosition {
        groupAt < group.count
            ? LogPosition(segment: segment, offset: groupOffset, inside: groupAt)
            : LogPosition(segment: segment, offset: fileOffset + UInt64(at))
    }

    package var firstSegment: Int { segments.first ?? 1 }

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
        group = []
        groupAt = 0
        fileOffset = place.offset
        description = Description()
        tornTail = nil
        guard place.inside > 0 else { return }
        guard try nextFrame() != nil, place.inside < group.count else {
            throw LogError("'\(path)' has no group of records at byte \(place.offset)")
        }
        groupAt = place.inside
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
