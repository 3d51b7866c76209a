import Glibc
package import TraceModel

/// Where in a recording analysis can be taken up again: found by time in log₂ n steps, so that the state at any instant of a
/// long session costs the replay of some megabytes.
///
/// ```
/// index         8 bytes "TANDEMI" and the version (3), u64 number of the recording's first segment, u64 seal of these; then
///               entries of 56 bytes, ascending, integers little-endian:
///     0  i64  host time, nanoseconds: the checkpoint serves instants from here on
///     8  u64  segment, 16 u64 offset: the first record that the checkpoint does not contain
///     24 u64  offset in `checkpoints`, 32 u64 length
///     40 u64  seal of the checkpoint, 48 u64 of the 48 bytes before (LogSeal)
/// checkpoints   the checkpoints, one after the other; see Collector/Checkpoint.swift
/// ```
/// Both are made of the stream alone, by the program that records it or by the first that looks for an instant in it: whoever
/// removes them loses time, not data. What cannot be read, or was made by a program whose analysis has other fields, is passed
/// over in the same way, and what another user's program made is not read at all (Decisions/0015). So is all that was made
/// before the recording lost its first segment, because what is analyzed from the next one on knows less.
package enum LogIndex {
    package static let indexName = "index"
    package static let checkpointsName = "checkpoints"
    private static let magic: [UInt8] = Array("TANDEMI".utf8) + [3]
    static let headBytes = 24
    static let entryBytes = 56

    /// One line of the index.
    package struct Entry: Hashable, Sendable {
        package var time: HostTime
        package var position: LogPosition
        var offset: UInt64
        var length: UInt64
        /// Of the checkpoint.
        var tag: UInt64

        init(time: HostTime, position: LogPosition, offset: UInt64, length: UInt64, tag: UInt64) {
            self.time = time
            self.position = position
            self.offset = offset
            self.length = length
            self.tag = tag
        }

        func bytes(_ seal: LogSeal) -> [UInt8] {
            let bytes = LogIndex.bytes([
                UInt64(bitPattern: time.nanoseconds), UInt64(position.segment), position.offset, offset, length, tag,
            ])
            return bytes + LogIndex.bytes([seal.tag(bytes)])
        }

        /// Nil when the bytes are no entry under this seal.
        init?(_ bytes: [UInt8], _ seal: LogSeal) {
            guard bytes.count == LogIndex.entryBytes else { return nil }
            func number(_ at: Int) -> UInt64 { bytes[at..<at + 8].reversed().reduce(0) { $0 << 8 | UInt64($1) } }
            guard number(48) == seal.tag(Array(bytes[..<48])), let segment = Int(exactly: number(8)) else { return nil }
            self.init(
                time: HostTime(nanoseconds: Int64(bitPattern: number(0))),
                position: LogPosition(segment: segment, offset: number(16)), offset: number(24), length: number(32),
                tag: number(40))
        }
    }

    static func head(firstSegment: Int, _ seal: LogSeal) -> [UInt8] {
        let head = magic + bytes([UInt64(firstSegment)])
        return head + bytes([seal.tag(head)])
    }

    private static func bytes(_ words: [UInt64]) -> [UInt8] {
        words.flatMap { word in withUnsafeBytes(of: word.littleEndian) { Array($0) } }
    }
}

