package import Views

/// A screen as cells, and the bytes that turn one screen into the next.
///
/// Only cells that differ are written: a frame in which three numbers changed is some forty bytes, which is what keeps
/// `tandem top` smooth over a slow ssh link, and what keeps it from flickering. A wide character owns its cell and the
/// one behind it; both are written again when either changes.
package struct ScreenGrid: Hashable {
    package struct Cell: Hashable {
        /// The second half of a wide character is empty.
        package var first: Unicode.Scalar?
        /// `screenText` leaves at most two marks on a character.
        package var mark: Unicode.Scalar?
        package var secondMark: Unicode.Scalar?
        package var style: Style = .plain
        package var isSelected = false

        static let blank = Cell(first: " ")
    }

    package let width: Int
    package let height: Int
    package private(set) var cells: [Cell]

    package init(width: Int, height: Int) {
        self.width = width
        self.height = height
        cells = Array(repeating: .blank, count: max(0, width) * max(0, height))
    }

    /// What does not fit is not drawn.
    package init(_ frame: Frame, width: Int, height: Int) {
        self.init(width: width, height: height)
        for (row, line) in frame.lines.prefix(max(0, height)).enumerated() {
            var column = 0
            // Marks belong to the character before them; a line cannot begin with one.
            var last: Int?
            for span in line.spans {
                for scalar in span.text.unicodeScalars {
                    let needed = scalar.cells
                    if needed == 0 {
                        if let last {
                            if cells[last].mark == nil {
                                cells[last].mark = scalar
                            } else {
                                cells[last].secondMark = scalar
                            }
                        }
                        continue
                    }
                    guard column + needed <= width else {
                        // Nothing behind the edge may slip back in front of it.
                        column = width
                        last = nil
                        continue
                    }
                    let index = row * width + column
                    cells[index] = Cell(first: scalar, style: span.style, isSelected: line.isSelected)
                    if needed == 2 {
                        cells[index + 1] = Cell(first: nil, style: span.style, isSelected: line.isSelected)
                    }
                    last = index
                    column += needed
                }
            }
        }
    }

    /// The bytes that draw this screen on a terminal that shows `previous`; nil when what it shows is not known.
    package func bytes(after previous: ScreenGrid?, _ palette: Palette) -> [UInt8] {
        var output: [UInt8] = []
        func write(_ text: String) { output.append(contentsOf: text.utf8) }
        func write(_ scalar: Unicode.Scalar) {
            if let encoded = UTF8.encode(scalar) { output.append(contentsOf: encoded) }
        }
        var old: [Cell]
        if let previous, previous.width == width, previous.height == height {
            old = previous.cells
        } else {
            // Reset the style before clearing: some terminals fill with the current background.
            write("\u{1b}[0m\u{1b}[2J")
            old = Array(repeating: .blank, count: cells.count)
        }
        var style: (Style, Bool) = (.plain, false)
        var hasStyle = false
        var cursor: Int?
        for row in 0..<max(0, height) {
            for column in 0..<max(0, width) {
                let index = row * width + column
                guard isChanged(index, column, old), let first = cells[index].first else { continue }
                let cell = cells[index]
                if cursor != index { write("\u{1b}[\(row + 1);\(column + 1)H") }
                if !hasStyle || style != (cell.style, cell.isSelected) {
                    write(palette.sequence(cell.style, isSelected: cell.isSelected))
                    style = (cell.style, cell.isSelected)
                    hasStyle = true
                }
                write(first)
                if let mark = cell.mark { write(mark) }
                if let mark = cell.secondMark { write(mark) }
                let next = column + (column + 1 < width && cells[index + 1].first == nil ? 2 : 1)
                // At the right edge the cursor waits for the next character in a way that differs between terminals.
                cursor = next < width ? row * width + next : nil
            }
        }
        if hasStyle { write("\u{1b}[0m") }
        return output
    }

    private func isChanged(_ index: Int, _ column: Int, _ old: [Cell]) -> Bool {
        if cells[index] != old[index] { return true }
        // The first half of a wide character, old or new, changes with its second half.
        return column + 1 < width && (cells[index + 1].first == nil || old[index + 1].first == nil)
            && cells[index + 1] != old[index + 1]
    }
}
