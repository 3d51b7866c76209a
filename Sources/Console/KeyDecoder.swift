package import Views

/// Bytes from a terminal to keys, however they are cut by `read`.
///
/// Cursor keys arrive as `ESC [ A` or, in application mode, `ESC O A`; others as `ESC [ 5 ~`; modifiers add parameters
/// (xterm's ctlseqs). The Escape key is the same byte as the beginning of these, so a lone ESC becomes a key only
/// when nothing follows for a moment: the caller asks `isPending` and calls `flush` when that moment has passed.
/// Sequences that are not understood vanish as a whole instead of turning into letters.
package struct KeyDecoder {
    private var pending: [UInt8] = []

    package init() {}

    /// A sequence longer than this is no key (the longest that xterm sends has 12 bytes).
    private static let longestSequence = 32

    /// How long a lone ESC waits for more. Terminals send a sequence in one write; ssh seldom tears one apart.
    package static let escapeMilliseconds: Int32 = 25

    package var isPending: Bool { !pending.isEmpty }

    package mutating func decode(_ bytes: some Sequence<UInt8>) -> [Key] {
        var keys: [Key] = []
        for byte in bytes {
            // A second ESC ends what the first began: Alt sequences and a hasty user both look so.
            if byte == 0x1b, !pending.isEmpty {
                if pending == [0x1b] { keys.append(.escape) }
                pending = [byte]
                continue
            }
            pending.append(byte)
            if let result = KeyDecoder.complete(pending) {
                if let key = result.key { keys.append(key) }
                pending.removeAll(keepingCapacity: true)
            } else if pending.count >= KeyDecoder.longestSequence {
                pending.removeAll(keepingCapacity: true)
            }
        }
        return keys
    }

    /// Nothing followed: a lone ESC was the Escape key, anything else was torn and is dropped.
    package mutating func flush() -> [Key] {
        defer { pending.removeAll(keepingCapacity: true) }
        return pending == [0x1b] ? [.escape] : []
    }

    /// Nil while more bytes are needed; a result without a key for a complete sequence that means nothing here.
    private static func complete(_ bytes: [UInt8]) -> (key: Key?, Void)? {
        guard let first = bytes.first else { return nil }
        switch first {
        case 0x1b: return escapeSequence(bytes)
        case 0x0d, 0x0a: return (.enter, ())
        case 0x08, 0x7f: return (.backspace, ())
        case 0x09: return (.tab, ())
        case 0x0c: return (.character("\u{0c}"), ())
        case 0..<0x20: return (nil, ())
        case 0x20..<0x7f: return (.character(Character(Unicode.Scalar(first))), ())
        default: return utf8(bytes)
        }
    }

    private static func escapeSequence(_ bytes: [UInt8]) -> (key: Key?, Void)? {
        guard bytes.count > 1 else { return nil }
        switch bytes[1] {
        case UInt8(ascii: "O"):
            guard bytes.count > 2 else { return nil }
            return (final(bytes[2], parameter: nil), ())
        case UInt8(ascii: "["):
            guard bytes.count > 2, let last = bytes.last else { return nil }
            // The Linux console's function keys: ESC [ [ A.
            if bytes[2] == UInt8(ascii: "[") { return bytes.count > 3 ? (nil, ()) : nil }
            guard (0x40...0x7e).contains(last) else { return nil }
            let digits = bytes[2...].prefix { (0x30...0x39).contains($0) }.prefix(3)
            return (final(last, parameter: Int(String(decoding: digits, as: UTF8.self))), ())
        // Alt and a key: no key of ours.
        default: return (nil, ())
        }
    }

    private static func final(_ byte: UInt8, parameter: Int?) -> Key? {
        switch (byte, parameter) {
        case (UInt8(ascii: "A"), _): .up
        case (UInt8(ascii: "B"), _): .down
        case (UInt8(ascii: "C"), _): .right
        case (UInt8(ascii: "D"), _): .left
        case (UInt8(ascii: "H"), _), (UInt8(ascii: "~"), 1), (UInt8(ascii: "~"), 7): .home
        case (UInt8(ascii: "F"), _), (UInt8(ascii: "~"), 4), (UInt8(ascii: "~"), 8): .end
        case (UInt8(ascii: "~"), 5): .pageUp
        case (UInt8(ascii: "~"), 6): .pageDown
        case (UInt8(ascii: "M"), nil): .enter
        default: nil
        }
    }

    private static func utf8(_ bytes: [UInt8]) -> (key: Key?, Void)? {
        let length =
            switch bytes[0] {
            case 0xc2...0xdf: 2
            case 0xe0...0xef: 3
            case 0xf0...0xf4: 4
            default: 1
            }
        guard bytes.count >= length else { return nil }
        guard let text = String(validating: bytes, as: UTF8.self), let character = text.first, text.count == 1 else {
            return (nil, ())
        }
        return (.character(character), ())
    }
}
