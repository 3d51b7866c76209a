import TraceModel

/// A field's C declaration, taken apart as far as decoding needs: its name, and what kind of thing it is.
///
/// Declarations are what the kernel's macros were given, so that they vary: `char comm[16]`, `__data_loc char[] name`,
/// `const void* ip`, `const char *const * argv`, `void __seg_gs * ptr`, `struct robust_list_head * * head_ptr`,
/// `unsigned long args[]`, `char comm[TASK_COMM_LEN]`, `unsigned long graph_ent.func`. The name is the last word before
/// any brackets; the rest is type. How many elements a bracket states does not matter: the size of the field does.
struct FieldDeclaration {
    let name: String
    /// Everything but the name, brackets at the end included.
    let type: String
    private let isArray: Bool
    private let words: Words

    /// What the words of a type say, without those in brackets; `*` belongs to them.
    private struct Words {
        enum Location { case none, data, relative }

        var location = Location.none
        var isPointer = false
        var isCompound = false
        /// Of those that are not `const`: how many, and whether one of them is `char`.
        var count = 0
        var hasChar = false

        mutating func add(_ text: [UInt8], _ word: Range<Int>, isFirst: Bool) {
            if isFirst, ByteScanner.isEqual(text, word, "__data_loc") { location = .data }
            if isFirst, ByteScanner.isEqual(text, word, "__rel_loc") { location = .relative }
            if ByteScanner.first(UInt8(ascii: "*"), text, word) != nil { isPointer = true }
            if ByteScanner.isEqual(text, word, "struct") || ByteScanner.isEqual(text, word, "union") {
                isCompound = true
            }
            if ByteScanner.isEqual(text, word, "const") { return }
            count += 1
            if ByteScanner.isEqual(text, word, "char") { hasChar = true }
        }
    }

    /// Nil when there is no name, no type, or a byte that no C declaration has.
    init?(_ text: [UInt8], _ range: Range<Int>) {
        guard Self.isPlain(text, range) else { return nil }
        var head = ByteScanner.trim(text, range)
        var brackets = 0..<0
        if let last = head.last, text[last] == UInt8(ascii: "]") {
            // All brackets at the end: `a[2][3]`.
            let open = Self.startOfBrackets(text, head)
            brackets = open..<head.upperBound
            head = ByteScanner.trim(text, head.lowerBound..<open)
        }
        var start = head.upperBound
        while start > head.lowerBound, Self.isName(text[start - 1]) { start -= 1 }
        let before = ByteScanner.trim(text, head.lowerBound..<start)
        guard start < head.upperBound, !ByteScanner.isDigit(text[start]), text[start] != UInt8(ascii: "."),
            !before.isEmpty
        else { return nil }
        name = String(decoding: text[start..<head.upperBound], as: UTF8.self)
        let base = String(decoding: text[before], as: UTF8.self)
        type = brackets.isEmpty ? base : base + String(decoding: text[brackets], as: UTF8.self)
        let open = ByteScanner.first(UInt8(ascii: "["), text, before)
        isArray = !brackets.isEmpty || open != nil
        words = Self.words(text, before.lowerBound..<(open ?? before.upperBound))
    }

    private static func isName(_ byte: UInt8) -> Bool { ByteScanner.isIdentifier(byte) || byte == UInt8(ascii: ".") }

    private static func words(_ text: [UInt8], _ range: Range<Int>) -> Words {
        var words = Words()
        var isFirst = true
        var start = range.lowerBound
        for place in range.lowerBound...range.upperBound {
            if place < range.upperBound, ByteScanner.isIdentifier(text[place]) || text[place] == UInt8(ascii: "*") {
                continue
            }
            if start < place {
                words.add(text, start..<place, isFirst: isFirst)
                isFirst = false
            }
            start = place + 1
        }
        return words
    }

    /// Bytes that C declarations have, and balanced brackets.
    private static func isPlain(_ text: [UInt8], _ range: Range<Int>) -> Bool {
        var depth = 0
        for place in range {
            let byte = text[place]
            guard byte >= 0x20 && byte < 0x7f || byte == 0x09, depth >= 0 else { return false }
            if byte == UInt8(ascii: "[") { depth += 1 }
            if byte == UInt8(ascii: "]") { depth -= 1 }
        }
        return depth == 0
    }

    /// Where the balanced brackets at the end of `range` begin.
    private static func startOfBrackets(_ text: [UInt8], _ range: Range<Int>) -> Int {
        var start = range.upperBound
        var depth = 0
        for index in range.reversed() {
            if text[index] == UInt8(ascii: "]") { depth += 1 }
            if depth == 0, !ByteScanner.isSpace(text[index]) { break }
            if text[index] == UInt8(ascii: "[") {
                depth -= 1
                if depth == 0 { start = index }
            }
        }
        return start
    }

    /// Kinds that a field of `size` bytes can be; anything unusual is opaque bytes.
    func kind(size: Int) -> EventField.Kind {
        switch words.location {
        // Before 2.6.32 the location had two bytes; nothing reads such a field.
        case .data: return size == 4 ? .dynamic : .bytes
        case .relative: return size == 4 ? .relativeDynamic : .bytes
        case .none: break
        }
        if isArray { return words.hasChar && words.count == 1 ? .text : .bytes }
        guard words.isPointer || !words.isCompound else { return .bytes }
        return [1, 2, 4, 8].contains(size) ? .integer : .bytes
    }

    /// For kernels that do not say: C's plain integers are signed, and the kernel's short names say it in their first
    /// letter.
    var looksSigned: Bool {
        guard !isArray, !words.isPointer else { return false }
        let signed: Set<Substring> = [
            "signed", "char", "short", "int", "long", "s8", "s16", "s32", "s64", "__s8", "__s16", "__s32", "__s64",
            "pid_t", "ssize_t",
        ]
        let words = type.split { !($0.isLetter || $0.isNumber || $0 == "_") }
        return !words.contains("unsigned") && words.contains(where: signed.contains)
    }
}
