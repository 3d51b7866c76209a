import Console
import Testing
import Views

struct KeyDecoderTests {
    /// Decodes `text`, whole and byte by byte, and compares.
    private func check(_ text: String, _ keys: [Key], sourceLocation: SourceLocation = #_sourceLocation) {
        check(Array(text.utf8), keys, sourceLocation: sourceLocation)
    }

    private func check(_ bytes: [UInt8], _ keys: [Key], sourceLocation: SourceLocation = #_sourceLocation) {
        var whole = KeyDecoder()
        #expect(whole.decode(bytes) + whole.flush() == keys, sourceLocation: sourceLocation)
        var split = KeyDecoder()
        #expect(bytes.flatMap { split.decode([$0]) } + split.flush() == keys, sourceLocation: sourceLocation)
        #expect(!whole.isPending && !split.isPending, sourceLocation: sourceLocation)
    }

    @Test(
        arguments: [
            ("q", [.character("q")]), ("jk", [.character("j"), .character("k")]),
            ("é漢", [.character("é"), .character("漢")]),
            ("\r\n", [.enter, .enter]), ("\u{7f}\u{8}\t", [.backspace, .backspace, .tab]),
            ("\u{1b}[A\u{1b}[B\u{1b}[C\u{1b}[D", [.up, .down, .right, .left]),
            ("\u{1b}OA\u{1b}OB\u{1b}OH\u{1b}OF", [.up, .down, .home, .end]),
            ("\u{1b}[5~\u{1b}[6~\u{1b}[1~\u{1b}[4~\u{1b}[7~\u{1b}[8~", [.pageUp, .pageDown, .home, .end, .home, .end]),
            ("\u{1b}[H\u{1b}[F", [.home, .end]),
            ("\u{1b}[1;5A\u{1b}[5;2~", [.up, .pageUp]),
            ("\u{1b}OM", [.enter]),
            ("\u{0c}", [.character("\u{0c}")]),
        ] as [(String, [Key])])
    func `keys are decoded, however they are split`(text: String, keys: [Key]) { check(text, keys) }

    @Test(
        arguments: [
            ("\u{1b}", [.escape]), ("\u{1b}\u{1b}", [.escape, .escape]), ("\u{1b}\u{1b}[A", [.escape, .up]),
            ("q\u{1b}", [.character("q"), .escape]), ("\u{1b}[", []), ("\u{1b}[1;", []),
        ] as [(String, [Key])])
    func `a lone ESC is the Escape key once nothing follows`(text: String, keys: [Key]) { check(text, keys) }

    @Test(arguments: [
        // F1 to F5, Insert, Delete, Alt-x, focus, bracketed paste, the Linux console's F1, an answer to a query.
        "\u{1b}OP", "\u{1b}[15~", "\u{1b}[2~", "\u{1b}[3~", "\u{1b}x", "\u{1b}[I", "\u{1b}[200~", "\u{1b}[[A",
        "\u{1b}[?64;1;2c", "\u{00}\u{01}",
    ])
    func `what is no key of ours vanishes as a whole`(text: String) { check(text + "q", [.character("q")]) }

    @Test
    func `invalid UTF-8 is dropped and does not swallow what follows`() {
        check([0xff, 0x71], [.character("q")])
        check([0xc3, 0x28, 0x71], [.character("q")])
        check([0x80, 0x71], [.character("q")])
        check([0xe6, 0xbc], [])
    }

    @Test
    func `any bytes at all leave a decoder that still works`() {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<200 {
            let seed = UInt64.random(in: .min ... .max, using: &random)
            var generator = SeededGenerator(seed: seed)
            var decoder = KeyDecoder()
            for _ in 0..<50 {
                let bytes = (0..<Int.random(in: 0..<9, using: &generator)).map { _ in
                    Bool.random(using: &generator)
                        ? UInt8.random(in: .min ... .max, using: &generator)
                        : [0x1b, 0x5b, 0x4f, 0x3b, 0x31].randomElement(using: &generator) ?? 0
                }
                _ = decoder.decode(bytes)
            }
            _ = decoder.flush()
            #expect(decoder.decode(Array("q".utf8)) == [.character("q")], "seed \(seed)")
        }
    }
}
