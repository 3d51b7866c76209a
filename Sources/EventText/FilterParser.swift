/// Reads the expression of a filter, from left to right.
struct FilterParser {
    private let whole: String
    private var rest: Substring
    private var depth = 0
    /// Parentheses and negations within each other.
    private static let deepest = 64

    init(_ text: Substring, whole: String) {
        self.whole = whole
        rest = text
    }

    private func problem(_ what: String) -> EventFilter.Problem {
        EventFilter.Problem(
            description:
                "the filter '\(whole)' \(what); one is like 'sched_switch:next_pid == 5 && prev_comm ~ \"qemu*\"'")
    }

    mutating func expectEnd() throws(EventFilter.Problem) {
        skipSpaces()
        guard rest.isEmpty else { throw problem("goes on with '\(rest.prefix(20))'") }
    }

    mutating func expression() throws(EventFilter.Problem) -> EventFilter.Expression {
        var left = try conjunction()
        while take("||") { left = .either(left, try conjunction()) }
        return left
    }

    private mutating func conjunction() throws(EventFilter.Problem) -> EventFilter.Expression {
        var left = try negation()
        while take("&&") { left = .both(left, try negation()) }
        return left
    }

    private mutating func negation() throws(EventFilter.Problem) -> EventFilter.Expression {
        depth += 1
        defer { depth -= 1 }
        guard depth < FilterParser.deepest else { throw problem("is nested too deeply") }
        if take("!") { return .not(try negation()) }
        if take("(") {
            let inner = try expression()
            guard take(")") else { throw problem("lacks a ')'") }
            return inner
        }
        return try test()
    }

    private mutating func test() throws(EventFilter.Problem) -> EventFilter.Expression {
        let field = word()
        guard !field.isEmpty else { throw problem("lacks a field") }
        if take("~") { return .text(field: field, isEqual: true, EventFilter.Glob(try text())) }
        guard let comparison = EventFilter.Comparison.allCases.first(where: { take($0.rawValue) }) else {
            throw problem("lacks a comparison after '\(field)'")
        }
        skipSpaces()
        let isQuoted = rest.first == "\"" || rest.first == "'"
        let value = try text()
        if !isQuoted, let number = FilterParser.number(value) { return .number(field: field, comparison, number) }
        guard comparison == .equal || comparison == .unequal else {
            throw problem("compares '\(field)' with no number")
        }
        return .text(field: field, isEqual: comparison == .equal, EventFilter.Glob(value, isLiteral: true))
    }

    private static func number(_ text: String) -> Int64? {
        if text.hasPrefix("0x") { return UInt64(text.dropFirst(2), radix: 16).map { Int64(bitPattern: $0) } }
        return Int64(text) ?? UInt64(text).map { Int64(bitPattern: $0) }
    }

    private mutating func skipSpaces() { rest = rest.drop { $0 == " " } }

    private mutating func take(_ token: String) -> Bool {
        skipSpaces()
        guard rest.hasPrefix(token) else { return false }
        // '&&' is no mask.
        if token == "&", rest.hasPrefix("&&") { return false }
        rest = rest.dropFirst(token.count)
        return true
    }

    private mutating func word() -> String {
        skipSpaces()
        let word = rest.prefix { $0.isLetter || $0.isNumber || $0 == "_" }
        rest = rest[word.endIndex...]
        return String(word)
    }

    /// A number, a word, or a text in quotes.
    private mutating func text() throws(EventFilter.Problem) -> String {
        skipSpaces()
        if let quote = rest.first, quote == "\"" || quote == "'" {
            rest = rest.dropFirst()
            let text = rest.prefix { $0 != quote }
            guard text.endIndex < rest.endIndex else { throw problem("lacks a closing quote") }
            rest = rest[rest.index(after: text.endIndex)...]
            return String(text)
        }
        let text = rest.prefix { !" &|)".contains($0) }
        guard !text.isEmpty else { throw problem("lacks a value") }
        rest = rest[text.endIndex...]
        return String(text)
    }
}
