import Glibc

/// Text that is too long to be kept until its end.
enum StandardOutput {
    /// False when nobody reads it any more: 'head' has seen enough.
    static func write(_ bytes: UnsafeRawBufferPointer, of what: String) throws -> Bool {
        var at = 0
        while at < bytes.count {
            let count = Glibc.write(STDOUT_FILENO, bytes.baseAddress?.advanced(by: at), bytes.count - at)
            if count < 0, errno == EINTR { continue }
            if count < 0, errno == EPIPE { return false }
            guard count > 0 else {
                throw SessionArguments.Problem(
                    description: "writing \(what) failed: \(String(cString: strerror(errno)))")
            }
            at += count
        }
        return true
    }
}
