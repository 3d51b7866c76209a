/// A page of sections: as many beside each other as the screen's width allows, the others below.
///
/// Sections have widths of their own that do not depend on their content, and are placed in their order. So the page of a
/// given width is always laid out alike, and nothing changes its place while its figures change.
struct Section {
    var minimum: Int
    var maximum: Int
    /// The section in a width: its title line first.
    var lines: (_ width: Int) -> [Line]

    init(_ room: ClosedRange<Int>, lines: @escaping (_ width: Int) -> [Line]) {
        minimum = room.lowerBound
        maximum = room.upperBound
        self.lines = lines
    }

    /// A table whose first title is the section's.
    init(_ room: ClosedRange<Int>, _ table: TextTable) {
        self.init(room) { width in table.lines(width: width, firstTitleStyle: .strong) }
    }
}

enum PageLayout {
    static func lines(_ sections: [Section], width: Int) -> [Line] {
        guard width > 0 else { return [] }
        let gap = width >= 100 ? 3 : 2
        var shelves: [[Section]] = []
        var used = 0
        for section in sections {
            if !shelves.isEmpty, used + gap + section.minimum <= width {
                shelves[shelves.count - 1].append(section)
                used += gap + section.minimum
            } else {
                shelves.append([section])
                used = section.minimum
            }
        }
        return Array(shelves.map { lines($0, gap: gap, width: width) }.joined(separator: [Line()]))
    }

    private static func lines(_ shelf: [Section], gap: Int, width: Int) -> [Line] {
        // The layout reckons with a gap of one; the rest of the gap is charged to the sections.
        let extra = gap - TableLayout.gap
        let columns = shelf.map {
            TableLayout.Column(minimum: $0.minimum + extra, maximum: $0.maximum + extra, rank: 0)
        }
        let widths = TableLayout.widths(columns, in: width + extra).map { min(width, max(0, ($0 ?? 0) - extra)) }
        let blocks = zip(shelf, widths).map { $0.lines($1) }
        return (0..<(blocks.map(\.count).max() ?? 0)).map { row in
            var line = Line()
            var start = 0
            for (block, width) in zip(blocks, widths) {
                if row < block.count {
                    line.pad(to: start)
                    line.append(block[row].cut(to: width))
                }
                start += width + gap
            }
            return line.cut(to: width)
        }
    }
}

extension Line {
    /// `── web1/1  parts of less weight ─────`: the bar above a page; parts that do not fit are left out.
    static func bar(_ title: Line, _ parts: [Line] = [], width: Int) -> Line {
        var line = Line("── ", .dim)
        line.append(title)
        for part in parts where line.cells + 2 + part.cells + 1 <= width {
            line.append("  ")
            line.append(part)
        }
        line.append(" ", .dim)
        if line.cells < width { line.append(String(repeating: "─", count: width - line.cells), .dim) }
        return line.cut(to: width)
    }
}
