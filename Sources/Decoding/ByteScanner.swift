/// A place in one line of text, and the few steps that scanning a format file needs.
struct ByteScanner {
    private var rest: ArraySlice<UInt8>
    private let line: Int

    init(_ text: ArraySlice<UInt8>, line: Int) {
        rest = text
        self.line = line
    }

    var isAtEnd: Bool { rest.isEmpty }

    /// What is left, without spaces around it.
    var trimmedRest: ArraySlice<UInt8> { Self.trim(rest) }

    func error(_ reason: EventFormatError.Reason) -> EventFormatError { EventFormatError(reason, line: line) }

    mutating func skipSpaces() { rest = rest.drop(while: Self.isSpace) }

    /// Passes `word` when it comes next.
    mutating func skip(_ word: String) -> Bool {
        guard rest.starts(with: word.utf8) else { return false }
        rest = rest.dropFirst(word.utf8.count)
        return true
    }

    /// What comes before the next `byte`, which is passed too; nil when there is none.
    mutating func take(upTo byte: UInt8) -> ArraySlice<UInt8>? {
        guard let end = rest.firstIndex(of: byte) else { return nil }
        defer { rest = rest[(end + 1)...] }
        return rest[..<end]
    }

    /// A decimal number of at most nine digits, which no sum of a few can overflow; nil when there is none.
    mutating func number() -> Int? {
        let digits = rest.prefix { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
        guard !digits.isEmpty, digits.count <= 9 else { return nil }
        rest = rest.dropFirst(digits.count)
        return digits.reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) }
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

    static func trim(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var text = text.drop(while: isSpace)
        while let last = text.last, isSpace(last) { text = text.dropLast() }
        return text
    }
}
