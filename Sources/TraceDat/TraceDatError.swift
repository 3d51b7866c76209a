/// Why a trace.dat file cannot be read, or not written.
package struct TraceDatError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What was being read or written: `the event formats`.
    package var subject: String
    /// What was found there, and what may help.
    package var problem: String
    /// Where in the file, or in the decompressed section; nil when it is about no place.
    package var offset: Int?

    package init(_ subject: String, _ problem: String, offset: Int? = nil) {
        self.subject = subject
        self.problem = problem
        self.offset = offset
    }

    package var description: String {
        "\(subject)\(offset.map { " (byte \($0))" } ?? ""): \(problem)"
    }
}
