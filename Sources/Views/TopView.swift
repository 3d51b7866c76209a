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
        let previous = options.isCumulative ? nil : previous
        return TopView(current: current, previous: previous).draw(options, width: width, height: height).frame
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

    /// A frame, and where the table and the page that it shows begin.
    struct Drawn {
        var frame = Frame()
        var firstRow = 0
        var firstPageLine = 0
    }

    func draw(_ options: TopOptions, width: Int, height: Int) -> Drawn {
        guard width > 0, height > 0 else { return Drawn() }
        // Pages need the room; the help shows the remarks in full.
        let limit = options.overlay == .none ? max(0, height / 4 - 1) : nil
        let health = HealthLines(figures: figures, options: options, width: width).lines(limit: limit)
        var lines = Array(health.prefix(height))
        var left = height - lines.count
        let hasFooter = left >= 4 && options.isInteractive
        if hasFooter { left -= 1 }
        let table = options.overlay == .none ? table(options, width: width) : nil
        var drawn = Drawn(firstRow: options.firstRow)
        let position: Position?
        if let table {
            let body = table.window(options, height: left)
            drawn.firstRow = body.firstRow
            lines += body.lines
            position = body.position
        } else {
            let page = page(options, width: width, height: left)
            let body = page.window(from: options.firstPageLine, height: left)
            drawn.firstPageLine = body.first
            lines += body.lines
            position = body.position
        }
        if hasFooter {
            let footer = Footer.line(
                options, position: position, isSortShown: table?.showsSortColumn ?? true, width: width)
            lines += Array(repeating: Line(), count: max(0, height - 1 - lines.count)) + [footer]
        }
        drawn.frame = Frame(lines: lines)
        return drawn
    }

    private func page(_ options: TopOptions, width: Int, height: Int) -> Page {
        switch options.overlay {
        case .none: return Page(heading: [], lines: [])
        case .help: return Page(heading: [], lines: HelpPage.lines(figures, options, width: width))
        case .matrix:
            let page = MatrixPage(figures: figures, width: width)
            let heading = page.heading
            return Page(heading: heading, lines: page.lines(height: height - heading.count))
        case .detail:
            let page = DetailPage(figures: figures, width: width)
            switch options.selection {
            case .vcpu(let key):
                guard let row = figures.vcpus.joined().first(where: { $0.key == key }) else { break }
                return Page(heading: page.heading(row), lines: page.lines(row))
            case .machine(let key):
                guard let index = figures.current.guests.firstIndex(where: { GuestKey($0) == key }) else { break }
                return Page(heading: page.heading(machine: index), lines: page.lines(machine: index))
            case .hostCPU, nil: break
            }
            return Page(heading: [], lines: [Line("Nothing is selected.", .dim).cut(to: width)])
        }
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

/// Which lines of how many are seen, when not all are.
private typealias Position = (first: Int, last: Int, count: Int)

/// A heading that stays, and lines that scroll.
private struct Page {
    let heading: [Line]
    let lines: [Line]

    func window(from wanted: Int, height: Int) -> (lines: [Line], first: Int, position: Position?) {
        let heading = heading.prefix(max(0, height))
        let room = height - heading.count
        guard room > 0 else { return (Array(heading), 0, nil) }
        let first = min(max(0, wanted), max(0, lines.count - room))
        let shown = lines[first..<min(lines.count, first + room)]
        let position: Position? = shown.count < lines.count ? (first + 1, first + shown.count, lines.count) : nil
        return (Array(heading) + shown, first, position)
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
    func window(_ options: TopOptions, height: Int) -> (lines: [Line], firstRow: Int, position: Position?) {
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
        let position: Position? = shown.count < rows.count ? (first + 1, first + shown.count, rows.count) : nil
        return (heading + shown.map(line), first, position)
    }
}

/// The last line: a question, or the keys, and where the table is when it scrolls.
private enum Footer {
    static func line(_ options: TopOptions, position: Position?, isSortShown: Bool, width: Int) -> Line {
        switch options.prompt {
        case .filter(let text): return Line("show only names that contain: \(text)_", .strong).cut(to: width)
        case .delay(let text): return Line("delay in seconds: \(text)_", .strong).cut(to: width)
        case nil: break
        }
        var right = Line()
        if options.overlay == .none {
            if !options.filter.isEmpty { right.append("/\(options.filter.cut(to: 16))  ", .notice) }
            if !isSortShown {
                right.append("by \(options.sort.title(options.grouping))\(options.isDescending ? "▾" : "▴")  ", .dim)
            }
        }
        if let position { right.append("\(position.first)–\(position.last) of \(position.count)", .dim) }
        var line = Line()
        for (key, meaning) in keys(options, scrolls: position != nil) {
            let needed = (line.cells == 0 ? 0 : 2) + key.cells + (meaning.isEmpty ? 0 : 1) + meaning.cells
            guard line.cells + needed + (right.cells == 0 ? 0 : right.cells + 3) <= width else { break }
            if line.cells > 0 { line.append("  ") }
            line.append(key, .strong)
            line.append(meaning.isEmpty ? "" : " " + meaning, .dim)
        }
        return line.cells == 0 ? right.cut(to: width) : line.joined(right, width: width)
    }

    private static func keys(_ options: TopOptions, scrolls: Bool) -> [(String, String)] {
        let pause = ("p", options.isPaused ? "resume" : "pause")
        let cumulative = ("c", options.isCumulative ? "last interval" : "since start")
        let scroll = scrolls ? [("↑↓", "scroll")] : []
        switch options.overlay {
        case .help: return scroll + [("any other key", "closes this page")]
        case .detail:
            let neighbour = if case .machine = options.selection { "other VM" } else { "other vCPU" }
            return [("Esc", "back")] + scroll + [
                ("←→", neighbour), ("m", "matrix"), pause, ("h", "help"), ("q", "quit"),
            ]
        case .matrix: return [("Esc", "back")] + scroll + [cumulative, pause, ("h", "help"), ("q", "quit")]
        case .none: break
        }
        let next =
            switch options.grouping {
            case .grouped: "flat"
            case .flat: "VMs"
            case .machines: "group"
            }
        return [
            ("q", "quit"), ("h", "help"), ("Enter", "details"), ("m", "matrix"), ("<>", "sort"), ("r", "invert"), pause,
            ("t", next), ("/", "filter"), cumulative,
            ("+-", "delay \(Format.duration(Int64(clamping: options.intervalMilliseconds) * 1_000_000))"),
        ]
    }
}
