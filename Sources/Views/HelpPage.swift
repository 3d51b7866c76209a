import TraceModel

/// The page behind `h`: the keys, what the columns say, and in full what this session cannot know.
enum HelpPage {
    static let keys: [(keys: String, meaning: String)] = [
        ("↑ ↓ j k", "select a row; PgUp PgDn Home End move further"),
        ("Enter", "details of the selected vCPU; Esc closes them"),
        ("< >", "sort by the column to the left or right"),
        ("s", "sort by %RDY, and back"),
        ("r I", "invert the order"),
        ("t", "group the vCPUs under their machines, or one flat list"),
        ("/", "show only rows in which a name contains a text; Esc shows all"),
        ("p Space", "pause and resume; recording goes on"),
        ("+ - d", "slower, faster, or type the delay in seconds"),
        ("h ?", "this page; any key closes it"),
        ("q", "quit"),
    ]

    static func lines(_ figures: TopFigures, _ options: TopOptions, width: Int, height: Int) -> [Line] {
        guard width > 0, height > 0 else { return [] }
        let session = session(figures.current, width: width)
        let keys = HelpPage.keys.map { entry in
            pair(entry.keys, entry.meaning, nameWidth: 9, width: width)
        }
        let columns = TopColumn.columns(
            for: figures.evidence, grouped: options.isGrouped, showsOnCPU: figures.showsOnCPU
        ).map { pair($0.title, $0.meaning, nameWidth: 12, width: width) }
        // What this session cannot know is worth more than the meaning of a column's title.
        var lines = [bar("Keys", width: width)] + keys
        if !session.isEmpty { lines += [bar("This session", width: width)] + session }
        lines += [bar("Columns", width: width)] + columns
        if lines.count > height {
            lines.removeLast(lines.count - height + 1)
            lines.append(Line("… a higher terminal shows more", .dim).cut(to: width))
        }
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
        for count in HealthLines.anomalies(snapshot) {
            let advice = Anomaly.allCases.first { $0.label == count.name }?.advice
            add(
                "\(count.name) \(Format.exact(count.count))" + (advice.map { ": " + $0 } ?? ""),
                HealthLines.style(of: count))
        }
        return lines
    }

    private static func bar(_ title: String, width: Int) -> Line {
        var line = Line("── ", .dim)
        line.append(title, .strong)
        line.append(" ", .dim)
        if line.cells < width { line.append(String(repeating: "─", count: width - line.cells), .dim) }
        return line.cut(to: width)
    }

    private static func pair(_ name: String, _ meaning: String, nameWidth: Int, width: Int) -> Line {
        var line = Line("  ")
        line.append(name, .strong, width: nameWidth, alignment: .left)
        line.append("  " + meaning)
        return line.cut(to: width)
    }
}
