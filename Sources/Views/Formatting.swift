/// Figures as people read them: three significant digits, the unit after a space, and a known greatest width.
///
/// Durations and amounts are truncated, not rounded: 9.999 ms is shown as `9.99 ms`, so that no figure carries into the
/// next unit and none claims more than was measured. A zero that was measured is `0`; `0.0` means "something, less than
/// a twentieth of a percent". What is not known is `unknown` and never a number.
package enum Format {
    /// What stands where a figure would stand that nobody knows.
    package static let unknown = "?"

    /// At most seven cells: `12 ns`, `1.23 µs`, `123 ms`, `12.3 s`, `12m03s`, `3h05m`, `12d04h`.
    package static func duration(_ nanoseconds: Int64) -> String {
        guard nanoseconds > 0 else { return nanoseconds == 0 ? "0" : "-" + duration(nanoseconds.magnitude) }
        return duration(nanoseconds.magnitude)
    }

    private static func duration(_ nanoseconds: UInt64) -> String {
        let seconds = nanoseconds / 1_000_000_000
        switch nanoseconds {
        case ..<1_000: return "\(nanoseconds) ns"
        case ..<1_000_000: return significant(nanoseconds, unit: 1_000) + " µs"
        case ..<1_000_000_000: return significant(nanoseconds, unit: 1_000_000) + " ms"
        case ..<60_000_000_000: return significant(nanoseconds, unit: 1_000_000_000) + " s"
        default: break
        }
        switch seconds {
        case ..<3_600: return "\(seconds / 60)m\(twoDigits(seconds % 60))s"
        case ..<86_400: return "\(seconds / 3_600)h\(twoDigits(seconds / 60 % 60))m"
        case ..<8_640_000: return "\(seconds / 86_400)d\(twoDigits(seconds / 3_600 % 24))h"
        default: return "\(seconds / 86_400)d"
        }
    }

    /// Seconds with three digits after the point, for tables in which all figures have one unit: `61.204`.
    package static func seconds(_ nanoseconds: Int64) -> String {
        let milliseconds = nanoseconds.magnitude / 1_000_000
        let fraction = "\(1_000 + milliseconds % 1_000)".dropFirst()
        return (nanoseconds < 0 ? "-" : "") + "\(milliseconds / 1_000).\(fraction)"
    }

    /// A session's age: `00:01:23`, or `3d 04:05:06`.
    package static func clock(_ nanoseconds: Int64) -> String {
        let seconds = UInt64(max(0, nanoseconds)) / 1_000_000_000
        let time = "\(twoDigits(seconds / 3_600 % 24)):\(twoDigits(seconds / 60 % 60)):\(twoDigits(seconds % 60))"
        return seconds < 86_400 ? time : "\(seconds / 86_400)d \(time)"
    }

    /// An amount in at most five cells: `0`, `123`, `12.3k`, `1.23M`.
    package static func count(_ count: UInt64) -> String {
        switch count {
        case ..<1_000: "\(count)"
        case ..<1_000_000: significant(count, unit: 1_000) + "k"
        case ..<1_000_000_000: significant(count, unit: 1_000_000) + "M"
        case ..<1_000_000_000_000: significant(count, unit: 1_000_000_000) + "G"
        default: significant(count, unit: 1_000_000_000_000) + "T"
        }
    }

    /// An amount per second in at most five cells: as `count`, and with a fraction below ten: `0.4`, `9.8`.
    package static func rate(_ perSecond: Double?) -> String {
        guard let perSecond, perSecond.isFinite, perSecond >= 0 else { return unknown }
        if perSecond == 0 { return "0" }
        if perSecond < 9.95 {
            let tenths = UInt64((perSecond * 10).rounded())
            return "\(tenths / 10).\(tenths % 10)"
        }
        return count(perSecond < 1e18 ? UInt64(perSecond.rounded()) : .max)
    }

    /// Every digit, in groups of three: `1,234,567`.
    package static func exact(_ count: UInt64) -> String {
        var rest = count
        var groups: [String] = []
        while rest >= 1_000 {
            groups.append(String("\(1_000 + rest % 1_000)".dropFirst()))
            rest /= 1_000
        }
        return (["\(rest)"] + groups.reversed()).joined(separator: ",")
    }

    /// Powers of ten, as disks and links are sold: `0 B`, `12.3 kB`, `1.23 GB`.
    package static func bytes(_ bytes: UInt64) -> String {
        switch bytes {
        case ..<1_000: "\(bytes) B"
        case ..<1_000_000: significant(bytes, unit: 1_000) + " kB"
        case ..<1_000_000_000: significant(bytes, unit: 1_000_000) + " MB"
        case ..<1_000_000_000_000: significant(bytes, unit: 1_000_000_000) + " GB"
        default: significant(bytes, unit: 1_000_000_000_000) + " TB"
        }
    }

    /// A share in at most four cells: `0`, `0.0`, `12.3`, `100`. Only all is `100`, and only nothing is `0`.
    package static func percent(_ share: Share?) -> String {
        guard let share else { return unknown }
        switch share.permille {
        case 0: return share.isNothing ? "0" : "0.0"
        case 1_000...: return "100"
        default: return "\(share.permille / 10).\(share.permille % 10)"
        }
    }

    /// Three significant digits of `value` in `unit`s, truncated.
    private static func significant(_ value: UInt64, unit: UInt64) -> String {
        let whole = value / unit
        if whole >= 100 { return "\(whole)" }
        let fraction = value % unit
        if whole >= 10 { return "\(whole).\(fraction / (unit / 10))" }
        return "\(whole).\(twoDigits(fraction / (unit / 100)))"
    }

    private static func twoDigits(_ value: UInt64) -> String { value < 10 ? "0\(value)" : "\(value)" }

    /// Seconds to the nanosecond: `12.000204112`.
    package static func exactSeconds(_ nanoseconds: Int64) -> String {
        let (seconds, rest) = nanoseconds.magnitude.quotientAndRemainder(dividingBy: 1_000_000_000)
        return (nanoseconds < 0 ? "-" : "") + "\(seconds)." + String("\(1_000_000_000 + rest)".dropFirst())
    }
}

/// A part of a whole, in thousandths, rounded to the nearest, but never rounded up to all or down to nothing.
package struct Share: Hashable, Comparable, Sendable {
    package let permille: Int
    /// The part was exactly zero.
    package let isNothing: Bool

    /// Nil when there is no whole: a share of nothing is not known.
    package init?(_ part: Int64, of whole: Int64) {
        guard whole > 0 else { return nil }
        let part = min(max(0, part), whole)
        let product = UInt64(part).multipliedFullWidth(by: 1_000)
        let (quotient, remainder) = UInt64(whole).dividingFullWidth(product)
        let rounded = remainder >= UInt64(whole) - remainder ? quotient + 1 : quotient
        permille = part == whole ? 1_000 : Int(min(rounded, 999))
        isNothing = part == 0
    }

    package static func < (a: Share, b: Share) -> Bool {
        (a.permille, a.isNothing ? 0 : 1) < (b.permille, b.isNothing ? 0 : 1)
    }
}
