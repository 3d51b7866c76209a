import TraceModel

/// A place in bytes of a file, and the few things that are read there: every read is checked, and says what it was for.
///
/// The bytes are given to each call and not kept: they are a mapped file or a decompressed section, which only the caller
/// knows to be there.
struct ByteCursor {
    private(set) var at: Int
    /// Nothing is read from here on.
    let end: Int
    let order: ByteOrder

    /// All of `bytes` from `start` on; a start past the end leaves nothing to read.
    init(_ bytes: RawSpan, from start: Int = 0, order: ByteOrder) {
        at = min(max(0, start), bytes.byteCount)
        end = bytes.byteCount
        self.order = order
    }

    var remaining: Int { end - at }

    mutating func byte(_ bytes: RawSpan, _ what: String) throws(TraceDatError) -> UInt8 {
        UInt8(truncatingIfNeeded: try integer(bytes, UInt8.self, what))
    }

    mutating func word16(_ bytes: RawSpan, _ what: String) throws(TraceDatError) -> UInt16 {
        try integer(bytes, UInt16.self, what)
    }

    mutating func word32(_ bytes: RawSpan, _ what: String) throws(TraceDatError) -> UInt32 {
        try integer(bytes, UInt32.self, what)
    }

    mutating func word64(_ bytes: RawSpan, _ what: String) throws(TraceDatError) -> UInt64 {
        try integer(bytes, UInt64.self, what)
    }

    /// A number of things, of which each takes `unit` bytes at least: never more than there can be.
    mutating func count(_ bytes: RawSpan, unit: Int, _ what: String) throws(TraceDatError) -> Int {
        let place = at
        let count = Int(try word32(bytes, what))
        guard count <= remaining / unit else {
            throw TraceDatError(what, "\(count) of them do not fit into \(remaining) bytes", offset: place)
        }
        return count
    }

    /// A length of 64 bits, no longer than what is left.
    mutating func length64(_ bytes: RawSpan, _ what: String) throws(TraceDatError) -> Int {
        try checked(try word64(bytes, what), what)
    }

    /// A length of 32 bits, no longer than what is left.
    mutating func length32(_ bytes: RawSpan, _ what: String) throws(TraceDatError) -> Int {
        try checked(UInt64(try word32(bytes, what)), what)
    }

    /// Where the next `length` bytes lie; they are passed.
    mutating func range(_ length: Int, _ what: String) throws(TraceDatError) -> Range<Int> {
        guard length >= 0, length <= remaining else { throw cut(what, length) }
        defer { at += length }
        return at..<at + length
    }

    mutating func data(_ bytes: RawSpan, _ length: Int, _ what: String) throws(TraceDatError) -> [UInt8] {
        let range = try range(length, what)
        return unsafe bytes.extracting(range).withUnsafeBytes { unsafe Array($0) }
    }

    mutating func text(_ bytes: RawSpan, _ length: Int, _ what: String) throws(TraceDatError) -> String {
        String(decoding: try data(bytes, length, what).prefix { $0 != 0 }, as: UTF8.self)
    }

    /// A text up to its NUL, which is passed too.
    mutating func terminatedText(_ bytes: RawSpan, _ what: String) throws(TraceDatError) -> String {
        let limit = min(remaining, Limits.textBytes)
        var length = 0
        while length < limit, bytes.unsafeLoad(fromByteOffset: at + length, as: UInt8.self) != 0 { length += 1 }
        guard length < limit else { throw TraceDatError(what, "the text has no end", offset: at) }
        let text = try text(bytes, length, what)
        at += 1
        return text
    }

    /// Passes `expected` when it comes next.
    mutating func skip(_ expected: some Collection<UInt8>, in bytes: RawSpan) -> Bool {
        guard expected.count <= remaining else { return false }
        for (index, byte) in expected.enumerated()
        where bytes.unsafeLoad(fromByteOffset: at + index, as: UInt8.self) != byte {
            return false
        }
        at += expected.count
        return true
    }

    private mutating func integer<Word: FixedWidthInteger & BitwiseCopyable>(
        _ bytes: RawSpan, _ type: Word.Type, _ what: String
    ) throws(TraceDatError) -> Word {
        let size = MemoryLayout<Word>.size
        guard remaining >= size else { throw cut(what, size) }
        defer { at += size }
        let raw = unsafe bytes.unsafeLoadUnaligned(fromByteOffset: at, as: type)
        return order == .native ? raw : raw.byteSwapped
    }

    private func checked(_ length: UInt64, _ what: String) throws(TraceDatError) -> Int {
        guard let length = Int(exactly: length), length <= remaining else {
            throw TraceDatError(
                what, "\(length) bytes are announced and \(remaining) are left; the file is cut or damaged", offset: at)
        }
        return length
    }

    private func cut(_ what: String, _ needed: Int) -> TraceDatError {
        TraceDatError(what, "\(needed) bytes are needed and \(remaining) are left; the file is cut", offset: at)
    }
}
