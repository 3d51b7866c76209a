import Console
import Testing

struct TerminalAbilitiesTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var environment: [String: String]
        var isTerminal = true
        var color = TerminalAbilities.ColorChoice.auto
        /// Screen, colour, UTF-8.
        var expected: (Bool, Bool, Bool)
        var testDescription: String { "\(environment), terminal \(isTerminal), \(color)" }
    }

    @Test(arguments: [
        Case(environment: ["TERM": "xterm", "LANG": "de_DE.UTF-8"], expected: (true, true, true)),
        Case(environment: ["TERM": "xterm", "LANG": "C"], expected: (true, true, false)),
        Case(environment: ["TERM": "xterm", "LANG": "en_US.utf8", "LC_ALL": "C"], expected: (true, true, false)),
        Case(environment: ["TERM": "xterm", "LANG": "C", "LC_CTYPE": "C.UTF-8"], expected: (true, true, true)),
        Case(environment: ["TERM": "xterm", "LANG": "C.UTF-8", "LC_ALL": ""], expected: (true, true, true)),
        Case(environment: ["TERM": "xterm", "NO_COLOR": "1"], expected: (true, false, false)),
        Case(environment: ["TERM": "xterm", "NO_COLOR": ""], expected: (true, true, false)),
        Case(environment: ["TERM": "xterm", "NO_COLOR": "1"], color: .always, expected: (true, true, false)),
        Case(environment: ["TERM": "xterm"], color: .never, expected: (true, false, false)),
        Case(environment: ["TERM": "dumb"], expected: (false, false, false)),
        Case(environment: [:], expected: (false, false, false)),
        Case(environment: ["TERM": "xterm"], isTerminal: false, expected: (false, false, false)),
        Case(environment: ["TERM": "xterm"], isTerminal: false, color: .always, expected: (false, true, false)),
    ])
    func `what may be shown follows the user, then the environment`(test: Case) {
        let abilities = TerminalAbilities(isTerminal: test.isTerminal, color: test.color) { test.environment[$0] }
        #expect((abilities.isScreen, abilities.hasColor, abilities.hasUTF8) == test.expected)
    }

    @Test(arguments: [
        (["TERM": "xterm-256color"], true), (["TERM": "tmux-256color"], true), (["TERM": "xterm-direct"], true),
        (["TERM": "foot", "COLORTERM": "truecolor"], true), (["TERM": "xterm", "COLORTERM": "24bit"], true),
        (["TERM": "linux"], false), (["TERM": "xterm", "COLORTERM": "yes"], false),
        (["TERM": "xterm-256color", "NO_COLOR": "1"], false), (["TERM": "dumb", "COLORTERM": "truecolor"], false),
    ])
    func `more colours are used where the terminal says that it has them`(
        environment: [String: String], expected: Bool
    ) {
        let abilities = TerminalAbilities(isTerminal: true) { environment[$0] }
        #expect(abilities.hasManyColors == expected)
    }
}
