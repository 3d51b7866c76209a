package import TraceModel

/// One line about a recording under way, short enough to be overwritten in place.
///
/// Parts are left out from the least telling on; time and losses stay to the last.
package enum ProgressLine {
    package static func render(
        current: Snapshot, previous: Snapshot?, bytesWritten: UInt64, width: Int
    ) -> Line {
        let interval = Interval(from: previous, to: current)
        let age = Interval.difference(current.window.endNanoseconds, current.window.startNanoseconds)
        // A part with a lower rank stays longer.
        var parts: [(rank: Int, line: Line)] = [(0, Line(Format.clock(age)))]
        for (index, source) in current.sources.enumerated() {
            var part = Line("\(source.name.screenText.cut(to: 20)) ", .dim)
            part.append(Format.rate(interval.eventRate(source, at: index)) + "/s")
            if source.kind == "guest", source.state != "live" { part.append(" " + source.state, .notice) }
            parts.append((source.kind == "host" ? 3 : 5 + index, part))
        }
        parts.append(
            (0, HealthLines.lost(current.health.eventsLost, unknown: current.health.lossesOfUnknownSize)))
        let lag = current.health.lagNanoseconds
        parts.append((2, Line("lag " + Format.duration(lag), Threshold.lag(lag))))
        if let clock = HealthLines.worstClock(current) {
            parts.append((4, Line("clock " + clock.boundText, clock.isBounded ? .plain : .notice)))
        }
        parts.append((1, Line(Format.bytes(bytesWritten))))

        var shown = Set<Int>()
        var left = width
        for index in parts.indices.sorted(by: { (parts[$0].rank, $0) < (parts[$1].rank, $1) }) {
            let needed = parts[index].line.cells + (shown.isEmpty ? 0 : 2)
            guard needed <= left else { break }
            shown.insert(index)
            left -= needed
        }
        var line = Line()
        for index in parts.indices where shown.contains(index) {
            if line.cells > 0 { line.append("  ") }
            line.append(parts[index].line)
        }
        return line
    }
}