/// Writes an index beside a stream. Best effort: the recording is whole without it.
package final class LogIndexWriter {
    private let index: Int32
    private let checkpoints: Int32
    private let directory: String
    private var offset: UInt64 = 0
    private let lock: LogLock?
    private let seal: LogSeal

    /// Begins an index of a recording that its writer makes. Nil when the files cannot be made.
    package convenience init?(in directory: String, seal: LogSeal = .user) {
        self.init(directory, lock: nil, seal, O_TRUNC)
        guard write(LogIndex.head(firstSegment: 1, seal), to: index) else { return nil }
    }

    /// The index that a recording lacks, of what stands in it from `firstSegment` on; or, with `last`, what is missing in it
    /// behind that entry. Nil when the files cannot be written, or another program is writing in that directory.
    package convenience init?(
        of directory: String, firstSegment: Int, after last: LogIndex.Entry?, seal: LogSeal = .user
    ) {
        guard let lock = LogLock(directory) else { return nil }
        self.init(directory, lock: lock, seal, last == nil ? O_TRUNC : 0)
        guard let last else {
            guard write(LogIndex.head(firstSegment: firstSegment, seal), to: index) else { return nil }
            return
        }
        // An entry that was torn, and a checkpoint that got none, go.
        let entries = LogIndexReader(in: directory, firstSegment: firstSegment, seal: seal).count
        offset = last.offset + last.length
        guard ftruncate(index, off_t(LogIndex.headBytes + entries * LogIndex.entryBytes)) == 0,
            ftruncate(checkpoints, off_t(offset)) == 0
        else { return nil }
    }

    private init?(_ directory: String, lock: LogLock?, _ seal: LogSeal, _ flag: Int32) {
        self.directory = directory
        self.lock = lock
        self.seal = seal
        let flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | flag
        checkpoints = open("\(directory)/\(LogIndex.checkpointsName)", flags, 0o644)
        index = open("\(directory)/\(LogIndex.indexName)", flags, 0o644)
        guard index >= 0, checkpoints >= 0 else { return nil }
    }

    deinit {
        close(index)
        close(checkpoints)
    }

    /// False when it could not be written: the index ends before it.
    package func append(_ checkpoint: [UInt8], time: HostTime, position: LogPosition) -> Bool {
        let entry = LogIndex.Entry(
            time: time, position: position, offset: offset, length: UInt64(checkpoint.count),
            tag: seal.tag(checkpoint))
        offset += UInt64(checkpoint.count)
        return write(checkpoint, to: checkpoints) && write(entry.bytes(seal), to: index)
    }

    /// The stream begins later now, and what was analyzed before cannot be found out from it any more.
    package func remove() {
        unlink("\(directory)/\(LogIndex.indexName)")
        unlink("\(directory)/\(LogIndex.checkpointsName)")
    }

    private func write(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
        var at = 0
        while at < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress?.advanced(by: at), $0.count - at)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            at += count
        }
        return true
    }
}

/// Looks an instant up.
package struct LogIndexReader {
    private let directory: String
    private let firstSegment: Int
    private let seal: LogSeal

    package init(in directory: String, firstSegment: Int, seal: LogSeal = .user) {
        self.directory = directory
        self.firstSegment = firstSegment
        self.seal = seal
    }

    /// What was found: a checkpoint, and whether the index ends with it.
    package struct Found {
        package var entry: LogIndex.Entry
        package var bytes: [UInt8]
        package var isLast: Bool
    }

    /// How many entries there are; 0 as well when there is no index of this recording as it is.
    package var count: Int { withIndex { _, count in count } ?? 0 }

    /// The last checkpoint from which instants from `time` on can be reached; nil when there is none that can be read.
    package func checkpoint(notAfter time: HostTime) -> Found? {
        withIndex { checkpoint(notAfter: time, in: $0, $1) } ?? nil
    }

    private func withIndex<Result>(_ body: (_ index: Int32, _ entries: Int) -> Result) -> Result? {
        let index = open("\(directory)/\(LogIndex.indexName)", O_RDONLY | O_CLOEXEC)
        guard index >= 0 else { return nil }
        defer { close(index) }
        var facts = stat()
        guard fstat(index, &facts) == 0,
            read(index, at: 0, count: LogIndex.headBytes) == LogIndex.head(firstSegment: firstSegment, seal)
        else { return nil }
        return body(index, max(0, Int(facts.st_size) - LogIndex.headBytes) / LogIndex.entryBytes)
    }

    private func checkpoint(notAfter time: HostTime, in index: Int32, _ count: Int) -> Found? {
        func entry(_ number: Int) -> LogIndex.Entry? {
            read(index, at: LogIndex.headBytes + number * LogIndex.entryBytes, count: LogIndex.entryBytes)
                .flatMap { LogIndex.Entry($0, seal) }
        }
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if let entry = entry(middle), entry.time <= time { low = middle + 1 } else { high = middle }
        }
        // A checkpoint that cannot be read sends us to the one before it.
        for number in stride(from: low - 1, through: 0, by: -1) {
            if let entry = entry(number), let bytes = bytes(of: entry) {
                return Found(entry: entry, bytes: bytes, isLast: number == count - 1)
            }
        }
        return nil
    }

    private func bytes(of entry: LogIndex.Entry) -> [UInt8]? {
        let file = open("\(directory)/\(LogIndex.checkpointsName)", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var facts = stat()
        guard fstat(file, &facts) == 0, let offset = Int(exactly: entry.offset),
            let length = Int(exactly: entry.length),
            length <= Limits.checkpointBytes, offset <= facts.st_size, length <= facts.st_size - offset
        else { return nil }
        guard let bytes = read(file, at: offset, count: length), seal.tag(bytes) == entry.tag else {
            return nil
        }
        return bytes
    }

    private func read(_ descriptor: Int32, at offset: Int, count: Int) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        var done = 0
        while done < count {
            let part = bytes.withUnsafeMutableBytes {
                pread(descriptor, $0.baseAddress?.advanced(by: done), $0.count - done, offset + done)
            }
            if part < 0, errno == EINTR { continue }
            guard part > 0 else { return nil }
            done += part
        }
        return bytes
    }
}
