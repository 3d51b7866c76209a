/// Text of many events as bytes, appended without a look at the capacity for every one of them.
///
/// A line of text is hundreds of small pieces, and each `append` of an array costs more than most of them; so room for a
/// whole line is made first, and the pieces are stored through a pointer. Whoever writes a line bounds it: the room is what
/// its pieces can take at most.
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
        let wanted = room &+ LineCursor.overrun
        if bytes.count &- count < wanted {
            bytes.append(contentsOf: repeatElement(0, count: max(wanted, bytes.count, 64 << 10)))
        }
        count = bytes.withUnsafeMutableBytes { all in
            guard let base = all.baseAddress else { return count }
            var cursor = LineCursor(base + count)
            body(&cursor)
            let written = cursor.at - (base + count)
            assert(written <= room, "a line is longer than its room")
            return count &+ written
        }
    }
}

/// Writes into the room that a line was given.
///
/// Words of eight bytes are stored where fewer are meant, and what follows is written over the rest: up to `overrun` bytes
/// behind the last one that counts are touched.
struct LineCursor {
    private(set) var at: UnsafeMutableRawPointer

    static let overrun = 16

    init(_ start: UnsafeMutableRawPointer) { at = start }

    @inline(__always)
    mutating func put(_ byte: UInt8) {
        at.storeBytes(of: byte, as: UInt8.self)
        at += 1
    }

    /// The first `count` bytes of `word`, the lowest of it first.
    @inline(__always)
    mutating func put(word: UInt64, count: Int = 8) {
        at.storeBytes(of: word.littleEndian, as: UInt64.self)
        at += count
    }

    /// Bytes that are followed by at least seven others, which do not count.
    @inline(__always)
    mutating func put(padded bytes: UnsafeRawPointer, _ count: Int) {
        var done = 0
        while done < count {
            (at + done).storeBytes(of: bytes.loadUnaligned(fromByteOffset: done, as: UInt64.self), as: UInt64.self)
            done &+= 8
        }
        at += count
    }

    // MARK: Numbers

