import TraceModel

/// Decompresses a block of a file with the algorithm that the file names (`zlib`, `zstd`); the program around fills this
/// door, because this room holds no library. The result must never be longer than the given number of bytes.
package typealias TraceDatDecompressor = (
    _ algorithm: String, _ block: RawSpan, _ maximumBytes: Int
) throws(TraceDatError) -> [UInt8]

/// One section of a file of version 7: a number, flags, a description that nobody needs, and the bytes.
struct TraceDatSection {
    enum ID: UInt16 {
        case options = 0
        case buffer = 3
        case headerInfo = 16
        case ftraceEvents = 17
        case eventFormats = 18
        case kallsyms = 19
        case printk = 20
        case commandLines = 21
    }

    static let headerBytes = 16

    let isCompressed: Bool
    /// The bytes in the file, behind the header.
    let range: Range<Int>

    /// The section that begins at `offset`, which must be an `id`.
    init(_ id: ID, at offset: UInt64, in file: RawSpan, order: ByteOrder) throws(TraceDatError) {
        let subject = "the section '\(id)'"
        guard let offset = Int(exactly: offset), offset <= file.byteCount else {
            throw TraceDatError(subject, "it should be at byte \(offset) of \(file.byteCount); the file is cut")
        }
        var cursor = ByteCursor(file, from: offset, order: order)
        let found = try cursor.word16(file, subject)
        guard found == id.rawValue else {
            throw TraceDatError(subject, "there is one with number \(found) in its place", offset: offset)
        }
        isCompressed = try cursor.word16(file, subject) & 1 != 0
        _ = try cursor.word32(file, subject)
        let length = try cursor.length64(file, subject)
        range = try cursor.range(length, subject)
    }

    /// What the section holds, decompressed.
    func body(
        in file: RawSpan, order: ByteOrder, algorithm: String, _ decompress: TraceDatDecompressor
    ) throws(TraceDatError) -> [UInt8] {
        let bytes = file.extracting(range)
        var cursor = ByteCursor(bytes, order: order)
        guard isCompressed else {
            guard range.count <= Limits.traceDatSectionBytes else {
                throw TraceDatError("a section", "\(range.count) bytes are too many", offset: range.lowerBound)
            }
            return try cursor.data(bytes, range.count, "a section")
        }
        let (block, plain) = try compressedBlock(&cursor, bytes)
        return try decompress(algorithm, bytes.extracting(block), plain)
    }

    /// Where in the file that lies which `body` decompresses; nil when the section is not compressed.
    func block(in file: RawSpan, order: ByteOrder) throws(TraceDatError) -> Range<Int>? {
        guard isCompressed else { return nil }
        let bytes = file.extracting(range)
        var cursor = ByteCursor(bytes, order: order)
        let block = try compressedBlock(&cursor, bytes).range
        return range.lowerBound + block.lowerBound..<range.lowerBound + block.upperBound
    }

    private func compressedBlock(
        _ cursor: inout ByteCursor, _ bytes: RawSpan
    ) throws(TraceDatError) -> (range: Range<Int>, plainBytes: Int) {
        let packed = try cursor.word32(bytes, "a section's compressed size")
        let plain = Int(try cursor.word32(bytes, "a section's size"))
        guard plain <= Limits.traceDatSectionBytes else {
            throw TraceDatError("a section", "\(plain) bytes are too many", offset: range.lowerBound)
        }
        return (try cursor.range(Int(packed), "a compressed section"), plain)
    }
}
