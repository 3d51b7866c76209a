/// A task's name as the kernel keeps it: sixteen bytes, the last one NUL (`TASK_COMM_LEN`).
///
/// Two words instead of a `String`, because names are copied for every context switch and looked at for few of them.
package struct Comm: Hashable, Sendable, Codable {
    /// Bytes 0…7 and 8…15 in memory order.
    @usableFromInline var first: UInt64
    @usableFromInline var last: UInt64

    @inlinable
    package init(first: UInt64, last: UInt64) {
        self.first = first
        self.last = last
    }

    package init() {
        first = 0
        last = 0
    }

    /// At most fifteen bytes of `text` are kept, as the kernel does.
    package init(_ text: String) {
        self.init(bytes: text.utf8)
    }

    package init(bytes: some Sequence<UInt8>) {
        var words: (UInt64, UInt64) = (0, 0)
        for (index, byte) in bytes.prefix(15).enumerated() {
            if byte == 0 { break }
            if index < 8 {
                words.0 |= UInt64(byte) << (8 * UInt64(index))
            } else {
                words.1 |= UInt64(byte) << (8 * UInt64(index - 8))
            }
        }
        first = UInt64(littleEndian: words.0)
        last = UInt64(littleEndian: words.1)
    }

    package var isEmpty: Bool { first & 0xff == 0 && UInt8(truncatingIfNeeded: first.littleEndian) == 0 }

    /// Whether the name begins with the whole of `prefix`.
    package func hasPrefix(_ prefix: Comm) -> Bool {
        func mask(_ word: UInt64) -> UInt64 {
            // Bytes up to the last one that is not NUL, in memory order.
            let used = 8 - word.littleEndian.leadingZeroBitCount / 8
            return used == 0 ? 0 : (UInt64.max >> (64 - 8 * UInt64(used))).littleEndian
        }
        return first & mask(prefix.first) == prefix.first && last & mask(prefix.last) == prefix.last
    }

    /// The bytes before the first NUL, as they are; returns how many there are.
    @inlinable
    package func copy(to bytes: inout InlineArray<16, UInt8>) -> Int {
        for index in 0..<16 {
            let word = (index < 8 ? first : last).littleEndian
            let byte = UInt8(truncatingIfNeeded: word &>> (8 &* UInt64(truncatingIfNeeded: index & 7)))
            if byte == 0 { return index }
            bytes[index] = byte
        }
        return 16
    }

    /// The name for people: up to the first NUL, invalid UTF-8 and control characters (terminal escapes!) replaced.
    ///
    /// A guest chooses its task names freely, so nothing else may print one.
    package var text: String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(16)
        for index in 0..<16 {
            let word = (index < 8 ? first : last).littleEndian
            let byte = UInt8(truncatingIfNeeded: word >> (8 * UInt64(index & 7)))
            if byte == 0 { break }
            bytes.append(byte)
        }
        return String(decoding: bytes, as: UTF8.self).sanitized
    }
}

extension String {
    /// The text with control characters (C0, DEL, C1), bidirectional overrides and line separators replaced by `?`.
    ///
    /// For every string that came from a guest or a process and goes to a terminal.
    package var sanitized: String {
        func isHarmful(_ scalar: Unicode.Scalar) -> Bool {
            switch scalar.value {
            case 0..<0x20, 0x7f..<0xa0, 0x200b...0x200f, 0x2028...0x202e, 0x2060...0x206f, 0xfeff: true
            default: false
            }
        }
        guard unicodeScalars.contains(where: isHarmful) else { return self }
        var view = String.UnicodeScalarView()
        for scalar in unicodeScalars { view.append(isHarmful(scalar) ? "?" : scalar) }
        return String(view)
    }
}
