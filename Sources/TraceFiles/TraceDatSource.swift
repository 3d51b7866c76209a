import Compression
package import TraceDat
package import TraceModel

/// A trace.dat file, open: what it says of itself, and its events in order.
package final class TraceDatSource {
    package let path: String
    package let file: TraceDatFile
    private let mapped: MappedFile
    private let codecs = Codecs()

    package init(opening path: String) throws(TraceDatError) {
        self.path = path
        let mapped = try MappedFile(opening: path)
        let codecs = self.codecs
        do throws(TraceDatError) {
            file = try mapped.withBytes { (bytes) throws(TraceDatError) in
                try TraceDatFile.read(bytes, decompress: codecs.decompress)
            }
        } catch {
            throw TraceDatError("'\(path)': \(error.subject)", error.problem, offset: error.offset)
        }
        self.mapped = mapped
    }

    /// The recording kernel's symbols; nil when the file has none.
    package func symbols() throws(TraceDatError) -> [UInt8]? {
        try mapped.withBytes { (bytes) throws(TraceDatError) in
            try file.symbols(in: bytes, decompress: codecs.decompress)
        }
    }

    /// Where the file holds them as one zstd frame, perhaps with their length in front of them; nil when it does not.
    /// Compressing them anew takes longer than all the rest of a short recording.
    func zstdSymbols() throws(TraceDatError) -> Range<Int>? {
        try mapped.withBytes { (bytes) throws(TraceDatError) in try file.zstdSymbols(in: bytes) }
    }

    /// The same for a file that holds them otherwise; nil when it has none.
    func compressedSymbols() throws -> [UInt8]? {
        guard let symbols = try symbols(), !symbols.isEmpty, let codec = Codec(.zstd) else { return nil }
        return try codec.compress(symbols.span.bytes, level: 1)
    }

    /// Bytes of the file, of a place that it told itself.
    func bytes(_ range: Range<Int>) -> [UInt8] {
        mapped.withBytes { bytes in unsafe bytes.extracting(range).withUnsafeBytes { unsafe Array($0) } }
    }

    /// The events of some of the file's buffers, merged by CPU.
    package func events(of buffers: [TraceDatFile.Buffer]) throws(TraceDatError) -> TraceDatEvents {
        try mapped.withBytes { (bytes) throws(TraceDatError) in
            try TraceDatEvents(file, buffers: buffers, in: bytes, decompress: codecs.decompress)
        }
    }

    /// The next of `events`, which are this file's; false when there are no more.
    package func read(_ events: inout TraceDatEvents, into batch: inout EventBatch) throws(TraceDatError) -> Bool {
        try mapped.withBytes { (bytes) throws(TraceDatError) in
            try events.read(in: bytes, into: &batch, decompress: codecs.decompress)
        }
    }
}

/// The decompressors that the files of a session need, made when first asked for: what `TraceDatDecompressor` asks for.
package final class Codecs {
    package init() {}

    private var known: [CompressionAlgorithm: Codec] = [:]

    package func decompress(_ name: String, _ block: RawSpan, _ maximumBytes: Int) throws(TraceDatError) -> [UInt8] {
        guard let algorithm = CompressionAlgorithm(rawValue: name) else {
            throw TraceDatError(
                "the compression", "the file names '\(name.sanitized)'; none, zlib and zstd can be read")
        }
        guard let codec = known[algorithm] ?? Codec(algorithm) else {
            throw TraceDatError("the compression", "there is no memory for \(name)")
        }
        known[algorithm] = codec
        do throws(CompressionError) {
            return try codec.decompress(block, maximumBytes: maximumBytes)
        } catch {
            throw TraceDatError("a compressed block", error.description)
        }
    }
}
