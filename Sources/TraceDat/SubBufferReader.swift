import TraceModel

/// The sub-buffers of one CPU, one after another, decompressed where they must be.
struct SubBufferReader {
    let cpu: Int
    private let subBufferBytes: Int
    private let order: ByteOrder
    private let algorithm: String
    private let isCompressed: Bool
    /// In the file: the next sub-buffer, or the next compressed chunk of some.
    private var at: Int
    private let start: Int
    private let end: Int
    private var chunksLeft = 0
    /// The decompressed chunk, and the next sub-buffer in it.
    private var chunk: [UInt8] = []
    private var chunkAt = 0

    init(_ data: TraceDatFile.CPUData, subBufferBytes: Int, of file: TraceDatFile, in bytes: RawSpan)
        throws(TraceDatError)
    {
        cpu = data.cpu
        self.subBufferBytes = subBufferBytes
        order = file.byteOrder
        algorithm = file.compression
        isCompressed = data.isCompressed
        at = data.range.lowerBound
        start = at
        // trace-cmd does not count the number of chunks in the size of a CPU's data; that number says where they end.
        end = data.isCompressed ? bytes.byteCount : data.range.upperBound
        guard data.range.upperBound <= bytes.byteCount else {
            throw TraceDatError("the data of CPU \(cpu)", "this is another file")
        }
        guard isCompressed else { return }
        var cursor = self.cursor(bytes)
        chunksLeft = Int(try cursor.word32(bytes.extracting(0..<end), "the number of compressed chunks"))
        at = cursor.at
    }

    var bytesRead: Int { at - start }

    private func cursor(_ bytes: RawSpan) -> ByteCursor {
        ByteCursor(bytes.extracting(0..<end), from: at, order: order)
    }

    /// Makes the next sub-buffer ready and gives its time; nil at the end.
    mutating func advance(in file: RawSpan, _ decompress: TraceDatDecompressor) throws(TraceDatError) -> UInt64? {
        guard isCompressed else { return at < end ? time(of: file.extracting(at..<end)) : nil }
        while chunkAt >= chunk.count {
            guard chunksLeft > 0 else { return nil }
            chunksLeft -= 1
            let subject = "a compressed chunk of CPU \(cpu)"
            var cursor = self.cursor(file)
            let packed = Int(try cursor.word32(file, subject))
            let plain = Int(try cursor.word32(file, subject))
            guard plain <= Limits.traceDatChunkBytes else {
                throw TraceDatError(subject, "\(plain) bytes are too many", offset: at)
            }
            let range = try cursor.range(packed, subject)
            chunk = try decompress(algorithm, file.extracting(range), plain)
            chunkAt = 0
            at = cursor.at
        }
        return time(of: chunk.span.bytes.extracting(chunkAt..<chunk.count))
    }

    /// Hands the sub-buffer that `advance` made ready to `body`, and passes it.
    mutating func take(in file: RawSpan, _ body: (RawSpan) -> Void) {
        if isCompressed {
            let next = min(chunkAt + subBufferBytes, chunk.count)
            body(chunk.span.bytes.extracting(chunkAt..<next))
            chunkAt = next
        } else {
            let next = min(at + subBufferBytes, end)
            body(file.extracting(at..<next))
            at = next
        }
    }

    /// Each sub-buffer begins with its time (kernel/trace/ring_buffer.c, `struct buffer_data_page`). One that is too short
    /// even for that comes at once, and is the decoder's to report.
    private func time(of page: RawSpan) -> UInt64 {
        guard page.byteCount >= 8 else { return 0 }
        let raw = unsafe page.unsafeLoadUnaligned(as: UInt64.self)
        return order == .native ? raw : raw.byteSwapped
    }
}
