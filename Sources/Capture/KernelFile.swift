import CLinux
import Glibc

/// Whole small files of tracefs, proc and sysfs: each is read or written in one go, and every failure keeps its `errno`.
enum KernelFile {
    /// The largest text that is read: an event's format is at most some 20 KiB; `available_events` of a kernel with all
    /// its modules some 100 KiB. What is larger is cut, which a parser then sees.
    private static let largestText = 4 << 20

    static func read(_ path: String) throws(Errno) -> String {
        String(decoding: try readBytes(path), as: UTF8.self)
    }

    static func readBytes(_ path: String) throws(Errno) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        if descriptor < 0 { throw Errno.last }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var failure: Errno?
        withUnsafeTemporaryAllocation(byteCount: 16 << 10, alignment: 16) { piece in
            while bytes.count < largestText {
                let count = Glibc.read(descriptor, piece.baseAddress, piece.count)
                if count > 0 {
                    bytes += piece[..<count]
                } else if count == 0 {
                    return
                } else if errno != EINTR {
                    failure = Errno.last
                    return
                }
            }
        }
        if let failure { throw failure }
        return bytes
    }

    /// One write(2): tracefs takes what it gets in one call as the whole value.
    static func write(_ text: String, to path: String) throws(Errno) {
        let descriptor = open(path, O_WRONLY | O_CLOEXEC)
        if descriptor < 0 { throw Errno.last }
        defer { close(descriptor) }
        let bytes = Array(text.utf8)
        while Glibc.write(descriptor, bytes, bytes.count) < 0 {
            if errno != EINTR { throw Errno.last }
        }
    }

    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// The names in a directory, without `.` and `..`, in no order.
    static func names(in path: String) throws(Errno) -> [String] {
        guard let directory = opendir(path) else { throw Errno.last }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }
}

/// A failed system call's number, before it is known what it was for.
struct Errno: Error, CustomStringConvertible {
    var code: Int32

    /// That of the call that failed just now in this thread.
    static var last: Errno { Errno(code: errno) }

    var description: String {
        guard let name = clinux_errno_name(code), let text = clinux_errno_text(code) else { return "error \(code)" }
        return "\(String(cString: text)) (\(String(cString: name)))"
    }
}
