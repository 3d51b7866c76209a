import TraceModel

/// Draws the rows of the live table in a fixed grid; every line is at most `width` cells.
///
/// The first two cells are the cursor's, so that the selected row can be told without colours.
struct TopTable {
    let figures: TopFigures
    let options: TopOptions
    let width: Int
    private let columns: [TopColumn]
    private let widths: [Int?]

    private static let gutter = 2

    init(_ figures: TopFigures, _ options: TopOptions, width: Int) {
        self.figures = figures
        self.options = options
        self.width = width
        columns = TopColumn.columns(
            for: figures.evidence, options.grouping, showsOnCPU: figures.showsOnCPU)
        widths = TableLayout.widths(columns.map(\.layout), in: width - TopTable.gutter)
    }

    /// Whether the column by which the table is sorted can be seen; the footer names it otherwise.
    var showsSortColumn: Bool {
        zip(columns, widths).contains { $0 == options.sort && $1 != nil }
    }

    var title: Line {
        var line = Line("  ", .title)
        var isFirst = true
        for (column, width) in zip(columns, widths) {
            guard let width else { continue }
            if !isFirst { line.append(" ", .title) }
            isFirst = false
            let isSorted = column == options.sort
            let arrow = isSorted ? (options.isDescending ? "▾" : "▴") : ""
            line.append(
                column.title(options.grouping) + arrow, isSorted ? .sortedTitle : .title, width: width,
                alignment: column.alignment)
        }
        line.pad(to: width, .title)
        return line.cut(to: width)
    }

    func line(_ row: TopRow) -> Line {
        var line: Line
        switch row {
        case .machine(let index): line = machine(index)
        case .agentWithoutMachine(let index): line = agent(index)
        case .vcpu(let figures): line = cells(row, figures.shares) { figures.cell($0, self.figures.evidence) }
        case .machineTotal(let figures): line = cells(row, figures.shares) { figures.cell($0, self.figures.evidence) }
        case .hostCPU, .sentence: line = Line()
        }
        line = line.cut(to: width)
        if let id = row.id, id == options.selection, options.isInteractive {
            line.pad(to: width)
            line.isSelected = true
        }
        return line
    }

    private func cells(_ row: TopRow, _ shares: StateShares, _ cell: (TopColumn) -> TextTable.Cell) -> Line {
        var line = Line(options.isInteractive && row.id == options.selection ? "› " : "  ")
        var isFirst = true
        for (column, width) in zip(columns, widths) {
            guard let width else { continue }
            if !isFirst { line.append(" ") }
            isFirst = false
            if column == .strip {
                line.append(shares.strip(width: width))
                continue
            }
            let cell = cell(column)
            line.append(cell.text, cell.style, width: width, alignment: column.alignment)
        }
        return line
    }

    /// `web1  qemu 4711  agent live  lost 0  clock ±83 ns  99.98 % inside`: cut by parts, never inside of one.
    private func machine(_ index: Int) -> Line {
        let snapshot = figures.current
        let guest = snapshot.guests[index]
        var parts: [Line] = []
        let monitor = [guest.vmm, guest.vmmPID.map(String.init)].compactMap { $0 }.joined(separator: " ")
        if !monitor.isEmpty { parts.append(Line(monitor, .dim)) }
        if let agent = guest.agent(in: snapshot) {
            parts.append(TopTable.state(of: agent))
            parts.append(HealthLines.lost(agent.lost.total, unknown: agent.lost.ofUnknownSize))
            if let clock = guest.clock(in: snapshot) { parts += TopTable.parts(of: clock) }
        } else if guest.source != nil {
            parts.append(Line("agent unknown", .unknown))
        } else {
            parts.append(Line("no agent", .dim))
        }
        if guest.vcpus.isEmpty { parts.append(Line("no vCPU thread seen yet", .notice)) }
        return joined(Line(guest.name.screenText.cut(to: 32), .strong), parts)
    }

    /// State and bound first, because what follows is left out where it does not fit.
    private static func parts(of clock: Snapshot.Clock) -> [Line] {
        var bound = Line("clock ", .dim)
        if clock.isBounded { bound.append(clock.quality + " ", .dim) }
        bound.append(clock.boundText, clock.isBounded ? .plain : .notice)
        var parts = [bound]
        if clock.containment != nil {
            var gauge = clock.gauge(width: 0)
            gauge.append(" contained", .dim)
            parts.append(gauge)
        }
        if clock.quality != "absent" { parts.append(Line(Format.partsPerMillion(clock.driftPPM), .dim)) }
        parts.append(Line("epoch \(clock.epoch)", .dim))
        return parts
    }

    private func agent(_ index: Int) -> Line {
        let source = figures.current.sources[index]
        var parts = [TopTable.state(of: source)]
        parts.append(HealthLines.lost(source.lost.total, unknown: source.lost.ofUnknownSize))
        parts.append(Line("no machine of this host is known to be it", .notice))
        return joined(Line(source.name.screenText.cut(to: 32), .strong), parts)
    }

    private func joined(_ name: Line, _ parts: [Line]) -> Line {
        var line = name.cut(to: width)
        for part in parts {
            guard line.cells + 2 + part.cells <= width else { break }
            line.append("  ")
            line.append(part)
        }
        return line
    }

    static func state(of source: Snapshot.Source) -> Line {
        switch source.state {
        case "live": Line("agent live", .running)
        case "silent": Line("\(alarmGlyph) agent silent", .alarm)
        case "gone": Line("\(alarmGlyph) agent gone", .alarm)
        case "drained": Line("agent drained", .dim)
        default: Line("agent \(source.state)", .notice)
        }
    }
}

extension Format {
    /// A fraction 0…1 in percent with two digits, truncated: `99.98`, and `100` only for all.
    static func hundredths(_ fraction: Double) -> String {
        guard fraction.isFinite, fraction >= 0, fraction <= 1 else { return unknown }
        if fraction == 1 { return "100" }
        let hundredths = Int(fraction * 10_000)
        let rest = hundredths % 100
        return "\(hundredths / 100).\(rest < 10 ? "0" : "")\(rest)"
    }
}
