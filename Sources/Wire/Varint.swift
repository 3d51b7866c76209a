/// LEB128 integers, eight bytes at a time.
///
/// Batches consist of little else. Taking them apart byte by byte costs a comparison and a badly predicted branch per byte;
/// here one word is loaded or stored and its seven-bit groups are moved in three steps.
enum Varint {
    static let maximumBytes = 10
    private static let continuation: UInt64 = 0x8080_8080_8080_8080

    @inline(__always)
    static func zigzag(_ value: Int64) -> UInt64 { UInt64(bitPattern: value << 1 ^ value >> 63) }

    @inline(__always)
    static func unzigzag(_ raw: UInt64) -> Int64 { Int64(bitPattern: raw >> 1) ^ -Int64(bitPattern: raw & 1) }

    /// The bytes that `value` takes; zero takes none here.
    @inline(__always)
    static func width(_ value: UInt64) -> Int { (70 - value.leadingZeroBitCount) / 7 }

    /// The encoding of a value below 2⁵⁶, in memory order from the low byte up.
    @inline(__always)
    static func spread(_ value: UInt64, width: Int) -> UInt64 {
        var word = value & 0x0fff_ffff | (value & 0x00ff_ffff_f000_0000) << 4
        word = word & 0x0000_3fff_0000_3fff | (word & 0x0fff_c000_0fff_c000) << 2
        word = word & 0x007f_007f_007f_007f | (word & 0x3f80_3f80_3f80_3f80) << 1
        return word | continuation & ((1 &<< UInt64(truncatingIfNeeded: 8 &* width &- 8)) &- 1)
    }

    /// The bytes of the integer at the low end of `word`; 0 when it does not end within these eight bytes.
    @inline(__always)
    static func width(encoded word: UInt64) -> Int {
        let stops = ~word & continuation
        return stops == 0 ? 0 : stops.trailingZeroBitCount / 8 + 1
    }

    /// The integer in the first `width` bytes of `word`.
    @inline(__always)
    static func gather(_ word: UInt64, width: Int) -> UInt64 {
        let stop: UInt64 = 1 &<< UInt64(truncatingIfNeeded: 8 &* width &- 1)
        var value = word & (stop | stop &- 1) & ~continuation
        value = value & 0x007f_007f_007f_007f | (value & 0x7f00_7f00_7f00_7f00) >> 1
        value = value & 0x0000_3fff_0000_3fff | (value & 0x3fff_0000_3fff_0000) >> 2
        return value & 0x0fff_ffff | (value & 0x0fff_ffff_0000_0000) >> 4
    }
}
