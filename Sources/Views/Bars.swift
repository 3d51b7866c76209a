/// Lengths as text: bars for shares and histograms, shades for cells of a matrix.
///
/// Bars are made of block elements, which are one cell wide everywhere and have eight steps; in ASCII a whole cell is
/// `#` and a part of one `=` or `-` (`Frame.ascii`). Something is never drawn as nothing, and only all fills the bar.
enum Bars {
    private static let eighths: [Character] = ["▏", "▎", "▍", "▌", "▋", "▊", "▉"]

    /// `part` of `whole` in at most `width` cells, without padding.
    static func bar(_ part: UInt64, of whole: UInt64, width: Int) -> String {
        guard part > 0, whole > 0, width > 0 else { return "" }
        let part = min(part, whole)
        let (high, low) = part.multipliedFullWidth(
            by: UInt64(clamping: width).multipliedReportingOverflow(by: 8).partialValue)
        let steps = high >= whole ? UInt64(width) * 8 : whole.dividingFullWidth((high, low)).quotient
        let count = part == whole ? width * 8 : max(1, min(Int(clamping: steps), width * 8 - 1))
        let rest = count % 8
        return String(repeating: "█", count: count / 8) + (rest == 0 ? "" : String(eighths[rest - 1]))
    }

    static func bar(_ share: Share?, width: Int) -> String {
        guard let share, !share.isNothing else { return "" }
        return bar(UInt64(max(1, share.permille)), of: 1_000, width: width)
    }

    /// One cell, darker for a greater part of `whole`: quarters, and nothing for nothing.
    static func shade(_ part: Int64, of whole: Int64) -> String {
        guard let share = Share(part, of: whole), !share.isNothing else { return " " }
        switch share.permille {
        case ..<125: return "░"
        case ..<375: return "▒"
        case ..<750: return "▓"
        default: return "█"
        }
    }
}
