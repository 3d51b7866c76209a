/// Which columns of a table fit, and how wide each one is.
///
/// Columns have a rank; from the lowest rank on, columns are taken until the next one does not fit, so a wider terminal
/// always shows what a narrower one shows and more. What is left over widens the columns that can use it. Content has no
/// influence in a table that is drawn again and again: a frame must not jump because a name became longer.
struct TableLayout {
    struct Column {
        var minimum: Int
        var maximum: Int
        /// 0 stays longest.
        var rank: Int
    }

    static let gap = 1

    /// The width of each column, nil where it is dropped.
    static func widths(_ columns: [Column], in width: Int) -> [Int?] {
        var widths = [Int?](repeating: nil, count: columns.count)
        var left = width
        let order = columns.indices.sorted { (columns[$0].rank, $0) < (columns[$1].rank, $1) }
        for (taken, index) in order.enumerated() {
            let needed = columns[index].minimum + (taken == 0 ? 0 : gap)
            guard needed <= left else {
                // A table of no columns helps nobody: the first one takes what there is.
                if taken == 0, left > 0 { widths[index] = left }
                break
            }
            widths[index] = columns[index].minimum
            left -= needed
        }
        var grew = true
        while left > 0, grew {
            grew = false
            for index in order {
                guard left > 0, let width = widths[index], width < columns[index].maximum else { continue }
                widths[index] = width + 1
                left -= 1
                grew = true
            }
        }
        return widths
    }
}

/// A table drawn once, whose columns are as wide as their content.
struct TextTable {
    struct Column {
        var title: String
        var alignment: Line.Alignment = .left
        /// The width down to which the content may be cut; nil keeps it whole.
        var shrinksTo: Int?
        var rank = 0
        /// The width whatever the content is, for tables that are drawn again and again.
        var room: ClosedRange<Int>?
    }

    struct Cell {
        var text: String
        var style: Style

        init(_ text: String, _ style: Style = .plain) {
            self.text = text.screenText
            self.style = style
        }

        /// A bar as long as its column is wide when `bar` is all.
        init(bar: Share?, _ style: Style) {
            self.init("", style)
            share = bar
        }

        fileprivate var share: Share?
    }

    var columns: [Column]
    var rows: [[Cell]] = []
    /// Spaces between columns: two read better where nothing else separates them.
    var gap = 2

    /// The widths that the content asks for, dropped and cut to fit into `width`.
    private func widths(in width: Int) -> [Int?] {
        // The layout reckons with a gap of one; the rest of the gap is charged to the columns.
        let extra = gap - TableLayout.gap
        let wanted = columns.indices.map { index -> TableLayout.Column in
            if let room = columns[index].room {
                return TableLayout.Column(
                    minimum: room.lowerBound + extra, maximum: room.upperBound + extra, rank: columns[index].rank)
            }
            let content = rows.lazy.map { index < $0.count ? $0[index].text.cells : 0 }.max() ?? 0
            let full = max(columns[index].title.cells, content)
            let least = columns[index].shrinksTo.map { min(full, max($0, columns[index].title.cells)) } ?? full
            return TableLayout.Column(minimum: least + extra, maximum: full + extra, rank: columns[index].rank)
        }
        return TableLayout.widths(wanted, in: max(0, width) + extra).map { $0.map { max(0, $0 - extra) } }
    }

    func lines(width: Int, titleStyle: Style = .dim, firstTitleStyle: Style? = nil) -> [Line] {
        let widths = widths(in: width)
        let shown = columns.indices.filter { (widths[$0] ?? 0) > 0 }
        func line(_ cells: [Cell]) -> Line {
            var line = Line()
            for (position, index) in shown.enumerated() {
                if position > 0 { line.append(String(repeating: " ", count: gap)) }
                let cell = index < cells.count ? cells[index] : Cell("")
                let width = widths[index] ?? 0
                let text = cell.share.map { Bars.bar($0, width: width) } ?? cell.text
                line.append(text, cell.style, width: width, alignment: columns[index].alignment)
            }
            return line.cut(to: width)
        }
        let titles = columns.enumerated().map { Cell($1.title, $0 == 0 ? firstTitleStyle ?? titleStyle : titleStyle) }
        return [line(titles)] + rows.map(line)
    }
}
