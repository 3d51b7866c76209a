/// The value of a constant C expression, such as `0x040 + 14`, `(1 << 3) | (1 << 0)` or `( int) ((u32)0x10)`.
///
/// 64-bit wrapping arithmetic; casts are passed over, because the one who uses a value cuts it to the field's width.
/// Names have no value (enumerators that a kernel did not resolve). The depth is bounded: a guest wrote the text.
struct ConstantExpression {
    private let tokens: ArraySlice<PrintFormatToken>
    private var position: Int
    private var depth = 0

    private static let maximumDepth = 32

    /// Nil when `tokens` is no constant expression.
    static func value(_ tokens: ArraySlice<PrintFormatToken>) -> UInt64? {
        var expression = ConstantExpression(tokens: tokens, position: tokens.startIndex)
        guard let value = expression.binary(minimumPrecedence: 0), expression.position == tokens.endIndex else {
            return nil
        }
        return value
    }

    private var next: PrintFormatToken? { position < tokens.endIndex ? tokens[position] : nil }

    private static func precedence(_ symbol: String) -> Int? {
        switch symbol {
        case "|": 0
        case "^": 1
        case "&": 2
        case "<<", ">>": 3
        case "+", "-": 4
        case "*": 5
        default: nil
        }
    }

    private mutating func binary(minimumPrecedence: Int) -> UInt64? {
        guard depth < Self.maximumDepth else { return nil }
        depth += 1
        defer { depth -= 1 }
        guard var left = unary() else { return nil }
        while case .symbol(let symbol) = next, let precedence = Self.precedence(symbol),
            precedence >= minimumPrecedence
        {
            position += 1
            guard let right = binary(minimumPrecedence: precedence + 1) else { return nil }
            switch symbol {
            case "|": left |= right
            case "^": left ^= right
            case "&": left &= right
            // Swift's shift gives 0 where C's is undefined.
            case "<<": left = left << right
            case ">>": left = left >> right
            case "+": left &+= right
            case "-": left &-= right
            default: left &*= right
            }
        }
        return left
    }

    private mutating func unary() -> UInt64? {
        guard depth < Self.maximumDepth, let token = next else { return nil }
        depth += 1
        defer { depth -= 1 }
        position += 1
        switch token {
        case .number(let value): return value
        case .symbol("-"): return unary().map { 0 &- $0 }
        case .symbol("~"): return unary().map { ~$0 }
        case .symbol("("):
            if skipCast() { return unary() }
            guard let value = binary(minimumPrecedence: 0), next == .symbol(")") else { return nil }
            position += 1
            return value
        default: return nil
        }
    }

    /// Passes a type name and its closing bracket; the opening one has been passed.
    private mutating func skipCast() -> Bool {
        var index = position
        while index < tokens.endIndex, case .word = tokens[index] { index += 1 }
        guard index > position, index < tokens.endIndex, tokens[index] == .symbol(")") else { return false }
        position = index + 1
        return true
    }
}
