import TraceModel

/// The page behind `h`: the keys, what the columns say, and in full what this session cannot know.
enum HelpPage {
    static let keys: [(keys: String, meaning: String)] = [
        ("↑ ↓ j k", "select a row, scroll a page; PgUp PgDn Home End move further"),
        ("Enter", "all about the selected vCPU or machine; ← → shows its neighbour, Esc goes back"),
        ("m", "matrix: which machine took how much CPU time from which"),
        ("< >", "sort by the column to the left or right"),
        ("s", "sort by %RDY, and back"),
        ("r I", "invert the order"),
        ("t", "vCPUs under their machines, in one flat list, or one row per machine"),
        ("c", "everything since the start instead of the last interval, and back"),
        ("/", "show only rows in which a name contains a text; Esc shows all"),
        ("p Space", "pause and resume; recording goes on"),
        ("+ - d", "slower, faster, or type the delay in seconds"),
        ("h ?", "this page; any other key closes it"),
        ("q", "quit"),
    ]

    static func lines(_ figures: TopFigures, _ options: TopOptions, width: Int) -> [Line] {
        guard width > 0 else { return [] }
        let session = session(figures.current, width: width)
        let keys = HelpPage.keys.map { entry in
            pair(entry.keys, entry.meaning, nameWidth: 9, width: width)
        }
        let columns = TopColumn.columns(
            for: figures.evidence, options.grouping, showsOnCPU: figures.showsOnCPU
        ).map { pair($0.title(options.grouping), $0.meaning(options.grouping), nameWidth: 12, width: width) }
        // What this session cannot know is worth more than the meaning of a column's title.
        var lines = [Line.bar(Line("Keys", .strong), width: width)] + keys
        if !session.isEmpty { lines += [Line.bar(Line("This session", .strong), width: width)] + session }
        lines += [Line.bar(Line("Columns", .strong), width: width)] + columns
        return lines
    }

    private static func session(_ snapshot: Snapshot, width: Int) -> [Line] {
        var lines: [Line] = []
        func add(_ text: String, _ style: Style) {
            for (index, part) in text.wrapped(to: width - 4).enumerated() {
                lines.append(Line((index == 0 ? "  " : "    ") + part, style))
            }
        }
        for sentence in snapshot.health.limits { add(sentence, .notice) }
        for remark in Remarks.anomalies(snapshot) + Remarks.checks(snapshot) { add(remark.text, remark.style) }
        return lines
    }

    private static func pair(_ name: String, _ meaning: String, nameWidth: Int, width: Int) -> Line {
        var line = Line("  ")
        line.append(name, .strong, width: nameWidth, alignment: .left)
        line.append("  " + meaning)
        return line.cut(to: width)
    }
}