    /// Decimal.
    @inline(__always)
    mutating func put(_ value: UInt64) {
        if value < 10 { return put(UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: value)) }
        if value < 100_000_000 { return put(short: value) }
        putLong(value)
    }

    @inline(__always)
    mutating func put(signed value: Int64) {
        if value < 0 { put(UInt8(ascii: "-")) }
        put(value.magnitude)
    }

    /// With zeros in front up to three digits.
    @inline(__always)
    mutating func put(threeDigits value: UInt64) {
        if value < 100 { put(UInt8(ascii: "0")) }
        if value < 10 { put(UInt8(ascii: "0")) }
        put(value)
    }

    /// Below 10⁹, with zeros in front.
    @inline(__always)
    mutating func put(nineDigits value: UInt64) {
        let (first, rest) = value.quotientAndRemainder(dividingBy: 100_000_000)
        put(UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: first))
        put(word: LineCursor.eightDigits(rest) | LineCursor.zeros)
    }

    private mutating func putLong(_ value: UInt64) {
        let (high, low) = value.quotientAndRemainder(dividingBy: 100_000_000)
        if high >= 100_000_000 {
            let (highest, middle) = high.quotientAndRemainder(dividingBy: 100_000_000)
            put(short: highest)
            put(word: LineCursor.eightDigits(middle) | LineCursor.zeros)
        } else {
            put(short: high)
        }
        put(word: LineCursor.eightDigits(low) | LineCursor.zeros)
    }

    /// Below 10⁸. How many digits there are is found by comparing, and not from the digits: where the next piece goes need
    /// not wait for them.
    @inline(__always)
    private mutating func put(short value: UInt64) {
        // The highest bit of a difference that is below zero, because branches would keep the compiler from inlining this.
        let count =
            1 &+ (9 &- value) &>> 63 &+ (99 &- value) &>> 63 &+ (999 &- value) &>> 63 &+ (9999 &- value) &>> 63
            &+ (99_999 &- value) &>> 63 &+ (999_999 &- value) &>> 63 &+ (9_999_999 &- value) &>> 63
        let digits = LineCursor.eightDigits(value) | LineCursor.zeros
        put(word: digits &>> (64 &- 8 &* count), count: Int(truncatingIfNeeded: count))
    }

    private static let zeros: UInt64 = 0x3030_3030_3030_3030

    /// The eight digits of a number below 10⁸ as bytes, the first one lowest: halved three times, in all parts of one word at
    /// once. The factors are 1/100 and 1/10 in fixed point, exact for what they are applied to.
    @inline(__always)
    private static func eightDigits(_ value: UInt64) -> UInt64 {
        let (high, low) = value.quotientAndRemainder(dividingBy: 10_000)
        let fours = high | low &<< 32
        let hundreds = (fours &* 10_486) &>> 20 & 0x0000_007f_0000_007f
        let twos = hundreds | (fours &- 100 &* hundreds) &<< 16
        let tens = (twos &* 103) &>> 10 & 0x000f_000f_000f_000f
        return tens | (twos &- 10 &* tens) &<< 8
    }

    @inline(__always)
    mutating func put(hex value: UInt64) {
        put(UInt8(ascii: "0"))
        put(UInt8(ascii: "x"))
        let count = max(1, (67 &- value.leadingZeroBitCount) / 4)
        // The digits that count to the top, and from there to the front of the text.
        let shifted = value &<< UInt64(64 &- 4 &* count)
        at.storeBytes(of: LineCursor.eightHexDigits(shifted &>> 32).littleEndian, as: UInt64.self)
        (at + 8).storeBytes(of: LineCursor.eightHexDigits(shifted & 0xffff_ffff).littleEndian, as: UInt64.self)
        at += count
    }

    /// A byte as two hexadecimal digits.
    @inline(__always)
    mutating func put(hexByte value: UInt8) {
        let digits = LineCursor.eightHexDigits(UInt64(value) &<< 24)
        put(word: digits, count: 2)
    }

    /// The digits of 32 bits as text, the first one lowest.
    @inline(__always)
    private static func eightHexDigits(_ value: UInt64) -> UInt64 {
        var spread = value
        spread = (spread | spread &<< 16) & 0x0000_ffff_0000_ffff
        spread = (spread | spread &<< 8) & 0x00ff_00ff_00ff_00ff
        spread = (spread | spread &<< 4) & 0x0f0f_0f0f_0f0f_0f0f
        let digits = spread.byteSwapped
        let letters = (digits &+ 0x0606_0606_0606_0606) &>> 4 & 0x0101_0101_0101_0101
        return digits &+ zeros &+ letters &* 0x27
    }

    // MARK: Untrusted text

    /// Bytes that a guest chose, up to the first NUL: control characters and what is not ASCII become `?`, as nothing of it
    /// may steer a terminal.
    @inline(__always)
    mutating func put(untrusted text: UnsafeRawPointer, _ count: Int) {
        var done = 0
        while count &- done >= 8 {
            let word = UInt64(littleEndian: text.loadUnaligned(fromByteOffset: done, as: UInt64.self))
            let used = LineCursor.firstZeroByte(word)
            guard LineCursor.isHarmless(word, used) else {
                putBytes(text + done, 8)
                if used < 8 { return }
                done &+= 8
                continue
            }
            put(word: word, count: used)
            if used < 8 { return }
            done &+= 8
        }
        putBytes(text + done, count &- done)
    }

    /// The same of sixteen bytes, which is what a task's name has: without a branch on how many of them are used.
    @inline(__always)
    mutating func put(untrustedName text: UnsafeRawPointer) {
        let first = UInt64(littleEndian: text.loadUnaligned(as: UInt64.self))
        let second = UInt64(littleEndian: text.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
        let firstUsed = LineCursor.firstZeroByte(first)
        let secondUsed = firstUsed == 8 ? LineCursor.firstZeroByte(second) : 0
        guard LineCursor.isHarmless(first, firstUsed), LineCursor.isHarmless(second, secondUsed) else {
            return putBytes(text, 16)
        }
        at.storeBytes(of: first.littleEndian, as: UInt64.self)
        (at + 8).storeBytes(of: second.littleEndian, as: UInt64.self)
        at += firstUsed &+ secondUsed
    }

    private mutating func putBytes(_ text: UnsafeRawPointer, _ count: Int) {
        for index in 0..<count {
            let byte = text.load(fromByteOffset: index, as: UInt8.self)
            if byte == 0 { return }
            put(byte >= 0x20 && byte < 0x7f ? byte : UInt8(ascii: "?"))
        }
    }

    private static let ones: UInt64 = 0x0101_0101_0101_0101
    private static let highs: UInt64 = 0x8080_8080_8080_8080

    /// The bits of `highs` in which a byte is zero; exact up to the first one, which is all that is asked.
    @inline(__always)
    private static func zeroBytes(_ word: UInt64) -> UInt64 { (word &- ones) & ~word & highs }

    /// 8 when there is none.
    @inline(__always)
    private static func firstZeroByte(_ word: UInt64) -> Int { zeroBytes(word).trailingZeroBitCount / 8 }

    /// Whether the first `used` bytes are printable.
    @inline(__always)
    private static func isHarmless(_ word: UInt64, _ used: Int) -> Bool {
        let spaces: UInt64 = 0x2020_2020_2020_2020
        let mask: UInt64 = used == 8 ? .max : (1 &<< UInt64(8 &* used)) &- 1
        let shown = word & mask | spaces & ~mask
        let isControl = (shown &- spaces) & ~shown & highs
        return isControl | shown & highs | zeroBytes(shown ^ 0x7f7f_7f7f_7f7f_7f7f) == 0
    }
}
