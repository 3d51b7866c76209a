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
    /// The words of the type, without what is in brackets; `*` belongs to them.
    private let words: [Substring]

    /// Nil when there is no name, no type, or a byte that no C declaration has.
    init?(_ text: ArraySlice<UInt8>) {
        guard text.allSatisfy({ $0 >= 0x20 && $0 < 0x7f || $0 == 0x09 }), Self.isBalanced(text) else { return nil }
        var head = ByteScanner.trim(text)
        var brackets: ArraySlice<UInt8> = []
        if head.last == UInt8(ascii: "]") {
            // All brackets at the end: `a[2][3]`.
            let open = Self.startOfBrackets(head)
            brackets = head[open...]
            head = ByteScanner.trim(head[..<open])
        }
        let length = head.reversed().prefix { ByteScanner.isIdentifier($0) || $0 == UInt8(ascii: ".") }.count
        let name = head.suffix(length)
        let before = ByteScanner.trim(head.dropLast(length))
        guard let first = name.first, !ByteScanner.isDigit(first), first != UInt8(ascii: "."), !before.isEmpty else {
            return nil
        }
        self.name = String(decoding: name, as: UTF8.self)
        let base = String(decoding: before, as: UTF8.self)
        type = brackets.isEmpty ? base : base + String(decoding: brackets, as: UTF8.self)
        isArray = !brackets.isEmpty || before.contains(UInt8(ascii: "["))
        words = base.prefix { $0 != "[" }.split { !($0.isLetter || $0.isNumber || $0 == "_" || $0 == "*") }
    }

    private static func isBalanced(_ text: ArraySlice<UInt8>) -> Bool {
        var depth = 0
        for byte in text where depth >= 0 {
            if byte == UInt8(ascii: "[") { depth += 1 }
            if byte == UInt8(ascii: "]") { depth -= 1 }
        }
        return depth == 0
    }

    /// Where the balanced brackets at the end of `text` begin.
    private static func startOfBrackets(_ text: ArraySlice<UInt8>) -> Int {
        var start = text.endIndex
        var depth = 0
        for index in text.indices.reversed() {
            if text[index] == UInt8(ascii: "]") { depth += 1 }
            if depth == 0, !ByteScanner.isSpace(text[index]) { break }
            if text[index] == UInt8(ascii: "[") {
                depth -= 1
                if depth == 0 { start = index }
            }
        }
        return start
    }

    private var isPointer: Bool { words.contains { $0.contains("*") } }

    /// Kinds that a field of `size` bytes can be; anything unusual is opaque bytes.
    func kind(size: Int) -> EventField.Kind {
        switch words.first {
        // Before 2.6.32 the location had two bytes; nothing reads such a field.
        case "__data_loc": return size == 4 ? .dynamic : .bytes
        case "__rel_loc": return size == 4 ? .relativeDynamic : .bytes
        default: break
        }
        if isArray { return words.filter({ $0 != "const" }) == ["char"] ? .text : .bytes }
        guard isPointer || !words.contains(where: { $0 == "struct" || $0 == "union" }) else { return .bytes }
        return [1, 2, 4, 8].contains(size) ? .integer : .bytes
    }

    /// For kernels that do not say: C's plain integers are signed, and the kernel's short names say it in their first
    /// letter.
    var looksSigned: Bool {
        guard !isArray, !isPointer else { return false }
        let signed: Set<Substring> = [
            "signed", "char", "short", "int", "long", "s8", "s16", "s32", "s64", "__s8", "__s16", "__s32", "__s64",
            "pid_t", "ssize_t",
        ]
        return !words.contains("unsigned") && words.contains(where: signed.contains)
    }
}
