/// The two compressions that trace.dat knows (trace-cmd.dat.v7(5)); recordings use the second.
///
/// Both come from the system's libraries: every Debian machine has them (dpkg itself needs them), and an own inflate would
/// be slower and one more thing that hostile bytes could break.
package enum CompressionAlgorithm: String, Hashable, Sendable, CaseIterable {
    case zlib
    case zstd

    /// The version of the library that is linked in, as trace.dat names it in its header.
    package var libraryVersion: String {
        switch self {
        case .zlib: Zlib.version
        case .zstd: Zstd.version
        }
    }
}

/// Why bytes could not be compressed or decompressed.
package struct CompressionError: Error, Hashable, Sendable, CustomStringConvertible {
    package var algorithm: CompressionAlgorithm
    /// What was being done, to how many bytes, and what the library answered.
    package var problem: String

    package var description: String { "\(algorithm.rawValue): \(problem)" }
}
