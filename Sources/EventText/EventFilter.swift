package import TraceModel

/// Which events are wanted: `EVENT[,EVENT…][:EXPRESSION]`, as with `trace-cmd report -F`.
///
/// ```
/// EVENT        name, system:name or system; '*' stands for anything
/// EXPRESSION   OR;  OR = AND {|| AND};  AND = NOT {&& NOT};  NOT = [!] TEST | [!] '(' OR ')'
/// TEST         FIELD == != < <= > >= & NUMBER;  FIELD == != ~ TEXT, quoted where it has spaces; '~' with '*'
/// ```
/// FIELD is a field of the event, or `pid`, `cpu`, `comm` of whoever was current. An event that lacks a field does not match.
package struct EventFilter: Sendable {
    package struct Problem: Error, Hashable, Sendable, CustomStringConvertible {
        package var description: String
    }

    indirect enum Expression: Hashable, Sendable {
        case all
        case both(Expression, Expression)
        case either(Expression, Expression)
        case not(Expression)
        case number(field: String, Comparison, Int64)
        case text(field: String, isEqual: Bool, Glob)
    }

    enum Comparison: String, CaseIterable, Sendable {
        case equal = "==", unequal = "!=", most = "<=", least = ">=", less = "<", more = ">", mask = "&"
    }

    /// A text in which `*` stands for anything.
    struct Glob: Hashable, Sendable {
        var parts: [String]

        init(_ text: String, isLiteral: Bool = false) {
            parts = isLiteral ? [text] : text.split(separator: "*", omittingEmptySubsequences: false).map(String.init)
        }

        func matches(_ text: String) -> Bool {
            guard parts.count > 1, let first = parts.first, let last = parts.last else { return text == parts.first }
            guard text.hasPrefix(first) else { return false }
            var rest = text.dropFirst(first.count)
            for part in parts.dropFirst().dropLast() where !part.isEmpty {
                guard let end = rest.end(of: part) else { return false }
                rest = rest[end...]
            }
            return rest.hasSuffix(last)
        }
    }

    private let patterns: [Glob]
    private let expression: Expression

    package init(_ text: String) throws(Problem) {
        // The names may be 'system:name': the expression begins behind the last colon before any comparison.
        var names = Substring(text)
        var condition: Substring?
        let head = text.prefix { !"=!<>&|~(\"'".contains($0) }
        if let colon = head.lastIndex(of: ":"), EventFilter.beginsExpression(text[text.index(after: colon)...]) {
            names = text[..<colon]
            condition = text[text.index(after: colon)...]
        }
        patterns = names.split(separator: ",").map { Glob(String($0.filter { $0 != " " })) }
        guard !patterns.isEmpty, patterns.allSatisfy({ $0.parts != [""] }) else {
            throw Problem(description: "the filter '\(text)' names no event; '*' means all")
        }
        guard let condition else {
            expression = .all
            return
        }
        var parser = FilterParser(condition, whole: text)
        expression = try parser.expression()
        try parser.expectEnd()
    }

    /// A comparison follows, or a parenthesis: not just the rest of a name.
    private static func beginsExpression(_ text: Substring) -> Bool {
        text.contains { "=!<>&~".contains($0) }
    }

    /// The filter for one kind of event; nil when it wants none of them.
    package func bound(to format: EventFormat, byteOrder: ByteOrder) -> BoundFilter? {
        let isWanted = patterns.contains {
            $0.matches(format.name) || $0.matches(format.fullName) || $0.matches(format.system)
        }
        return isWanted ? BoundFilter(expression, format, byteOrder) : nil
    }
}

/// A filter with its fields found in one event's format.
package struct BoundFilter {
    private let expression: EventFilter.Expression
    private let integers: [String: IntegerField]
    private let texts: [String: (offset: Int, size: Int)]

    init(_ expression: EventFilter.Expression, _ format: EventFormat, _ order: ByteOrder) {
        self.expression = expression
        var integers: [String: IntegerField] = [:]
        var texts: [String: (offset: Int, size: Int)] = [:]
        for field in format.fields {
            if field.kind == .text {
                texts[field.name] = (field.offset, field.size)
            } else {
                integers[field.name] = IntegerField(field, byteOrder: order)
            }
        }
        self.integers = integers
        self.texts = texts
    }

    package func matches(
        _ header: EventHeader, in records: borrowing RawSpan, cpu: Int, comm: @autoclosure () -> String
    ) -> Bool {
        if case .all = expression { return true }
        return test(expression, header, records, cpu, comm())
    }

    private func test(
        _ expression: EventFilter.Expression, _ header: EventHeader, _ records: borrowing RawSpan, _ cpu: Int,
        _ comm: String
    ) -> Bool {
        switch expression {
        case .all: return true
        case .both(let a, let b):
            return test(a, header, records, cpu, comm) && test(b, header, records, cpu, comm)
        case .either(let a, let b):
            return test(a, header, records, cpu, comm) || test(b, header, records, cpu, comm)
        case .not(let inner): return !test(inner, header, records, cpu, comm)
        case .number(let field, let comparison, let number):
            let value: Int64?
            switch field {
            case "pid", "common_pid": value = Int64(header.pid)
            case "cpu", "CPU": value = Int64(cpu)
            default: value = integers[field]?.value(in: records, of: header)
            }
            return value.map { comparison.holds($0, number) } ?? false
        case .text(let field, let isEqual, let glob):
            if field == "comm" || field == "COMM" { return glob.matches(comm) == isEqual }
            guard let place = texts[field], place.offset + place.size <= Int(header.length) else { return false }
            var bytes: [UInt8] = []
            for index in 0..<place.size {
                let byte = records.unsafeLoad(
                    fromByteOffset: Int(header.offset) + place.offset + index, as: UInt8.self)
                if byte == 0 { break }
                bytes.append(byte)
            }
            return glob.matches(String(decoding: bytes, as: UTF8.self)) == isEqual
        }
    }
}

extension EventFilter.Comparison {
    fileprivate func holds(_ value: Int64, _ number: Int64) -> Bool {
        switch self {
        case .equal: value == number
        case .unequal: value != number
        case .less: value < number
        case .most: value <= number
        case .more: value > number
        case .least: value >= number
        case .mask: value & number != 0
        }
    }
}

extension Substring {
    /// Where the first `part` ends.
    fileprivate func end(of part: String) -> Index? {
        var at = startIndex
        while at < endIndex {
            if self[at...].hasPrefix(part) { return index(at, offsetBy: part.count) }
            formIndex(after: &at)
        }
        return nil
    }
}
