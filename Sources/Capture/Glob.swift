/// A shell pattern: `*` any run of bytes, `?` any one, `[a-z]` one of a set, `[!a-z]` or `[^a-z]` one of the others.
///
/// Hand-written because a request comes from another machine: the C library's fnmatch takes exponential time for
/// patterns with many stars. Here only the last star is ever tried again, which is enough, since an earlier one could
/// only leave more of the text to match; so the time is at most the product of the two lengths.
struct Glob: Hashable, Sendable {
    private enum Part: Hashable, Sendable {
        case byte(UInt8)
        case one
        case run
        case set([ClosedRange<UInt8>], isNegated: Bool)
    }

    private let parts: [Part]

    init(_ pattern: String) {
        let bytes = Array(pattern.utf8)
        var parts: [Part] = []
        var index = 0
        while index < bytes.count {
            switch bytes[index] {
            case UInt8(ascii: "*"):
                if parts.last != .run { parts.append(.run) }
                index += 1
            case UInt8(ascii: "?"):
                parts.append(.one)
                index += 1
            case UInt8(ascii: "["):
                // An unclosed bracket is a bracket.
                if let (set, end) = Glob.set(in: bytes, after: index) {
                    parts.append(set)
                    index = end
                } else {
                    parts.append(.byte(bytes[index]))
                    index += 1
                }
            case let byte:
                parts.append(.byte(byte))
                index += 1
            }
        }
        self.parts = parts
    }

    func matches(_ text: String) -> Bool {
        var text = text
        return text.withUTF8 { bytes in
            var part = 0
            var byte = 0
            var retry: (part: Int, byte: Int)?
            while byte < bytes.count {
                if part < parts.count, parts[part] == .run {
                    retry = (part, byte)
                    part += 1
                } else if part < parts.count, Glob.matches(parts[part], bytes[byte]) {
                    part += 1
                    byte += 1
                } else if let last = retry {
                    retry = (last.part, last.byte + 1)
                    part = last.part + 1
                    byte = last.byte + 1
                } else {
                    return false
                }
            }
            return parts[part...].allSatisfy { $0 == .run }
        }
    }

    private static func matches(_ part: Part, _ byte: UInt8) -> Bool {
        switch part {
        case .byte(let expected): byte == expected
        case .one: true
        case .run: false
        case .set(let ranges, let isNegated): ranges.contains { $0.contains(byte) } != isNegated
        }
    }

    /// The set that opens at `start`, and the index behind its bracket; nil when it is not closed. A `]` right after the
    /// opening is a member, as in the shell.
    private static func set(in bytes: [UInt8], after start: Int) -> (Part, Int)? {
        var index = start + 1
        var isNegated = false
        if index < bytes.count, bytes[index] == UInt8(ascii: "!") || bytes[index] == UInt8(ascii: "^") {
            isNegated = true
            index += 1
        }
        let first = index
        var ranges: [ClosedRange<UInt8>] = []
        while index < bytes.count {
            let low = bytes[index]
            if low == UInt8(ascii: "]"), index > first { return (.set(ranges, isNegated: isNegated), index + 1) }
            if index + 2 < bytes.count, bytes[index + 1] == UInt8(ascii: "-"), bytes[index + 2] != UInt8(ascii: "]") {
                let high = bytes[index + 2]
                // A range that runs backwards holds nothing.
                if low <= high { ranges.append(low...high) }
                index += 3
            } else {
                ranges.append(low...low)
                index += 1
            }
        }
        return nil
    }
}
