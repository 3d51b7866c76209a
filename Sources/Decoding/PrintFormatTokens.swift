/// The `print fmt` expression of an event, cut into the tokens of C.
///
/// The expression is printed by the kernel from its source (`print fmt: "FORMAT", ARGUMENTS`), so that it is C with
/// macros expanded. A guest sends it: scanning is linear, ends at the first thing that is no C, and never fails.
enum PrintFormatToken: Hashable {
    case word(String)
    case number(UInt64)
    /// A string literal, without its quotes.
    case text(String)
    /// An operator or a bracket.
    case symbol(String)

    /// Tokens of what follows `print fmt:` in a format file; empty when there is none.
    static func scan(formatFile text: String) -> [PrintFormatToken] {
        let bytes = Array(text.utf8)
        let marker = Array("print fmt:".utf8)
        var start = 0
        while start < bytes.count {
            if bytes[start...].starts(with: marker) { return scan(bytes[(start + marker.count)...]) }
            guard let lineEnd = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) else { return [] }
            start = lineEnd + 1
        }
        return []
    }

    private static func scan(_ text: ArraySlice<UInt8>) -> [PrintFormatToken] {
        var rest = text
        var tokens: [PrintFormatToken] = []
        while let byte = rest.first {
            if ByteScanner.isSpace(byte) || byte == UInt8(ascii: "\n") {
                rest = rest.dropFirst()
            } else if byte == UInt8(ascii: "\"") {
                guard let text = literal(&rest) else { return tokens }
                tokens.append(.text(text))
            } else if ByteScanner.isDigit(byte) {
                let word = rest.prefix(while: ByteScanner.isIdentifier)
                rest = rest.dropFirst(word.count)
                // A number that C would not take has no value, as a word that is no constant has none.
                tokens.append(number(word).map { .number($0) } ?? .word(String(decoding: word, as: UTF8.self)))
            } else if ByteScanner.isIdentifier(byte) {
                let word = rest.prefix(while: ByteScanner.isIdentifier)
                rest = rest.dropFirst(word.count)
                tokens.append(.word(String(decoding: word, as: UTF8.self)))
            } else {
                let pair = String(decoding: rest.prefix(2), as: UTF8.self)
                let length = ["->", "<<", ">>", "&&", "||", "==", "!=", "<=", ">="].contains(pair) ? 2 : 1
                tokens.append(.symbol(String(decoding: rest.prefix(length), as: UTF8.self)))
                rest = rest.dropFirst(length)
            }
        }
        return tokens
    }

    /// The literal that `rest` starts with; nil when it does not end.
    private static func literal(_ rest: inout ArraySlice<UInt8>) -> String? {
        var bytes: [UInt8] = []
        var index = rest.startIndex + 1
        while index < rest.endIndex {
            switch rest[index] {
            case UInt8(ascii: "\""):
                rest = rest[(index + 1)...]
                return String(decoding: bytes, as: UTF8.self)
            case UInt8(ascii: "\\") where index + 1 < rest.endIndex:
                index += 1
                bytes.append(rest[index])
            default: bytes.append(rest[index])
            }
            index += 1
        }
        return nil
    }

    /// The value of a C integer literal: decimal, octal or hexadecimal, with suffixes.
    private static func number(_ word: ArraySlice<UInt8>) -> UInt64? {
        var text = String(decoding: word, as: UTF8.self).lowercased()[...]
        while let last = text.last, last == "u" || last == "l" { text = text.dropLast() }
        if text.hasPrefix("0x") { return UInt64(text.dropFirst(2), radix: 16) }
        return text.hasPrefix("0") ? UInt64(text, radix: 8) : UInt64(text, radix: 10)
    }
}
