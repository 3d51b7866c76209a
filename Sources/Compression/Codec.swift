/// Compresses and decompresses blocks of bytes, each of which stands alone.
///
/// A class, because the libraries' working memory (some 100 KiB) is kept from block to block; not for use by two threads
/// at once. Sizes are always bounded by the caller: a few hostile bytes can claim to be gigabytes.
package final class Codec {
    package let algorithm: CompressionAlgorithm
    private let zstd: Zstd?

    /// Nil when the library has no memory for its working state.
    package init?(_ algorithm: CompressionAlgorithm) {
        self.algorithm = algorithm
        switch algorithm {
        case .zlib: zstd = nil
        case .zstd:
            guard let state = Zstd() else { return nil }
            zstd = state
        }
    }

    /// `bytes` compressed. Level 1 is the fastest of both libraries; nil is their default (6 and 3).
    package func compress(_ bytes: RawSpan, level: Int? = nil) throws(CompressionError) -> [UInt8] {
        let result = zstd.map { $0.compress(bytes, level: level) } ?? Zlib.compress(bytes, level: level)
        return try get(result, "compressing \(bytes.byteCount) bytes")
    }

    /// What `bytes` were before; an error when that is more than `maximumBytes`, before memory is taken for it.
    package func decompress(_ bytes: RawSpan, maximumBytes: Int) throws(CompressionError) -> [UInt8] {
        let result =
            zstd.map { $0.decompress(bytes, maximumBytes: maximumBytes) }
            ?? Zlib.decompress(bytes, maximumBytes: maximumBytes)
        return try get(result, "decompressing \(bytes.byteCount) bytes into at most \(maximumBytes)")
    }

    private func get(_ result: Result<[UInt8], Reason>, _ what: String) throws(CompressionError) -> [UInt8] {
        switch result {
        case .success(let bytes): return bytes
        case .failure(let reason):
            throw CompressionError(algorithm: algorithm, problem: "\(what): \(reason.text)")
        }
    }

    /// The library's own words.
    struct Reason: Error {
        var text: String
    }
}
