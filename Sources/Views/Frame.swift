/// What every view of this room returns: lines of styled text that know nothing of terminals.
///
/// A style names a *role*, not a colour; the edge that writes the frame decides what a role looks like, or drops it.
/// All text enters through `Line.append`, which is the border where it is made fit for a screen: a guest chooses its task
/// names freely, and a terminal obeys what it is told.
package struct Frame: Hashable, Sendable {
    package var lines: [Line]

    package init(lines: [Line] = []) { self.lines = lines }

    /// The text alone, every line ended by a newline and without trailing spaces.
    package var plainText: String {
        var text = ""
        for line in lines {
            var end = line.text[...]
            while end.last == " " { end.removeLast() }
            text += end + "\n"
        }
        return text
    }

    /// The same cells in ASCII, for terminals without UTF-8: nothing moves, because each character becomes as many
    /// characters as it had cells.
    package var ascii: Frame { Frame(lines: lines.map(\.ascii)) }
}

/// The role that a piece of text plays.
package enum Style: UInt8, CaseIterable, Hashable, Sendable {
    case plain
    /// Present for completeness: labels, zeros, what does not change.
    case dim
    case strong
    /// The row of column titles, and bars that separate panes.
    case title
    /// The title of the column by which the table is sorted.
    case sortedTitle
    /// Look here when there is time.
    case notice
    /// Look here now.
    case alarm

    // The states of a vCPU.
    case running
    case hypervisor
    case ready
    case halted
    case blocked
    case unknown
}

/// One line of a frame.
package struct Line: Hashable, Sendable {
    package struct Span: Hashable, Sendable {
        package let text: String
        package let style: Style
    }

    package private(set) var spans: [Span] = []
    /// Cells that the spans take together.
    package private(set) var cells = 0
    /// The row under the cursor.
    package var isSelected = false

    package init() {}

    package init(_ text: String, _ style: Style = .plain) { append(text, style) }

    package var text: String { spans.map(\.text).joined() }

    package mutating func append(_ text: String, _ style: Style = .plain) {
        appendClean(text.screenText, style)
    }

    /// `text` is fit for a screen.
    private mutating func appendClean(_ text: String, _ style: Style) {
        guard !text.isEmpty else { return }
        cells += text.cells
        if let last = spans.last, last.style == style {
            spans[spans.count - 1] = Span(text: last.text + text, style: style)
        } else {
            spans.append(Span(text: text, style: style))
        }
    }

    package enum Alignment: Sendable { case left, right }

    /// `text` in exactly `width` cells: cut with an ellipsis, or padded.
    package mutating func append(_ text: String, _ style: Style, width: Int, alignment: Alignment) {
        let text = text.screenText.cut(to: width)
        let padding = String(repeating: " ", count: max(0, width - text.cells))
        // Only titles colour their padding: they are one bar.
        let paddingStyle = style == .title || style == .sortedTitle ? style : .plain
        if alignment == .right { appendClean(padding, paddingStyle) }
        appendClean(text, style)
        if alignment == .left { appendClean(padding, paddingStyle) }
    }

    package mutating func append(_ line: Line) {
        for span in line.spans { appendClean(span.text, span.style) }
    }

    /// Spaces up to `width` cells.
    package mutating func pad(to width: Int, _ style: Style = .plain) {
        if cells < width { append(String(repeating: " ", count: width - cells), style) }
    }

    /// The line itself when it fits into `width` cells, otherwise its beginning and an ellipsis.
    package func cut(to width: Int) -> Line {
        guard cells > width else { return self }
        var result = Line()
        result.isSelected = isSelected
        for span in spans {
            let room = width - result.cells
            guard span.text.cells >= room else {
                result.append(span.text, span.style)
                continue
            }
            // A span that fills the room exactly is cut all the same: more follows it.
            result.append((span.text + " ").cut(to: room), span.style)
            break
        }
        return result
    }

    fileprivate var ascii: Line {
        var result = Line()
        result.isSelected = isSelected
        for span in spans {
            var text = String.UnicodeScalarView()
            for scalar in span.text.unicodeScalars { text.append(contentsOf: Line.ascii(scalar)) }
            result.append(String(text), span.style)
        }
        return result
    }

    private static func ascii(_ scalar: Unicode.Scalar) -> [Unicode.Scalar] {
        if scalar.isASCII { return [scalar] }
        switch scalar {
        case "µ": return ["u"]
        case "…": return ["~"]
        // "±83 ns" and "<83 ns" both say that the error is at most that.
        case "±": return ["<"]
        case "≥": return [">"]
        case "≤": return ["<"]
        case "·", "─", "–", "•": return ["-"]
        case "›", "→": return [">"]
        case "←": return ["<"]
        case "●": return ["*"]
        case "◆": return ["#"]
        case "◇": return ["%"]
        case "○": return ["o"]
        case "▲": return ["!"]
        case "△", "▴", "↑": return ["^"]
        case "▾", "↓": return ["v"]
        case "■": return ["="]
        case "×": return ["x"]
        case "█": return ["#"]
        case "▏", "▎", "▍", "░": return ["-"]
        case "▌", "▋", "▊", "▉", "▒": return ["="]
        case "▓": return ["+"]
        case "│": return ["|"]
        default: return Array(repeating: "?", count: scalar.cells)
        }
    }
}
