package import TraceModel

/// The live view: health above, a table of vCPUs, details and keys below.
///
/// `render` is a pure function of two snapshots, the options and the size of the screen; the frame never has more than
/// `height` lines of `width` cells. Rates and percentages are what happened between the snapshots. Health never
/// scrolls; when there is little room the details go first, then the footer, then the remarks.
package struct TopView: Sendable {
    let figures: TopFigures

    package init(current: Snapshot, previous: Snapshot?) {
        figures = TopFigures(current: current, previous: previous)
    }

    package static func render(
        current: Snapshot, previous: Snapshot?, options: TopOptions, width: Int, height: Int
    ) -> Frame {
        TopView(current: current, previous: previous).frame(options, width: width, height: height).frame
    }

    /// The view for a stream that is no terminal: every row, no cursor, no keys. A width of 0 is as wide as it gets.
    package static func text(current: Snapshot, previous: Snapshot?, options: TopOptions, width: Int) -> Frame {
        var options = options
        options.isInteractive = false
        options.overlay = .none
        options.prompt = nil
        options.selection = nil
        // No column grows beyond this.
        let width = width > 0 ? min(width, 256) : 256
        let view = TopView(current: current, previous: previous)
        let health = HealthLines(figures: view.figures, options: options, width: width).lines(limit: .max)
        return Frame(lines: health + view.table(options, width: width).allLines)
    }

    /// The rows that the cursor can stand on, in order.
    func selectableRows(_ options: TopOptions) -> [TopRowID] { figures.rows(options).compactMap(\.id) }

    /// The frame, and the row with which its table begins.
    func frame(_ options: TopOptions, width: Int, height: Int) -> (frame: Frame, firstRow: Int) {
        guard width > 0, height > 0 else { return (Frame(), 0) }
        // The help shows the remarks in full.
        let health = HealthLines(figures: figures, options: options, width: width)
            .lines(limit: options.overlay == .help ? nil : max(0, height / 4 - 1))
        var lines = Array(health.prefix(height))
        var left = height - lines.count
        var footer: Line?
        if left >= 4, options.isInteractive {
            footer = Line()
            left -= 1
        }
        var firstRow = options.firstRow
        if options.overlay == .help {
            lines += HelpPage.lines(figures, options, width: width, height: left)
        } else {
            let table = table(options, width: width)
            let detail = detail(options, width: width, height: min(left / 2, DetailPane.height))
            let body = table.window(options, height: left - detail.count)
            firstRow = body.firstRow
            lines += body.lines
            left -= body.lines.count + detail.count
            lines += Array(repeating: Line(), count: detail.isEmpty ? 0 : max(0, left)) + detail
            if footer != nil {
                footer = Footer.line(
                    options, position: body.position, isSortShown: table.showsSortColumn, width: width)
            }
        }
        if var footer {
            if options.overlay == .help { footer = Line("any key closes this page", .dim).cut(to: width) }
            lines += Array(repeating: Line(), count: max(0, height - 1 - lines.count)) + [footer]
        }
        return (Frame(lines: lines), firstRow)
    }

    private func detail(_ options: TopOptions, width: Int, height: Int) -> [Line] {
        guard options.overlay == .detail, case .vcpu(let key) = options.selection,
            let vcpu = figures.vcpus.joined().first(where: { $0.key == key })
        else { return [] }
        return DetailPane(figures: figures, vcpu: vcpu, width: width).lines(height: height)
    }

    private func table(_ options: TopOptions, width: Int) -> Body {
        let rows = figures.rows(options)
        let table = TopTable(figures, options, width: width)
        if figures.hasVCPUs {
            return Body(heading: [table.title], rows: rows, showsSortColumn: table.showsSortColumn) { row in
                if case .sentence(let text) = row { return Line(text, .notice).cut(to: width) }
                return table.line(row)
            }
        }
        let host = HostTable(figures, options, width: width)
        let sentence = HostTable.sentence(figures.current).wrapped(to: width).map { Line($0, .notice) }
        let machines = rows.filter { $0.id == nil }.map(table.line)
        return Body(
            heading: sentence + machines + [host.title], rows: rows.filter { $0.id != nil }, showsSortColumn: true
        ) { row in
            if case .hostCPU(let cpu) = row { return host.line(cpu) }
            return table.line(row)
        }
    }
}

/// A heading that stays and rows that scroll.
private struct Body {
    let heading: [Line]
    let rows: [TopRow]
    let showsSortColumn: Bool
    let line: (TopRow) -> Line

    var allLines: [Line] { heading + rows.map(line) }

    /// What fits into `height` lines, scrolled as little as possible so that the selected row is seen.
    func window(
        _ options: TopOptions, height: Int
    ) -> (lines: [Line], firstRow: Int, position: (first: Int, last: Int, count: Int)?) {
        let heading = heading.prefix(max(0, height))
        let room = height - heading.count
        guard room > 0 else { return (Array(heading), 0, nil) }
        var first = min(max(0, options.firstRow), max(0, rows.count - room))
        if let selection = options.selection, let index = rows.firstIndex(where: { $0.id == selection }) {
            // With the first vCPU of a machine the machine's own row is wanted too.
            let wanted = index > 0 && rows[index - 1].id == nil && room > 1 ? index - 1 : index
            if wanted < first { first = wanted }
            if index >= first + room { first = index - room + 1 }
        }
        let shown = rows[first..<min(rows.count, first + room)]
        let position = shown.count < rows.count ? (first + 1, first + shown.count, rows.count) : nil
        return (heading + shown.map(line), first, position)
    }
}

/// The last line: a question, or the keys, and where the table is when it scrolls.
private enum Footer {
    static func line(
        _ options: TopOptions, position: (first: Int, last: Int, count: Int)?, isSortShown: Bool, width: Int
    ) -> Line {
        switch options.prompt {
        case .filter(let text): return Line("show only names that contain: \(text)_", .strong).cut(to: width)
        case .delay(let text): return Line("delay in seconds: \(text)_", .strong).cut(to: width)
        case nil: break
        }
        var right = Line()
        if !options.filter.isEmpty { right.append("/\(options.filter.cut(to: 16))  ", .notice) }
        if !isSortShown {
            right.append("by \(options.sort.title)\(options.isDescending ? "▾" : "▴")  ", .dim)
        }
        if let position { right.append("\(position.first)–\(position.last) of \(position.count)", .dim) }
        var line = Line()
        let keys = [
            ("q", "quit"), ("h", "help"), ("Enter", options.overlay == .detail ? "close" : "details"),
            ("<>", "sort"), ("r", "invert"), ("p", options.isPaused ? "resume" : "pause"),
            ("t", options.isGrouped ? "flat" : "group"), ("/", "filter"),
            ("+-", "delay \(Format.duration(Int64(clamping: options.intervalMilliseconds) * 1_000_000))"),
        ]
        for (key, meaning) in keys {
            let needed = (line.cells == 0 ? 0 : 2) + key.cells + 1 + meaning.cells
            guard line.cells + needed + (right.cells == 0 ? 0 : right.cells + 3) <= width else { break }
            if line.cells > 0 { line.append("  ") }
            line.append(key, .strong)
            line.append(" " + meaning, .dim)
        }
        return line.cells == 0 ? right.cut(to: width) : line.joined(right, width: width)
    }
}
