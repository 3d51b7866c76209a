/// Text of many events as bytes, appended without a look at the capacity for every one of them.
///
/// A line of text is hundreds of small pieces, and each `append` of an array costs more than most of them; so room for a
/// whole line is made first, and the pieces are stored through a pointer that stays inside of it. `room` bounds every line.
package struct LineBuffer {
    package private(set) var bytes: [UInt8] = []
    private var count = 0

    package init() {}

    package var isEmpty: Bool { count == 0 }

    package var byteCount: Int { count }

    /// Hands over what was written and begins anew, with the same storage.
    package mutating func take(_ body: (UnsafeRawBufferPointer) throws -> Void) rethrows {
        try bytes.withUnsafeBytes { try body(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
        count = 0
    }

    /// Lets `body` write at most `room` bytes.
    @inline(__always)
    mutating func line(room: Int, _ body: (inout LineCursor) -> Void) {
        if bytes.count - count < room {
            bytes.append(contentsOf: repeatElement(0, count: max(room, bytes.count, 64 << 10)))
        }
        count = bytes.withUnsafeMutableBufferPointer { all in
            var cursor = LineCursor(UnsafeMutableBufferPointer(rebasing: all[count..<count + room]))
            body(&cursor)
            return count + cursor.count
        }
    }
}

/// Writes into the room that a line was given; what does not fit is left out.
struct LineCursor {
    private let room: UnsafeMutableBufferPointer<UInt8>
    private(set) var count = 0

    init(_ room: UnsafeMutableBufferPointer<UInt8>) { self.room = room }

    @inline(__always)
    mutating func put(_ byte: UInt8) {
        guard count < room.count else { return }
        room[count] = byte
        count &+= 1
    }

    /// A hexadecimal digit, of a number below 16.
    @inline(__always)
    mutating func put(digit: UInt8) {
        put(digit < 10 ? UInt8(ascii: "0") &+ digit : UInt8(ascii: "a") &+ digit &- 10)
    }

    @inline(__always)
    mutating func put(_ bytes: [UInt8]) {
        guard room.count &- count >= bytes.count else { return }
        for byte in bytes {
            room[count] = byte
            count &+= 1
        }
    }

    /// Right-aligned when it is shorter than `width`.
    mutating func put(_ bytes: [UInt8], width: Int) {
        for _ in 0..<max(0, width - bytes.count) { put(UInt8(ascii: " ")) }
        put(bytes)
    }

    mutating func pad(to column: Int) {
        while count < column, count < room.count { put(UInt8(ascii: " ")) }
    }

    /// Decimal; with zeros in front up to `digits`.
    @inline(__always)
    mutating func put(_ value: UInt64, digits: Int = 1) {
        var length = 1
        var limit: UInt64 = 10
        while length < 20, value >= limit {
            length &+= 1
            if length == 20 { break }
            limit = limit &* 10
        }
        length = max(length, digits)
        guard room.count &- count >= length else { return }
        var rest = value
        var at = count &+ length
        while at > count {
            at &-= 1
            let (quotient, digit) = rest.quotientAndRemainder(dividingBy: 10)
            room[at] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: digit)
            rest = quotient
        }
        count &+= length
    }

    @inline(__always)
    mutating func put(signed value: Int64) {
        if value < 0 { put(UInt8(ascii: "-")) }
        put(value.magnitude)
    }

    mutating func put(hex value: UInt64) {
        put(UInt8(ascii: "0"))
        put(UInt8(ascii: "x"))
        var shift = value == 0 ? 0 : (63 - value.leadingZeroBitCount) / 4 * 4
        while shift >= 0 {
            let digit = UInt8(truncatingIfNeeded: value >> UInt64(shift) & 15)
            put(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
            shift -= 4
        }
    }

    /// Bytes that a guest chose: control characters and what is not ASCII become `?`, as nothing of it may steer a terminal.
    @inline(__always)
    mutating func put(untrusted byte: UInt8) { put(byte >= 0x20 && byte < 0x7f ? byte : UInt8(ascii: "?")) }
}
