/// Durations and sizes as people type them: `500us`, `1.5ms`, `60s`, `512M`, `2G`.
package enum Quantities {
    private static let durationUnits: [(name: String, nanoseconds: Double)] = [
        ("ns", 1), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9),
    ]
    private static let sizeUnits: [(name: String, bytes: Double)] = [
        ("", 1), ("B", 1), ("K", 1024), ("M", 1_048_576), ("G", 1_073_741_824), ("T", 1_099_511_627_776),
    ]

    /// Nanoseconds. A number alone counts in `unit`, where one is given. Nil when it is no duration, or beyond 292 years.
    package static func nanoseconds(_ text: String, unit: String? = nil) -> Int64? {
        guard let (number, name) = split(text), let unit = name.isEmpty ? unit : name,
            let factor = durationUnits.first(where: { $0.name == unit })?.nanoseconds
        else { return nil }
        return Int64(exactly: (number * factor).rounded())
    }

    /// Bytes, in powers of 1024 as with trace-cmd and perf; `KB`, `KiB` and `k` are `K`.
    package static func bytes(_ text: String) -> UInt64? {
        guard let (number, name) = split(text) else { return nil }
        var unit = name.uppercased()
        for suffix in ["IB", "B"] where unit.count > suffix.count && unit.hasSuffix(suffix) {
            unit.removeLast(suffix.count)
            break
        }
        guard let factor = sizeUnits.first(where: { $0.name == unit })?.bytes else { return nil }
        return UInt64(exactly: (number * factor).rounded())
    }

    /// A number that is not negative, and the letters behind it.
    private static func split(_ text: String) -> (number: Double, unit: String)? {
        let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        guard let number = Double(digits), number.isFinite else { return nil }
        return (number, String(text[digits.endIndex...]))
    }
}
