package import Views

/// What a role looks like on a terminal: SGR parameters of ECMA-48, by role and never by colour value.
///
/// A terminal of sixteen colours gets the base colours, because these are the ones that a theme adapts to its background.
/// One of 256 or more gets six that were chosen by search over xterm's colour cube: each is readable on black and on
/// white (WCAG contrast of at least 3), and no two look alike to people who see red and green alike (`PaletteTests`
/// computes both). Nothing is ever painted on a background of ours. Without colours the roles that matter still differ by
/// bold, and every state has a word and a shape anyway.
package struct Palette: Sendable {
    /// Colour may be used; attributes like bold are used in any case.
    package var hasColor: Bool
    /// Of xterm's 256 colours; terminals of 16 million colours have them too.
    package var hasManyColors: Bool
    /// No escape sequence at all: a stream, or a dumb terminal.
    package var isPlain: Bool

    package init(hasColor: Bool, hasManyColors: Bool = false, isPlain: Bool = false) {
        self.hasColor = hasColor
        self.hasManyColors = hasManyColors
        self.isPlain = isPlain
    }

    /// The colour of a role among xterm's 256; nil for the terminal's own.
    package static func color(_ style: Style) -> UInt8? {
        switch style {
        case .plain, .strong, .title, .sortedTitle: nil
        case .dim, .halted: 244
        case .running: 29
        case .hypervisor: 69
        case .ready, .alarm: 202
        case .notice, .blocked: 94
        case .unknown: 170
        }
    }

    /// The sequence that sets a style from any other.
    func sequence(_ style: Style, isSelected: Bool) -> String {
        var parameters = "0"
        // A selected line is one bar: colours on a reversed ground are unreadable in half of all themes.
        if isSelected { parameters += ";7" } else if let look = look(style) { parameters += ";" + look }
        return "\u{1b}[\(parameters)m"
    }

    private func look(_ style: Style) -> String? {
        guard hasColor else {
            switch style {
            case .strong, .alarm, .ready: return "1"
            case .title: return "7"
            case .sortedTitle: return "1;7"
            case .dim, .plain, .notice, .running, .hypervisor, .halted, .blocked, .unknown: return nil
            }
        }
        if hasManyColors, let color = Palette.color(style) {
            return (style == .alarm ? "1;" : "") + "38;5;\(color)"
        }
        switch style {
        case .plain: return nil
        // Bright black is grey in every theme; SGR 2 (faint) is ignored by some terminals.
        case .dim, .halted: return "90"
        case .strong: return "1"
        case .title: return "7"
        case .sortedTitle: return "1;7"
        case .notice, .blocked: return "33"
        case .alarm: return "1;31"
        case .running: return "32"
        case .hypervisor: return "36"
        case .ready: return "31"
        case .unknown: return "35"
        }
    }
}

extension Frame {
    /// The frame for a stream: lines with styles where the palette has any, each reset before its newline.
    package func terminalText(_ palette: Palette) -> String {
        guard !palette.isPlain else { return plainText }
        var text = ""
        for line in lines {
            for span in line.spans {
                guard span.style != .plain else {
                    text += span.text
                    continue
                }
                text += palette.sequence(span.style, isSelected: false) + span.text + "\u{1b}[0m"
            }
            text += "\n"
        }
        return text
    }
}
