import Glibc
import TraceDat

/// A file that is written from its start to its end.
final class OutputFile {
    let path: String
    private let descriptor: Int32
    private(set) var bytesWritten: UInt64 = 0

    /// A temporary file has no name any more when this returns: nothing is left of it, however we end.
    init(creating path: String, isTemporary: Bool = false) throws(TraceDatError) {
        self.path = path
        descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw Self.error("creating", path) }
        if isTemporary { unlink(path) }
    }

    deinit { close(descriptor) }

    func write(_ bytes: [UInt8]) throws(TraceDatError) { try write(bytes[...]) }

    private func write(_ bytes: ArraySlice<UInt8>) throws(TraceDatError) {
        var rest = bytes
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw Self.error("writing", path) }
            rest = rest.dropFirst(count)
            bytesWritten += UInt64(count)
        }
    }

    /// Appends bytes of another file.
    func copy(_ count: Int, from other: OutputFile, at place: UInt64) throws(TraceDatError) {
        var buffer = [UInt8](repeating: 0, count: min(count, 1 << 20))
        var done = 0
        while done < count {
            let wanted = min(buffer.count, count - done)
            let got = unsafe buffer.withUnsafeMutableBytes {
                unsafe pread(other.descriptor, $0.baseAddress, wanted, off_t(place) + off_t(done))
            }
            if got < 0, errno == EINTR { continue }
            guard got > 0 else { throw Self.error("reading back", other.path) }
            try write(buffer[..<got])
            done += got
        }
    }

    /// Late errors of the disk come with this.
    func finish() throws(TraceDatError) {
        guard fsync(descriptor) == 0 else { throw Self.error("writing", path) }
    }

    static func error(_ what: String, _ path: String) -> TraceDatError {
        TraceDatError("\(what) '\(path)'", unsafe String(cString: strerror(errno)))
    }
}
