import TraceModel

/// One `__print_symbolic(VALUE, { NUMBER, "NAME" }, …)` of a print format (include/trace/stages/stage3_trace_output.h).
struct SymbolicCall {
    /// The field that VALUE reads.
    let field: String
    /// What VALUE keeps of it: `REC->exit_reason & 0xffff`.
    let mask: UInt64
    let entries: [SymbolTable.Entry]
    /// The call's tokens, from the function's name to the closing bracket.
    let range: Range<Int>

    /// No VALUE of a kernel is nearly as long; it bounds the work on a hostile text.
    private static let maximumValueTokens = 64

    /// All calls whose VALUE is a field, perhaps masked. Entries whose number is no constant are left out.
    static func all(in tokens: [PrintFormatToken]) -> [SymbolicCall] {
        let names: [PrintFormatToken] = [.word("__print_symbolic"), .word("__print_symbolic_u64")]
        var calls: [SymbolicCall] = []
        var index = 0
        while index + 1 < tokens.count {
            guard tokens[index + 1] == .symbol("("), names.contains(tokens[index]) else {
                index += 1
                continue
            }
            let (ranges, end) = arguments(tokens, from: index + 2)
            // A call that does not end is no C, and whatever follows is part of it.
            guard let end else { break }
            if let call = SymbolicCall(tokens, arguments: ranges, range: index..<end + 1) { calls.append(call) }
            index = end + 1
        }
        return calls
    }

    private init?(_ tokens: [PrintFormatToken], arguments: [Range<Int>], range: Range<Int>) {
        guard let value = arguments.first, let subject = Self.subject(tokens[value]) else { return nil }
        field = subject.field
        mask = subject.mask
        entries = arguments.dropFirst().compactMap { Self.entry(tokens[$0]) }
        self.range = range
    }

    /// The ranges between commas outside of brackets, and the place of the bracket that closes them.
    private static func arguments(
        _ tokens: [PrintFormatToken], from start: Int
    ) -> (ranges: [Range<Int>], end: Int?) {
        var ranges: [Range<Int>] = []
        var depth = 0
        var begin = start
        for index in start..<tokens.count {
            switch tokens[index] {
            case .symbol("("), .symbol("{"): depth += 1
            case .symbol(")") where depth == 0, .symbol("}") where depth == 0:
                ranges.append(begin..<index)
                return (ranges, index)
            case .symbol(")"), .symbol("}"): depth -= 1
            case .symbol(",") where depth == 0:
                ranges.append(begin..<index)
                begin = index + 1
            default: break
            }
        }
        return (ranges, nil)
    }

    /// `{ NUMBER, "NAME" }`; neighbouring literals are one, as in C.
    private static func entry(_ tokens: ArraySlice<PrintFormatToken>) -> SymbolTable.Entry? {
        guard tokens.first == .symbol("{"), tokens.last == .symbol("}"),
            let comma = tokens.lastIndex(of: .symbol(",")),
            let value = ConstantExpression.value(tokens[(tokens.startIndex + 1)..<comma])
        else { return nil }
        var name = ""
        for token in tokens[(comma + 1)..<(tokens.endIndex - 1)] {
            guard case .text(let text) = token else { return nil }
            name += text
        }
        return SymbolTable.Entry(value: value, name: name.sanitized)
    }

    /// `REC->field`, or that `& CONSTANT`, with any brackets around.
    private static func subject(_ tokens: ArraySlice<PrintFormatToken>) -> (field: String, mask: UInt64)? {
        guard tokens.count <= maximumValueTokens else { return nil }
        let tokens = unwrapped(tokens)
        let start = tokens.startIndex
        if tokens.count == 3, tokens[start] == .word("REC"), tokens[start + 1] == .symbol("->"),
            case .word(let field) = tokens[start + 2]
        {
            return (field, .max)
        }
        guard let and = tokens.lastIndex(of: .symbol("&")), let mask = ConstantExpression.value(tokens[(and + 1)...]),
            let whole = subject(tokens[..<and])
        else { return nil }
        return (whole.field, whole.mask & mask)
    }

    /// Without the pairs of brackets that enclose everything.
    private static func unwrapped(_ tokens: ArraySlice<PrintFormatToken>) -> ArraySlice<PrintFormatToken> {
        var inner = tokens
        while inner.count > 2, inner.first == .symbol("("), inner.last == .symbol(")") {
            var depth = 0
            let closing = inner.indices.first { index in
                if inner[index] == .symbol("(") { depth += 1 }
                if inner[index] == .symbol(")") { depth -= 1 }
                return depth == 0
            }
            guard closing == inner.endIndex - 1 else { return inner }
            inner = inner.dropFirst().dropLast()
        }
        return inner
    }
}
