/// Small numbers by thread id: the look-up of almost every scheduler event.
///
/// An open hash table with linear probing. `Dictionary` hashes with a keyed function that withstands hostile keys, 15 to
/// 20 ns a look-up; here a look-up costs 2 to 4, and the keys are thread ids, which a kernel hands out one after the other.
/// A guest that chose its ids to collide would slow down probing at most to its own number of tasks, which is bounded.
struct ThreadTable: Sendable, Codable {
    private static let free: Int64 = -1

    /// Key in the upper half, value in the lower; -1 is a free place (its key would be thread -1).
    private var places: [Int64] = []
    private var count = 0

    /// The value of `tid`; -1 when it has none.
    subscript(_ tid: Int32) -> Int32 {
        guard !places.isEmpty else { return -1 }
        var place = home(of: tid)
        while true {
            let entry = places[place]
            if entry == Self.free { return -1 }
            if Int32(truncatingIfNeeded: entry >> 32) == tid { return Int32(truncatingIfNeeded: entry) }
            place = (place + 1) & (places.count - 1)
        }
    }

    /// `value` must not be negative, nor `tid` be -1.
    mutating func set(_ tid: Int32, _ value: Int32) {
        if count * 2 >= places.count { grow() }
        var place = home(of: tid)
        while places[place] != Self.free, Int32(truncatingIfNeeded: places[place] >> 32) != tid {
            place = (place + 1) & (places.count - 1)
        }
        if places[place] == Self.free { count += 1 }
        places[place] = Int64(tid) << 32 | Int64(value)
    }

    /// Entries behind it move up, so that no probe ends too early.
    mutating func remove(_ tid: Int32) {
        guard !places.isEmpty else { return }
        var hole = home(of: tid)
        while true {
            let entry = places[hole]
            if entry == Self.free { return }
            if Int32(truncatingIfNeeded: entry >> 32) == tid { break }
            hole = (hole + 1) & (places.count - 1)
        }
        count -= 1
        var place = hole
        while true {
            place = (place + 1) & (places.count - 1)
            let entry = places[place]
            guard entry != Self.free else { break }
            let distance = (place - home(of: Int32(truncatingIfNeeded: entry >> 32))) & (places.count - 1)
            guard distance >= (place - hole) & (places.count - 1) else { continue }
            places[hole] = entry
            hole = place
        }
        places[hole] = Self.free
    }

    private mutating func grow() {
        let old = places
        places = [Int64](repeating: Self.free, count: max(64, old.count * 2))
        count = 0
        for entry in old where entry != Self.free {
            set(Int32(truncatingIfNeeded: entry >> 32), Int32(truncatingIfNeeded: entry))
        }
    }

    /// Fibonacci hashing: neighbouring ids land far apart.
    private func home(of tid: Int32) -> Int {
        Int(truncatingIfNeeded: UInt64(UInt32(bitPattern: tid)) &* 0x9e37_79b9_7f4a_7c15 >> 32) & (places.count - 1)
    }
}
