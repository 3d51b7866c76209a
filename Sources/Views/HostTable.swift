import TraceModel

/// The host as it is, shown when there is no vCPU: one row per CPU.
struct HostTable {
    let figures: TopFigures
    let options: TopOptions
    let width: Int
    private let widths: [Int?]

    private static let titles: [(title: String, alignment: Line.Alignment, layout: TableLayout.Column)] = [
        ("CPU", .right, .init(minimum: 4, maximum: 4, rank: 0)),
        ("%BUSY", .right, .init(minimum: 6, maximum: 6, rank: 0)),
        ("%UNK", .right, .init(minimum: 5, maximum: 5, rank: 3)),
        ("SWITCHES/s", .right, .init(minimum: 10, maximum: 10, rank: 2)),
        ("TID", .right, .init(minimum: 7, maximum: 7, rank: 2)),
        ("TASK", .left, .init(minimum: 8, maximum: 24, rank: 1)),
    ]

    init(_ figures: TopFigures, _ options: TopOptions, width: Int) {
        self.figures = figures
        self.options = options
        self.width = width
        widths = TableLayout.widths(HostTable.titles.map(\.layout), in: width - 2)
    }

    /// What a vCPU is found by, so that it can be checked by hand.
    static func sentence(_ snapshot: Snapshot) -> String {
        let seen = snapshot.host.cpus.isEmpty ? " No event of the host has come yet." : ""
        return "No vCPU thread was found: no kvm event named one, and no thread of a known VMM is called like one."
            + seen
    }

    var title: Line {
        var line = row(HostTable.titles.map { TextTable.Cell($0.title, .title) }, marker: "  ", .title)
        line.pad(to: width, .title)
        return line
    }

    func line(_ cpu: Snapshot.CPU) -> Line {
        let id = TopRowID.hostCPU(cpu.cpu)
        let isSelected = options.isInteractive && options.selection == id
        let before = figures.interval.before(cpu)
        let whole = figures.interval.nanoseconds
        let unknown = Share(
            Interval.difference(cpu.unknownNanoseconds, before?.unknownNanoseconds ?? 0), of: whole)
        let known = Interval.difference(
            whole, Interval.difference(cpu.unknownNanoseconds, before?.unknownNanoseconds ?? 0))
        let busy = Share(Interval.difference(cpu.busyNanoseconds, before?.busyNanoseconds ?? 0), of: known)
        let switches = figures.interval.rate(cpu.switches, since: before?.switches ?? 0)
        let isSeen = !cpu.task.isEmpty || cpu.switches > 0
        let isIdle = isSeen && cpu.tid == 0
        func cell(_ text: String, dimWhen isDim: Bool = false) -> TextTable.Cell {
            .init(text, text == Format.unknown ? .unknown : isDim ? .dim : .plain)
        }
        let unknownText = Format.percent(unknown)
        var line = row(
            [
                cell("\(cpu.cpu)"),
                cell(isSeen ? Format.percent(busy) : Format.unknown, dimWhen: busy?.isNothing == true),
                .init(unknownText, unknown?.isNothing == true ? .dim : .unknown),
                cell(isSeen ? Format.rate(switches) : Format.unknown, dimWhen: switches == 0),
                cell(!isSeen ? Format.unknown : isIdle ? "-" : "\(cpu.tid)", dimWhen: isIdle),
                isIdle
                    ? .init("idle", .halted)
                    : cpu.task.isEmpty ? .init(Format.unknown, .unknown) : .init(cpu.task),
            ], marker: isSelected ? "› " : "  ", .plain)
        if isSelected {
            line.pad(to: width)
            line.isSelected = true
        }
        return line
    }

    private func row(_ cells: [TextTable.Cell], marker: String, _ style: Style) -> Line {
        var line = Line(marker, style)
        var isFirst = true
        for (index, cell) in cells.enumerated() {
            guard let width = widths[index] else { continue }
            if !isFirst { line.append(" ", style) }
            isFirst = false
            line.append(cell.text, cell.style, width: width, alignment: HostTable.titles[index].alignment)
        }
        return line.cut(to: width)
    }
}
