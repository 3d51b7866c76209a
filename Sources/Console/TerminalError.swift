import Glibc

/// Why the terminal could not be used: what was tried, and what the system answered.
package struct TerminalError: Error, CustomStringConvertible {
    package let action: String
    package let code: Int32

    init(_ action: String, code: Int32 = errno) {
        self.action = action
        self.code = code
    }

    package var description: String { "cannot \(action): \(String(cString: strerror(code)))" }
}
