/// SplitMix64 (Steele, Lea, Flood 2014): the same numbers for the same seed, so that a failure can be run again.
struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }

    mutating func below(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &self) }

    mutating func chance(_ percent: Int) -> Bool { below(100) < percent }

    mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8.random(in: 0...255, using: &self) } }

    /// Numbers as they hurt: borders of widths more often than anything else.
    mutating func hostile() -> UInt64 {
        switch below(4) {
        case 0: UInt64(below(200))
        case 1: (1 << UInt64(below(64))) &- UInt64(below(3))
        case 2: .max &- UInt64(below(3))
        default: next() >> UInt64(below(64))
        }
    }

    mutating func pick<Element>(_ elements: [Element]) -> Element { elements[below(elements.count)] }
}

/// A line per byte string, as a reader would type it: spaces and labels after `#` do not count.
func bytes(hex text: String) -> [UInt8] {
    text.split(separator: "\n").flatMap { line in
        line.prefix { $0 != "#" }.split(separator: " ").compactMap { UInt8($0, radix: 16) }
    }
}
