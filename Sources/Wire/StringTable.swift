/// The strings of one batch, found by their bytes: an open-addressed table that is emptied in constant time.
///
/// Entries point into the batch's own records, so nothing is copied; they are valid while that batch is encoded.
struct StringTable: Sendable {
    /// Strings that get a number. Further ones are sent whole each time, so that a decoder's table is bounded too.
    static let maximum = 2048
    private static let buckets = 4096

    private struct Entry {
        var hash: UInt64
        var at: Int
        var count: Int
    }

    private var entries: [Entry] = []
    /// The number of an entry in the low half, valid when the high half is the present generation.
    private var table = [UInt64](repeating: 0, count: StringTable.buckets)
    private var generation: UInt64 = 1

    mutating func removeAll() {
        entries.removeAll(keepingCapacity: true)
        generation += 1
        if generation > UInt64(UInt32.max) {
            table = [UInt64](repeating: 0, count: StringTable.buckets)
            generation = 1
        }
    }

    /// The number of a string that is known, from 1 on; 0 for one that is not, which gets the next number if there is one.
    @inline(never)
    mutating func number(of bytes: borrowing RawSpan, at: Int, count: Int) -> Int {
        let hash = StringTable.hash(bytes, at, count)
        var bucket = Int(truncatingIfNeeded: hash &>> 40) & (StringTable.buckets - 1)
        while table[bucket] &>> 32 == generation {
            let number = Int(truncatingIfNeeded: table[bucket] & 0xffff_ffff)
            let entry = entries[number - 1]
            if entry.hash == hash, entry.count == count, bytes.areEqual(at, entry.at, count: count) { return number }
            bucket = (bucket + 1) & (StringTable.buckets - 1)
        }
        if entries.count < StringTable.maximum {
            entries.append(Entry(hash: hash, at: at, count: count))
            table[bucket] = generation << 32 | UInt64(entries.count)
        }
        return 0
    }

    /// A multiplication per word. Equal strings are compared anyhow; what a hash must not do here is cost more than they.
    @inline(__always)
    private static func hash(_ bytes: borrowing RawSpan, _ at: Int, _ count: Int) -> UInt64 {
        var hash = UInt64(truncatingIfNeeded: count)
        var done = 0
        while count &- done >= 8 {
            hash = (hash ^ bytes.word(at: at &+ done)) &* 0x9E37_79B1_85EB_CA87
            hash ^= hash &>> 32
            done &+= 8
        }
        while done < count {
            hash = (hash ^ UInt64(bytes.byte(at: at &+ done))) &* 0xC2B2_AE3D_27D4_EB4F
            done &+= 1
        }
        return hash &* 0x9E37_79B1_85EB_CA87
    }
}

extension RawSpan {
    /// Eight bytes from `offset` on, the first one lowest. Stops the program when they are not there.
    @inline(__always)
    func word(at offset: Int) -> UInt64 {
        UInt64(littleEndian: unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }

    /// The same where the caller has just made sure that they are there.
    @inline(__always)
    func word(atUnchecked offset: Int) -> UInt64 {
        UInt64(littleEndian: unsafe unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt64.self))
    }

    @inline(__always)
    func byte(at offset: Int) -> UInt8 { unsafe unsafeLoad(fromByteOffset: offset, as: UInt8.self) }

    @inline(__always)
    func areEqual(_ a: Int, _ b: Int, count: Int) -> Bool {
        var done = 0
        while count &- done >= 16 {
            let first = unsafe unsafeLoadUnaligned(fromByteOffset: a &+ done, as: SIMD2<UInt64>.self)
            let second = unsafe unsafeLoadUnaligned(fromByteOffset: b &+ done, as: SIMD2<UInt64>.self)
            if first != second { return false }
            done &+= 16
        }
        while done < count {
            if byte(at: a &+ done) != byte(at: b &+ done) { return false }
            done &+= 1
        }
        return true
    }
}
