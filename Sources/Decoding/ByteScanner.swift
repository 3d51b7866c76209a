/// A place in one line of a text, and the few steps that scanning a format file needs.
///
/// The text is one array and everything in it is a range: slices of slices, and their comparison with strings, cost several
/// times what is read, and a machine has thousands of formats.
struct ByteScanner {
    private let text: [UInt8]
    private var at: Int
    private let end: Int
    private let line: Int

    init(_ text: [UInt8], _ range: Range<Int>, line: Int) {
        self.text = text
        (at, end) = (range.lowerBound, range.upperBound)
        self.line = line
    }

    var isAtEnd: Bool { at == end }

    /// What is left, without spaces around it.
    var trimmedRest: Range<Int> { Self.trim(text, at..<end) }

    func error(_ reason: EventFormatError.Reason) -> EventFormatError { EventFormatError(reason, line: line) }

    mutating func skipSpaces() {
        while at < end, Self.isSpace(text[at]) { at += 1 }
    }

    /// Passes `word` when it comes next.
    mutating func skip(_ word: StaticString) -> Bool {
        let count = word.utf8CodeUnitCount
        guard end - at >= count, Self.isEqual(text, at..<at + count, word) else { return false }
        at += count
        return true
    }

    /// What comes before the next `byte`, which is passed too; nil when there is none.
    mutating func take(upTo byte: UInt8) -> Range<Int>? {
        guard let found = Self.first(byte, text, at..<end) else { return nil }
        defer { at = found + 1 }
        return at..<found
    }

    /// A decimal number of at most nine digits, which no sum of a few can overflow; nil when there is none.
    mutating func number() -> Int? {
        var value = 0
        var next = at
        while next < end, Self.isDigit(text[next]) {
            guard next - at < 9 else { return nil }
            value = value * 10 + Int(text[next] - UInt8(ascii: "0"))
            next += 1
        }
        guard next > at else { return nil }
        at = next
        return value
    }

    static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0d }

    static func isIdentifier(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
            true
        default: false
        }
    }

    static func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }

    static func isEqual(_ text: [UInt8], _ range: Range<Int>, _ word: StaticString) -> Bool {
        guard range.count == word.utf8CodeUnitCount else { return false }
        for (index, place) in range.enumerated() where text[place] != word.utf8Start[index] { return false }
        return true
    }

    /// Where `byte` is first in `range`.
    static func first(_ byte: UInt8, _ text: [UInt8], _ range: Range<Int>) -> Int? {
        for place in range where text[place] == byte { return place }
        return nil
    }

    static func trim(_ text: [UInt8], _ range: Range<Int>) -> Range<Int> {
        var (start, end) = (range.lowerBound, range.upperBound)
        while start < end, isSpace(text[start]) { start += 1 }
        while start < end, isSpace(text[end - 1]) { end -= 1 }
        return start..<end
    }
}
