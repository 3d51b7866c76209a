import Console
import Testing
import Views

struct ScreenGridTests {
    private let palette = Palette(hasColor: true)

    /// Draws the frames one after another by differences, and each one afresh: the screens must be the same.
    private func check(
        _ frames: [Frame], width: Int, height: Int, _ comment: String,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        var screen = FakeScreen(width: width, height: height)
        var shown: ScreenGrid?
        for (number, frame) in frames.enumerated() {
            let grid = ScreenGrid(frame, width: width, height: height)
            screen.receive(grid.bytes(after: shown, palette))
            var fresh = FakeScreen(width: width, height: height)
            fresh.receive(grid.bytes(after: nil, palette))
            #expect(screen.cells == fresh.cells, "\(comment), frame \(number)", sourceLocation: sourceLocation)
            #expect(screen.misunderstood == [], "\(comment), frame \(number)", sourceLocation: sourceLocation)
            #expect(
                grid.bytes(after: grid, palette) == [], "\(comment), frame \(number)", sourceLocation: sourceLocation)
            shown = grid
        }
    }

    private func frame(_ lines: [(String, Style)]) -> Frame { Frame(lines: lines.map { Line($0, $1) }) }

    @Test
    func `a frame drawn by its differences is the frame drawn afresh`() {
        check(
            [
                frame([("alpha", .plain), ("beta", .strong)]), frame([("alpha", .plain), ("bet", .strong)]),
                frame([("漢字 a", .plain)]), frame([("漢a字", .plain)]), frame([("a漢字", .ready)]),
                frame([("xxxxx", .ready)]), frame([("x漢xx", .ready)]), frame([("e\u{301}e", .plain)]),
                frame([("ee", .plain)]), frame([]), frame([("too wide for the screen", .alarm)]),
                frame(Array(repeating: ("too many", .dim), count: 9)), frame([("12345漢", .dim)]),
            ], width: 6, height: 3, "by hand")
    }

    @Test
    func `random frames of narrow, wide and marked characters are drawn right`() {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<40 {
            let seed = UInt64.random(in: .min ... .max, using: &random)
            var generator = SeededGenerator(seed: seed)
            let width = Int.random(in: 1...12, using: &generator)
            let height = Int.random(in: 1...4, using: &generator)
            let frames = (0..<20).map { _ in
                Frame(
                    lines: (0..<Int.random(in: 0...5, using: &generator)).map { _ in
                        var line = Line()
                        for _ in 0..<Int.random(in: 0...4, using: &generator) {
                            let text = (0..<Int.random(in: 0...4, using: &generator)).map { _ in
                                ["a", "b", " ", "漢", "😀", "e\u{301}", "字\u{302}"].randomElement(using: &generator) ?? ""
                            }
                            line.append(text.joined(), Style.allCases.randomElement(using: &generator) ?? .plain)
                        }
                        line.isSelected = Bool.random(using: &generator)
                        return line
                    })
            }
            check(frames, width: width, height: height, "seed \(seed)")
        }
    }

    @Test
    func `the screen shows the text of the frame`() {
        let grid = ScreenGrid(frame([("▲ 漢 ok", .alarm), ("", .plain), ("end", .plain)]), width: 9, height: 3)
        var screen = FakeScreen(width: 9, height: 3)
        screen.receive(grid.bytes(after: nil, palette))
        let rows = (0..<3).map { row in screen.cells[row * 9..<(row + 1) * 9].map(\.text).joined() }
        #expect(rows == ["▲ 漢 ok  ", "         ", "end      "])
        #expect(screen.cells[0].style == "0;1;31")
        #expect(screen.cells[18].style == "0")
    }

    @Test
    func `one changed number is a few bytes, not a screen`() {
        let before = ScreenGrid(frame([("time 00:00:01", .plain), ("steady", .plain)]), width: 80, height: 24)
        let after = ScreenGrid(frame([("time 00:00:02", .plain), ("steady", .plain)]), width: 80, height: 24)
        #expect(
            String(decoding: after.bytes(after: before, palette), as: UTF8.self) == "\u{1b}[1;13H\u{1b}[0m2\u{1b}[0m")
    }

    @Test
    func `without colours no colour is sent, and what matters still stands out`() {
        let mono = Palette(hasColor: false)
        for style in Style.allCases {
            let text = Frame(lines: [Line("x", style)]).terminalText(mono)
            for color in 30...37 { #expect(!text.contains("\(color)m"), "\(style)") }
            for color in 90...97 { #expect(!text.contains("\(color)m"), "\(style)") }
        }
        #expect(Frame(lines: [Line("x", .alarm)]).terminalText(mono) == "\u{1b}[0;1mx\u{1b}[0m\n")
        #expect(Frame(lines: [Line("x", .alarm)]).terminalText(Palette(hasColor: false, isPlain: true)) == "x\n")
    }
}
