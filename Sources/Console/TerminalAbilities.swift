package import Views

/// What a terminal can show, decided from what the user asked for and what the environment says.
///
/// no-color.org: a NO_COLOR that is not empty switches colour off unless the command line asks for it. TERM=dumb is a
/// terminal without cursor control, so the live view falls back to plain text there. The character set is that of the
/// locale, in the order in which setlocale(3) looks: LC_ALL, LC_CTYPE, LANG.
package struct TerminalAbilities: Hashable, Sendable {
    package enum ColorChoice: String, CaseIterable, Sendable { case auto, always, never }

    /// Can the screen be addressed at all?
    package var isScreen: Bool
    package var hasColor: Bool
    /// 256 colours or more.
    package var hasManyColors: Bool
    package var hasUTF8: Bool

    package init(isTerminal: Bool, color: ColorChoice = .auto, environment: (String) -> String?) {
        let term = environment("TERM") ?? ""
        let isDumb = term == "dumb" || term.isEmpty
        isScreen = isTerminal && !isDumb
        hasColor =
            switch color {
            case .always: true
            case .never: false
            case .auto: isScreen && (environment("NO_COLOR") ?? "").isEmpty
            }
        // terminfo's names say it, and COLORTERM is what terminals of 16 million colours set.
        hasManyColors =
            hasColor
            && (term.contains("256color") || term.contains("direct")
                || ["truecolor", "24bit"].contains(environment("COLORTERM") ?? ""))
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].lazy.compactMap(environment).first { !$0.isEmpty } ?? ""
        let charset = locale.uppercased()
        hasUTF8 = charset.contains("UTF-8") || charset.contains("UTF8")
    }

    /// For frames written to a stream.
    package var streamPalette: Palette {
        Palette(hasColor: hasColor, hasManyColors: hasManyColors, isPlain: !hasColor)
    }

    /// For the screen of a terminal.
    package var screenPalette: Palette { Palette(hasColor: hasColor, hasManyColors: hasManyColors) }

    /// The frame in characters that the terminal knows.
    package func adapted(_ frame: Frame) -> Frame { hasUTF8 ? frame : frame.ascii }
}
