import Glibc
package import TraceDat

/// A file as one piece of memory, read-only: files of some gigabytes cost what is looked at.
///
/// Whoever cuts the file short while it is mapped ends this program (SIGBUS, mmap(2)). That is the price of not copying
/// it; `trace-cmd report` pays the same.
package final class MappedFile: @unchecked Sendable {
    // @unchecked: the memory is never written, and unmapped only when nobody has this object any more.
    package let path: String
    private let memory: UnsafeRawBufferPointer

    package init(opening path: String) throws(TraceDatError) {
        self.path = path
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Self.error("opening", path, "give the name of a trace.dat file") }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw Self.error("looking at", path) }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw TraceDatError("'\(path)'", "it is not a regular file; give the name of a trace.dat file")
        }
        // An empty file cannot be mapped.
        guard status.st_size > 0 else { throw TraceDatError("'\(path)'", "it is empty") }
        guard
            let start = unsafe mmap(nil, Int(status.st_size), PROT_READ, MAP_PRIVATE, descriptor, 0),
            unsafe start != MAP_FAILED
        else { throw Self.error("mapping", path) }
        memory = unsafe UnsafeRawBufferPointer(start: start, count: Int(status.st_size))
        // Read ahead, forget behind.
        unsafe madvise(start, Int(status.st_size), MADV_SEQUENTIAL)
    }

    deinit { unsafe munmap(UnsafeMutableRawPointer(mutating: memory.baseAddress), memory.count) }

    package func withBytes<Result, Failure: Error>(_ body: (RawSpan) throws(Failure) -> Result) throws(Failure)
        -> Result
    {
        try body(unsafe memory.bytes)
    }

    package var byteCount: Int { memory.count }

    /// Whether a file can be opened and starts like that.
    package static func begins(_ path: String, with magic: [UInt8]) -> Bool {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: magic.count)
        return unsafe bytes.withUnsafeMutableBytes { unsafe read(descriptor, $0.baseAddress, $0.count) } == magic.count
            && bytes == magic
    }

    private static func error(_ what: String, _ path: String, _ hint: String = "") -> TraceDatError {
        let answer = unsafe String(cString: strerror(errno))
        return TraceDatError("\(what) '\(path)'", hint.isEmpty ? answer : "\(answer); \(hint)")
    }
}
