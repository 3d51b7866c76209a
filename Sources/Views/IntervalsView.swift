package import TraceModel

/// A list of the stretches that vCPUs spent in one state: what `tandem report --intervals` prints.
///
/// One line each, in the order given. Times are seconds since `start`, with all nine digits: a list is read to find an
/// exact moment, and two programs are compared by it. The columns have widths of their own, so that lines can be printed
/// as they come, and a list may be longer than memory.
package struct IntervalsView: Sendable {
    private let start: Int64
    private let width: Int
    private let columns: [(title: String, alignment: Line.Alignment, layout: TableLayout.Column)]
    private let widths: [Int?]

    package init(start: Int64, width: Int) {
        self.start = start
        self.width = max(20, width)
        columns = [
            ("START", .right, .init(minimum: 14, maximum: 14, rank: 0)),
            ("LASTED", .right, .init(minimum: 7, maximum: 7, rank: 0)),
            ("VCPU", .left, .init(minimum: 10, maximum: 24, rank: 0)),
            ("STATE", .left, .init(minimum: 12, maximum: 12, rank: 0)),
            ("DETAIL", .left, .init(minimum: 12, maximum: 28, rank: 1)),
            ("CPU", .right, .init(minimum: 4, maximum: 4, rank: 2)),
            ("TASK", .left, .init(minimum: 15, maximum: 24, rank: 3)),
            ("TID", .right, .init(minimum: 7, maximum: 7, rank: 4)),
        ]
        widths = TableLayout.widths(columns.map(\.layout), in: self.width)
    }

    package var heading: Line { line(columns.map { .init($0.title, .title) }) }

    package func line(_ interval: StateInterval) -> Line {
        let state = interval.state.state
        let length = Interval.difference(interval.endNanoseconds, interval.startNanoseconds)
        return line([
            .init(Format.exactSeconds(Interval.difference(interval.startNanoseconds, start))),
            .init(Format.duration(length)),
            .init("\(interval.guest)/\(interval.vcpu.map(String.init) ?? Format.unknown)", .strong),
            .init("\(state.glyph) \(state.word)", state.style),
            .init(interval.detail ?? "", state.isReady ? .ready : .plain),
            .init(interval.hostCPU.map(String.init) ?? "-", interval.hostCPU == nil ? .dim : .plain),
            .init(interval.guestTask ?? "-", interval.guestTask == nil ? .dim : .plain),
            .init(interval.guestTID.map(String.init) ?? "-", .dim),
        ])
    }

    private func line(_ cells: [TextTable.Cell]) -> Line {
        var line = Line()
        for (index, cell) in cells.enumerated() {
            guard let width = widths[index] else { continue }
            if line.cells > 0 { line.append(" ", cell.style == .title ? .title : .plain) }
            line.append(cell.text, cell.style, width: width, alignment: columns[index].alignment)
        }
        return line.cut(to: width)
    }
}
