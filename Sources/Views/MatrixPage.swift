package import TraceModel

/// The matrix as a page: times where all columns fit so, percentages where that needs less room, and the machines that
/// took least summed up as `others` where even that is too wide.
///
/// A shade beside each figure compares it with the greatest one, so that the eye finds who robs whom before it reads;
/// the colour says whether it hurts, by the same thresholds as %RDY. Below stand the worst pairs in words.
package struct MatrixPage {
    let figures: TopFigures
    let width: Int

    private static let labelWidth = 20
    private static let totalWidth = 7 + 1 + 5

    package static func render(_ snapshot: Snapshot, width: Int) -> Frame {
        let page = MatrixPage(figures: TopFigures(current: snapshot, previous: nil), width: min(max(width, 40), 256))
        return Frame(lines: page.heading + page.lines(height: .max))
    }

    var heading: [Line] {
        let span =
            figures.interval.isWholeWindow ? "since the start" : "last " + Format.duration(figures.interval.nanoseconds)
        return [
            Line.bar(
                Line("Who took the CPU from whom", .strong),
                [Line(span, .dim), Line("rows waited, columns had their CPU", .dim)], width: width)
        ]
    }

    /// `height`: the lines that can be seen at once; it decides whether rows keep their order or the worst come first.
    func lines(height: Int) -> [Line] {
        guard figures.evidence.hasSchedulerEvents else {
            return "Cannot be known: no sched event came, so nobody saw who was on the CPU.".wrapped(to: width)
                .map { Line($0, .notice) }
        }
        let matrix = Matrix(figures)
        guard matrix.rows.contains(where: { $0.rank > 0 }) else {
            return "No machine has waited for a CPU yet.".wrapped(to: width).map { Line($0, .dim) }
        }
        let (columns, cellWidth, isPercent) = columns(matrix)
        let greatest = matrix.greatest
        let rows = matrix.leadingRows(max(4, height - 4))
        let grid = Grid(
            matrix: matrix, greatest: greatest, columns: columns,
            hidden: matrix.takers.filter { !columns.contains($0) },
            cellWidth: cellWidth, isPercent: isPercent, labelWidth: labelWidth, width: width)
        var lines = [grid.title] + rows.map(grid.line) + [grid.sums]
        let calm = matrix.rows.count - rows.count
        if calm > 0 {
            lines.append(Line("\(calm) machines have not waited at all", .dim).cut(to: width))
        }
        let unit = isPercent ? "% of all time of the row's vCPUs" : "time"
        lines.append(Line("cells: \(unit); ░▒▓█ compared with the greatest cell", .dim).cut(to: width))
        // What may be out of sight below a long matrix stands above it.
        guard lines.count + 3 > height else { return lines + [Line()] + worst(matrix, greatest, limit: 10) }
        return worst(matrix, greatest, limit: 5) + [Line()] + lines
    }

    private var labelWidth: Int { width >= 100 ? MatrixPage.labelWidth : 13 }

    private func columns(_ matrix: Matrix) -> (columns: [Matrix.Taker], cellWidth: Int, isPercent: Bool) {
        let room = width - labelWidth - MatrixPage.totalWidth - 2
        let count = matrix.takers.count
        // Beside the figure a shade, before it a gap.
        let time = 2 + 7 + 1
        let percent = 2 + 4 + 1
        if count * time <= room { return (matrix.takers, max(time, min(14, room / count)), false) }
        if count * percent <= room { return (matrix.takers, percent, true) }
        // One column less for the others.
        let fitting = max(0, room / percent - 1)
        return (matrix.leadingTakers(fitting), percent, true)
    }

    /// The worst pairs, as a sentence each.
    private func worst(_ matrix: Matrix, _ greatest: Int64, limit: Int) -> [Line] {
        var table = TextTable(
            columns: [
                .init(title: "WHO TOOK MOST", room: 14...24), .init(title: "FROM", room: 10...24),
                .init(title: "TIME", alignment: .right, room: 7...7),
                .init(title: "% OF IT", alignment: .right, room: 7...7), .init(title: "", rank: 1, room: 6...40),
            ], gap: 2)
        for (row, taker, time) in matrix.pairs.prefix(limit) {
            let share = Share(time, of: row.whole)
            let style = Threshold.ready(share)
            let isItself = taker == .machine(row.machine)
            table.rows.append([
                .init(matrix.name(taker), isItself ? .dim : .strong),
                .init(isItself ? "itself" : matrix.guests[row.machine].name, isItself ? .dim : .plain),
                .init(Format.duration(time)),
                .init((style == .alarm ? alarmGlyph : "") + Format.percent(share), style),
                .init(bar: Share(time, of: greatest), style == .dim ? .plain : style),
            ])
        }
        return table.rows.isEmpty ? [] : table.lines(width: width, firstTitleStyle: .strong)
    }
}

