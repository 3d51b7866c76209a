import TraceModel

/// Texts as a terminal shows them: what may be shown at all, how many cells it takes, and how it is cut.
///
/// There is no perfect rule for the width of a text: terminals disagree with each other about emoji and ambiguous
/// characters. The rule here is the part on which they agree. East Asian wide and full-width characters and pictographs
/// take two cells (Unicode Standard Annex 11, classes W and F), combining marks none, everything else one. Sequences
/// joined by U+200D never occur, because `String.sanitized` replaces the joiner.

extension Unicode.Scalar {
    /// ASCII, Latin letters and signs, box drawing, blocks and geometric shapes: one cell and harmless. Nearly all that
    /// our own texts consist of; looking up the properties of each would be most of the time of a frame.
    fileprivate var isPlain: Bool {
        switch value {
        case 0x20..<0x7f, 0xa1..<0xad, 0xae..<0x300, 0x2500..<0x25fd: true
        default: false
        }
    }

    /// Cells taken on a terminal: 0, 1 or 2.
    package var cells: Int {
        if value < 0x300 || isPlain { return 1 }
        switch properties.generalCategory {
        case .nonspacingMark, .enclosingMark: return 0
        default: break
        }
        switch value {
        case 0x1100...0x115f, 0x231a...0x231b, 0x2329...0x232a, 0x23e9...0x23ec, 0x23f0, 0x23f3, 0x25fd...0x25fe,
            0x2614...0x2615, 0x2648...0x2653, 0x267f, 0x2693, 0x26a1, 0x26aa...0x26ab, 0x26bd...0x26be, 0x26c4...0x26c5,
            0x26ce, 0x26d4, 0x26ea, 0x26f2...0x26f3, 0x26f5, 0x26fa, 0x26fd, 0x2705, 0x270a...0x270b, 0x2728, 0x274c,
            0x274e, 0x2753...0x2755, 0x2757, 0x2795...0x2797, 0x27b0, 0x27bf, 0x2b1b...0x2b1c, 0x2b50, 0x2b55,
            0x2e80...0x303e, 0x3041...0x33ff, 0x3400...0x4dbf, 0x4e00...0x9fff, 0xa000...0xa4cf, 0xa960...0xa97f,
            0xac00...0xd7a3, 0xf900...0xfaff, 0xfe10...0xfe19, 0xfe30...0xfe6f, 0xff00...0xff60, 0xffe0...0xffe6,
            0x16fe0...0x18aff, 0x1b000...0x1b2ff, 0x1f004, 0x1f0cf, 0x1f18e, 0x1f191...0x1f19a, 0x1f200...0x1f320,
            0x1f32d...0x1f335, 0x1f337...0x1f37c, 0x1f37e...0x1f393, 0x1f3a0...0x1f3ca, 0x1f3cf...0x1f3d3,
            0x1f3e0...0x1f3f0, 0x1f3f4, 0x1f3f8...0x1f43e, 0x1f440, 0x1f442...0x1f4fc, 0x1f4ff...0x1f53d,
            0x1f54b...0x1f54e, 0x1f550...0x1f567, 0x1f57a, 0x1f595...0x1f596, 0x1f5a4, 0x1f5fb...0x1f64f,
            0x1f680...0x1f6c5, 0x1f6cc, 0x1f6d0...0x1f6d2, 0x1f6d5...0x1f6d7, 0x1f6dc...0x1f6df, 0x1f6eb...0x1f6ec,
            0x1f6f4...0x1f6fc, 0x1f7e0...0x1f7eb, 0x1f7f0, 0x1f90c...0x1f93a, 0x1f93c...0x1f945, 0x1f947...0x1f9ff,
            0x1fa70...0x1faff, 0x20000...0x2fffd, 0x30000...0x3fffd:
            return 2
        default: return 1
        }
    }

    /// Characters that have no picture of their own, that steer the terminal or its text direction, or whose width
    /// nobody knows.
    fileprivate var isUnshowable: Bool {
        if value < 0x7f { return value < 0x20 }
        switch properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator: return true
        default: return false
        }
    }
}

extension String {
    /// The text as it may go to a screen: `sanitized`, invisible characters replaced by `?`, and at most two marks
    /// on one character, so that a guest's task name cannot write over the lines above it.
    package var screenText: String {
        if utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7f }) { return self }
        if unicodeScalars.allSatisfy(\.isPlain) { return self }
        var result = String.UnicodeScalarView()
        var marks = 2
        for scalar in sanitized.unicodeScalars {
            guard !scalar.isUnshowable else {
                result.append("?")
                marks = 0
                continue
            }
            if scalar.cells == 0 {
                marks += 1
                if marks > 2 { continue }
            } else {
                marks = 0
            }
            result.append(scalar)
        }
        return String(result)
    }

    /// Cells taken on a terminal.
    package var cells: Int {
        // Nearly every text is ASCII.
        if utf8.allSatisfy({ $0 < 0x80 }) { return utf8.count }
        var total = 0
        for scalar in unicodeScalars { total += scalar.cells }
        return total
    }

    /// The text itself when it fits into `width` cells, otherwise its beginning and an ellipsis.
    package func cut(to width: Int) -> String {
        guard cells > width else { return self }
        guard width > 0 else { return "" }
        var result = String.UnicodeScalarView()
        var used = 0
        for scalar in unicodeScalars {
            guard used + scalar.cells < width else { break }
            used += scalar.cells
            result.append(scalar)
        }
        result.append("…")
        return String(result)
    }

    /// The words spread over lines of at most `width` cells; a longer word is cut.
    package func wrapped(to width: Int) -> [String] {
        guard width > 0 else { return [] }
        var lines: [String] = []
        var line = ""
        for word in screenText.split(separator: " ") {
            let word = String(word).cut(to: width)
            if line.isEmpty {
                line = word
            } else if line.cells + 1 + word.cells <= width {
                line += " " + word
            } else {
                lines.append(line)
                line = word
            }
        }
        if !line.isEmpty { lines.append(line) }
        return lines
    }
}
