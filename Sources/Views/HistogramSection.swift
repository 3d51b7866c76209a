import TraceModel

/// A distribution as a picture: one line per power of two, and where the percentiles lie.
///
/// The steps are those of bcc's and perf's histograms, so the eye knows them. The lower end of a step stands before its
/// bar; `<` when shorter ones are folded into the first line, because the long ones are what one looks for.
enum HistogramSection {
    private static let mostSteps = 16

    /// `isCoarse`: the percentiles are upper ends of the steps.
    static func section(
        _ title: String, _ durations: Snapshot.Durations?, _ style: Style, start: Int64, isCoarse: Bool = false
    ) -> Section {
        Section(37...72) { width in
            lines(title, durations, style, start: start, isCoarse: isCoarse, width: width)
        }
    }

    private static func lines(
        _ title: String, _ durations: Snapshot.Durations?, _ style: Style, start: Int64, isCoarse: Bool,
        width: Int
    ) -> [Line] {
        guard let durations, durations.count > 0 else {
            return HostSections.text(title, "None was measured.", .dim, width)
        }
        var heading = Line(title, .strong)
        heading.append("  \(Format.count(durations.count))", .dim)
        var maximum = Line("max ", .dim)
        maximum.append(Format.duration(durations.maximumNanoseconds))
        let at = Interval.difference(durations.maximumAtNanoseconds, start)
        maximum.append(" at \(Format.clock(at))  mean ", .dim)
        maximum.append(Format.duration(durations.meanNanoseconds))
        var percentiles = Line()
        for (name, value) in [
            ("p50", durations.p50Nanoseconds), ("p99", durations.p99Nanoseconds), ("p99.9", durations.p999Nanoseconds),
        ] {
            var part = Line((percentiles.cells == 0 ? "" : width < 42 ? " " : "  ") + name + " ", .dim)
            part.append((isCoarse ? "≤" : "") + Format.duration(value))
            if percentiles.cells + part.cells <= width { percentiles.append(part) }
        }
        var lines = [heading.cut(to: width)]
        if percentiles.cells + 2 + maximum.cells <= width {
            percentiles.append("  ")
            percentiles.append(maximum)
            lines.append(percentiles)
        } else {
            lines += [percentiles.cut(to: width), maximum.cut(to: width)]
        }
        return lines + steps(durations, style, width: width)
    }

    private static func steps(_ durations: Snapshot.Durations, _ style: Style, width: Int) -> [Line] {
        // A step beyond what Int64 holds cannot come from us; from a file anything can.
        let counts = durations.countsByPowerOfTwo.prefix(63)
        guard let last = counts.lastIndex(where: { $0 > 0 }), let first = counts.firstIndex(where: { $0 > 0 }) else {
            return []
        }
        let begin = max(first, last - mostSteps + 1)
        var rows = counts[begin...last].map { $0 }
        for count in counts[first..<begin] { rows[0] = rows[0].addingReportingOverflow(count).partialValue }
        let greatest = rows.max() ?? 0
        let barWidth = max(0, width - 9 - 1 - 1 - 5 - 6)
        return rows.enumerated().map { index, count in
            var line = Line()
            let from = Format.duration(Int64(1) << Int64(begin + index))
            let isFolded = index == 0 && begin > first
            line.append(
                isFolded ? "< " + Format.duration(Int64(2) << Int64(begin)) : from, .dim, width: 9, alignment: .right)
            line.append(" ")
            line.append(
                Bars.bar(count, of: greatest, width: barWidth), style, width: barWidth, alignment: .left)
            line.append(" ")
            line.append(Format.count(count), count == 0 ? .dim : .plain, width: 5, alignment: .right)
            let marks = marks(durations, step: begin + index, isFirst: index == 0)
            if !marks.isEmpty { line.append(" " + marks, .strong) }
            return line.cut(to: width)
        }
    }

    /// The greatest percentile that lies in the step: each stands at one line only.
    private static func marks(_ durations: Snapshot.Durations, step: Int, isFirst: Bool) -> String {
        func lies(_ value: Int64) -> Bool {
            let own = value <= 1 ? 0 : 63 - value.leadingZeroBitCount
            return own == step || (isFirst && own < step)
        }
        if lies(durations.p999Nanoseconds) { return "p99.9" }
        if lies(durations.p99Nanoseconds) { return "p99" }
        return lies(durations.p50Nanoseconds) ? "p50" : ""
    }
}