/// The lines of the matrix proper.
private struct Grid {
    let matrix: Matrix
    let greatest: Int64
    let columns: [Matrix.Taker]
    let hidden: [Matrix.Taker]
    let cellWidth: Int
    let isPercent: Bool
    let labelWidth: Int
    let width: Int

    /// Names where they fit into a column; otherwise the number that stands before the name of the row.
    var title: Line {
        var line = Line("  WAITED", .title)
        line.pad(to: labelWidth, .title)
        for taker in columns {
            let name = matrix.name(taker)
            var title = name
            if case .machine(let index) = taker, name.cells > cellWidth - 1 { title = "\(index + 1)" }
            if isPercent, taker == .tasks { title = "tasks" }
            if isPercent, taker == .kernel { title = "kern" }
            if isPercent, taker == .unknown { title = "?" }
            if isPercent, taker == .gone { title = "ended" }
            line.append(title, .title, width: cellWidth, alignment: .right)
        }
        if !hidden.isEmpty { line.append("others", .title, width: cellWidth, alignment: .right) }
        line.append("TOTAL", .title, width: 8, alignment: .right)
        line.append("%RDY", .title, width: 6, alignment: .right)
        line.pad(to: width, .title)
        return line.cut(to: width)
    }

    func line(_ row: Matrix.Row) -> Line {
        var line = Line()
        line.append("\(row.machine + 1)", .dim, width: 3, alignment: .right)
        line.append(" ")
        line.append(matrix.guests[row.machine].name, .strong, width: labelWidth - 4, alignment: .left)
        for taker in columns {
            cell(row.times[taker] ?? 0, of: row.whole, isItself: taker == .machine(row.machine), &line)
        }
        if !hidden.isEmpty {
            let rest = hidden.reduce(0) { HostSections.sum($0, row.times[$1] ?? 0) }
            cell(rest, of: row.whole, isItself: false, isSum: true, &line)
        }
        line.append(Format.duration(row.waited), row.waited == 0 ? .dim : .plain, width: 8, alignment: .right)
        let share = Share(row.waited, of: row.whole)
        let style = Threshold.ready(share)
        line.append((style == .alarm ? alarmGlyph : "") + Format.percent(share), style, width: 6, alignment: .right)
        return line.cut(to: width)
    }

    private func cell(_ time: Int64, of whole: Int64, isItself: Bool, isSum: Bool = false, _ line: inout Line) {
        let share = Share(time, of: whole)
        let text = time == 0 ? "·" : isPercent ? Format.percent(share) : Format.duration(time)
        let style: Style = time == 0 ? .dim : Threshold.ready(share) == .dim ? .plain : Threshold.ready(share)
        line.append(text, isItself && style == .plain ? .dim : style, width: cellWidth - 1, alignment: .right)
        // A sum has nothing to be compared with.
        line.append(isSum ? " " : Bars.shade(time, of: greatest), style)
    }

    var sums: Line {
        var line = Line()
        line.append("    together", .dim, width: labelWidth, alignment: .left)
        var whole: Int64 = 0
        for row in matrix.rows { whole = HostSections.sum(whole, row.whole) }
        func sum(_ time: Int64) {
            let text = time == 0 ? "·" : isPercent ? Format.percent(Share(time, of: whole)) : Format.duration(time)
            line.append(text, time == 0 ? .dim : .strong, width: cellWidth - 1, alignment: .right)
            line.append(" ")
        }
        for taker in columns { sum(matrix.taken[taker] ?? 0) }
        if !hidden.isEmpty { sum(hidden.reduce(0) { HostSections.sum($0, matrix.taken[$1] ?? 0) }) }
        let waited = matrix.rows.reduce(0) { HostSections.sum($0, $1.waited) }
        line.append(Format.duration(waited), .strong, width: 8, alignment: .right)
        line.append(Format.percent(Share(waited, of: whole)), .strong, width: 6, alignment: .right)
        return line.cut(to: width)
    }
}
