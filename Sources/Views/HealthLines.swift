import TraceModel

/// The lines above the table, which never scroll away: how old, how late, how complete and how exact the figures are.
///
/// Nothing lost must look calm and something lost must not; a figure that is a lower bound says so. The sentences of
/// `health.limits` stand here in full when there is room, because a view that cannot know something has to say it
/// before anyone reads a zero.
struct HealthLines {
    let figures: TopFigures
    let options: TopOptions
    let width: Int

    private var snapshot: Snapshot { figures.current }

    /// `limit` bounds the sentences and anomalies, not the two lines of figures; nil leaves them out.
    func lines(limit: Int?) -> [Line] {
        var lines = [first, second].map { $0.cut(to: width) }
        guard let limit else { return lines }
        // With advice where there is room for all of it, else what happened in one line.
        var remarks = remarks(withAdvice: true)
        if remarks.count > limit { remarks = self.remarks(withAdvice: false) }
        if remarks.count > limit {
            let kept = max(0, limit - 1)
            let hidden = remarks.count - kept
            remarks.removeLast(hidden)
            if limit > 0 {
                let how = options.isInteractive ? " (h shows them)" : ""
                remarks.append(Line("· \(hidden) more lines on what cannot be known\(how)", .notice).cut(to: width))
            }
        }
        lines += remarks
        return lines
    }

    private func remarks(withAdvice: Bool) -> [Line] {
        var lines: [Line] = []
        func add(_ text: String, _ style: Style) {
            // The bullet and its space take two cells, as does the indentation of the lines that follow.
            for (index, text) in text.wrapped(to: width - 2).enumerated() {
                lines.append(Line((index == 0 ? "· " : "  ") + text, style))
            }
        }
        if withAdvice {
            for remark in Remarks.anomalies(snapshot) + Remarks.checks(snapshot) where remark.style != .dim {
                add(remark.text, remark.style)
            }
        } else {
            lines += (anomalies.map { [$0.cut(to: width)] } ?? []) + (checks.map { [$0.cut(to: width)] } ?? [])
        }
        for sentence in snapshot.health.limits { add(sentence, .notice) }
        return lines
    }

    private var first: Line {
        var line = Line("tandem", .strong)
        let age = Interval.difference(snapshot.window.endNanoseconds, snapshot.window.startNanoseconds)
        line.append("  " + Format.clock(age))
        let lag = snapshot.health.lagNanoseconds
        let lagStyle = Threshold.lag(lag)
        line.append("   lag ", .dim)
        line.append((lagStyle == .alarm ? alarmGlyph : "") + Format.duration(lag), lagStyle)
        line.append("   ")
        line.append(HealthLines.lost(snapshot.health.eventsLost, unknown: snapshot.health.lossesOfUnknownSize))
        if let clock = HealthLines.worstClock(snapshot) {
            line.append("   clock ", .dim)
            line.append(clock.boundText, clock.isBounded ? .plain : .notice)
        }
        var right = Line()
        if options.isPaused {
            right.append(" PAUSED ", .title)
        } else if figures.interval.isWholeWindow {
            right.append("since the start", .dim)
        } else {
            right.append("last " + Format.duration(figures.interval.nanoseconds), .dim)
        }
        return line.joined(right, width: width)
    }

    /// `lost 0` in plain; otherwise in red with a glyph, and `≥` where the kernel did not tell how many.
    static func lost(_ events: UInt64, unknown: UInt64) -> Line {
        guard events > 0 || unknown > 0 else {
            var line = Line("lost ", .dim)
            line.append("0")
            return line
        }
        // Every loss of unknown size is at least one event.
        let (least, overflow) = events.addingReportingOverflow(unknown)
        return Line("\(alarmGlyph) lost \(unknown > 0 ? "≥" : "")\(Format.exact(overflow ? .max : least))", .alarm)
    }

    /// The least exact clock of the machines that have one: an unbounded one is worse than any bound.
    static func worstClock(_ snapshot: Snapshot) -> Snapshot.Clock? {
        snapshot.guests.filter { $0.source != nil }.compactMap { $0.clock(in: snapshot) }
            .max { a, b in
                (a.isBounded ? 0 : 1, a.boundNanoseconds) < (b.isBounded ? 0 : 1, b.boundNanoseconds)
            }
    }

    private var second: Line {
        var right = Line()
        if let busy = figures.hostBusy {
            right.append("host CPUs ", .dim)
            right.append("\(snapshot.host.cpus.count)")
            right.append(", ", .dim)
            right.append(Format.percent(busy) + " %")
            right.append(" busy", .dim)
        }
        var line = Line("events/s", .dim)
        let room = width - right.cells - 3
        for (index, source) in snapshot.sources.enumerated() {
            var part = Line("  \(source.name.screenText.cut(to: 20)) ", .dim)
            let rate = figures.interval.eventRate(source, at: index)
            part.append(Format.rate(rate), rate == nil ? .unknown : .plain)
            let rest = snapshot.sources.count - index
            // "  +12 more" must still fit behind this part, unless this is the last one.
            guard line.cells + part.cells + (rest > 1 ? 12 : 0) <= room else {
                line.append("  +\(rest) more", .dim)
                break
            }
            line.append(part)
        }
        if snapshot.sources.isEmpty { line.append("  no source yet", .notice) }
        return line.joined(right, width: width)
    }

    private var anomalies: Line? {
        let anomalies = Remarks.counted(snapshot)
        guard !anomalies.isEmpty else { return nil }
        var line = Line("anomalies", .dim)
        for anomaly in anomalies {
            let style = Remarks.style(of: anomaly)
            line.append("  ")
            line.append(
                "\(style == .alarm ? alarmGlyph + " " : "")\(anomaly.name) \(Format.count(anomaly.count))", style)
        }
        return line
    }

    private var checks: Line? {
        let broken = snapshot.health.checks.filter { $0.style != .dim }
        guard !broken.isEmpty else { return nil }
        var line = Line("checks", .dim)
        for check in broken { line.append("  \(check.name.rawValue) \(Format.count(check.violations))", check.style) }
        return line
    }
}

extension Line {
    /// This line with `right` at the end of `width` cells, when both fit.
    func joined(_ right: Line, width: Int) -> Line {
        guard right.cells > 0, cells + 3 + right.cells <= width else { return self }
        var result = self
        result.pad(to: width - right.cells)
        result.append(right)
        return result
    }
}
