import Glibc
import TraceModel

/// The system calls of this room: list, read, follow a link. Nothing is interpreted here.
///
/// A process may end between any two of these calls (ENOENT, or ESRCH from an open file), and most of another user's
/// process is closed to us (EACCES). Both are ordinary answers, so a missing thing is nil, not an error.
struct ProcFiles: Sendable {
    let root: String

    enum Listing {
        case numbers([Int32])
        /// It exists and may not be looked into.
        case denied
        case gone
    }

    /// The entries that are decimal numbers: processes, threads and file descriptors all are.
    func numbers(in path: String, atMost limit: Int) -> Listing {
        guard let directory = opendir("\(root)/\(path)") else { return errno == EACCES ? .denied : .gone }
        defer { closedir(directory) }
        var numbers: [Int32] = []
        while numbers.count < limit, let entry = readdir(directory) {
            let number = withUnsafeBytes(of: &entry.pointee.d_name) { name -> Int32? in
                var value: Int32 = 0
                for (index, byte) in name.enumerated() {
                    if byte == 0 { return index == 0 ? nil : value }
                    guard (0x30...0x39).contains(byte) else { return nil }
                    let (tens, isTooLarge) = value.multipliedReportingOverflow(by: 10)
                    let (sum, isTooLargeNow) = tens.addingReportingOverflow(Int32(byte - 0x30))
                    if isTooLarge || isTooLargeNow { return nil }
                    value = sum
                }
                return nil
            }
            if let number { numbers.append(number) }
        }
        return .numbers(numbers)
    }

    /// What a symbolic link says, and nothing of what it leads to.
    func link(_ path: String) -> String? {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: Int(PATH_MAX)) { buffer in
            let count = buffer.withMemoryRebound(to: CChar.self) { text in
                text.baseAddress.map { readlink("\(root)/\(path)", $0, text.count) } ?? -1
            }
            return count > 0 ? String(decoding: buffer[..<count], as: UTF8.self) : nil
        }
    }

    /// A file of the process directory, up to `limit` bytes.
    func contents(_ path: String, atMost limit: Int) -> [UInt8]? {
        read(open("\(root)/\(path)", O_RDONLY | O_CLOEXEC), atMost: limit)
    }

    /// A file that a VMM's command line names, if it is a regular one.
    ///
    /// Whoever may start a VMM chooses that name, and to merely open a device can have effects (a watchdog starts, a pipe
    /// blocks). So the name is first resolved with O_PATH, which opens nothing, and the very same file is read
    /// afterwards.
    func regularFile(_ absolutePath: String, atMost limit: Int) -> [UInt8]? {
        let place = open(absolutePath, Self.openPathOnly | O_CLOEXEC)
        guard place >= 0 else { return nil }
        defer { close(place) }
        var status = stat()
        guard fstat(place, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
        return read(open("/proc/self/fd/\(place)", O_RDONLY | O_CLOEXEC), atMost: limit)
    }

    /// Whether a process sees the same file tree as we do; true when that cannot be told.
    func sharesRoot(_ pid: Int32) -> Bool {
        var theirs = stat()
        var ours = stat()
        guard stat("\(root)/\(pid)/root", &theirs) == 0, stat("/", &ours) == 0 else { return true }
        return theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino
    }

    /// O_PATH (include/uapi/asm-generic/fcntl.h); Glibc's module is built without _GNU_SOURCE and lacks it.
    private static let openPathOnly: Int32 = 0o10000000

    private func read(_ file: Int32, atMost limit: Int) -> [UInt8]? {
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes: [UInt8] = []
        while bytes.count < limit {
            let wanted = min(max(bytes.count, 1024), limit - bytes.count)
            var got = 0
            let part = [UInt8](unsafeUninitializedCapacity: wanted) { buffer, count in
                repeat { got = Glibc.read(file, buffer.baseAddress, wanted) } while got < 0 && errno == EINTR
                count = max(got, 0)
            }
            if got < 0 { return nil }
            if got == 0 { break }
            if bytes.isEmpty { bytes = part } else { bytes += part }
        }
        return bytes
    }
}
