import TraceModel

/// Builds a message body: variable-length integers (LEB128) and length-prefixed text.
package struct BodyWriter {
    package private(set) var bytes: [UInt8] = []

    package init() {}

    package mutating func put(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    package mutating func put(_ value: Int) { put(UInt64(clamping: value)) }

    /// Zigzag, so that small negative numbers are short too.
    package mutating func put(signed value: Int64) {
        put(UInt64(bitPattern: value << 1 ^ value >> 63))
    }

    package mutating func put(byte: UInt8) { bytes.append(byte) }

    package mutating func put(_ value: Bool) { bytes.append(value ? 1 : 0) }

    /// Cut at `limit` bytes, between two scalars: never between two characters only, because one character may be any
    /// number of bytes long.
    package mutating func put(_ text: String, limit: Int = Limits.textBytes) {
        let utf8 = text.utf8
        var end = utf8.index(utf8.startIndex, offsetBy: limit, limitedBy: utf8.endIndex) ?? utf8.endIndex
        while end > utf8.startIndex, end < utf8.endIndex, utf8[end] & 0xc0 == 0x80 { utf8.formIndex(before: &end) }
        let kept = utf8[..<end]
        put(kept.count)
        bytes.append(contentsOf: kept)
    }

    package mutating func put<Value>(optional value: Value?, _ body: (inout BodyWriter, Value) -> Void) {
        put(value != nil)
        if let value { body(&self, value) }
    }

    /// Elements beyond `limit` are left out.
    package mutating func put<Element>(
        _ elements: [Element], limit: Int = .max, _ body: (inout BodyWriter, Element) -> Void
    ) {
        put(min(elements.count, limit))
        for element in elements.prefix(limit) { body(&self, element) }
    }
}

/// Why a frame's body is not the message its type says.
package struct MessageError: Error, Hashable, Sendable, CustomStringConvertible {
    package var message: String
    package var problem: String
    /// Offset in the body.
    package var byte: Int

    package var description: String { "a \(message) message from the peer is malformed at byte \(byte): \(problem)" }
}

/// Takes a message body apart. Every read is checked; nothing is allocated before its length was compared with what is
/// there.
package struct BodyReader {
    private let bytes: [UInt8]
    private let message: String
    package private(set) var at = 0

    package init(_ bytes: [UInt8], message: String) {
        self.bytes = bytes
        self.message = message
    }

    package func error(_ problem: String) -> MessageError {
        MessageError(message: message, problem: problem, byte: at)
    }

    package var isAtEnd: Bool { at == bytes.count }

    package mutating func byte() throws(MessageError) -> UInt8 {
        guard at < bytes.count else { throw error("it ends early") }
        defer { at += 1 }
        return bytes[at]
    }

    package mutating func unsigned() throws(MessageError) -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), through: 63, by: 7) {
            let next = try byte()
            guard shift < 63 || next <= 1 else { throw error("an integer is longer than 64 bits") }
            value |= UInt64(next & 0x7f) << shift
            if next < 0x80 { return value }
        }
        throw error("an integer is longer than 64 bits")
    }

    package mutating func signed() throws(MessageError) -> Int64 {
        let raw = try unsigned()
        return Int64(bitPattern: raw >> 1) ^ -Int64(bitPattern: raw & 1)
    }

    package mutating func integer(in range: ClosedRange<Int>) throws(MessageError) -> Int {
        let value = try unsigned()
        guard let small = Int(exactly: value), range.contains(small) else {
            throw error("\(value) lies outside of \(range.lowerBound)…\(range.upperBound)")
        }
        return small
    }

    package mutating func bool() throws(MessageError) -> Bool { try byte() != 0 }

    package mutating func text(limit: Int = Limits.textBytes) throws(MessageError) -> String {
        let length = try integer(in: 0...limit)
        guard length <= bytes.count - at else { throw error("a text of \(length) bytes ends early") }
        defer { at += length }
        return String(decoding: bytes[at..<at + length], as: UTF8.self)
    }

    /// A text that people will see. The peer may be hostile, so nothing of it can steer a terminal.
    package mutating func label(limit: Int = Limits.textBytes) throws(MessageError) -> String {
        try text(limit: limit).sanitized
    }

    package mutating func optional<Value>(
        _ body: (inout BodyReader) throws(MessageError) -> Value
    ) throws(MessageError) -> Value? {
        try bool() ? try body(&self) : nil
    }

    package mutating func array<Element>(
        limit: Int, _ body: (inout BodyReader) throws(MessageError) -> Element
    ) throws(MessageError) -> [Element] {
        // An element is at least one byte, so a count beyond the rest of the body is a lie.
        let count = try integer(in: 0...limit)
        guard count <= bytes.count - at else { throw error("a list of \(count) elements ends early") }
        var elements: [Element] = []
        elements.reserveCapacity(count)
        for _ in 0..<count { elements.append(try body(&self)) }
        return elements
    }
}
