import Testing
import Views

struct FormattingTests {
    @Test(arguments: [
        (0, "0"), (1, "1 ns"), (999, "999 ns"), (1_000, "1.00 µs"), (12_345, "12.3 µs"), (999_999, "999 µs"),
        (1_234_567, "1.23 ms"), (9_999_999, "9.99 ms"), (59_999_999_999, "59.9 s"), (60_000_000_000, "1m00s"),
        (723_000_000_000, "12m03s"), (3_599_999_999_999, "59m59s"), (11_100_000_000_000, "3h05m"),
        (1_051_200_000_000_000, "12d04h"), (Int64.max, "106751d"), (-1_500, "-1.50 µs"), (Int64.min, "-106751d"),
    ])
    func `a duration has three digits and a unit`(nanoseconds: Int64, text: String) {
        #expect(Format.duration(nanoseconds) == text)
    }

    @Test
    func `a duration never takes more than seven cells`() {
        var nanoseconds: Int64 = 1
        while nanoseconds < .max / 3 {
            for value in [nanoseconds - 1, nanoseconds, nanoseconds + 1] {
                #expect(Format.duration(value).cells <= 7, "\(value) ns")
            }
            nanoseconds = nanoseconds * 3 / 2 + 1
        }
        #expect(Format.duration(.max).cells <= 7)
    }

    @Test(arguments: [
        (0, "0"), (999, "999"), (1_000, "1.00k"), (12_345, "12.3k"), (999_999, "999k"), (1_234_567, "1.23M"),
        (UInt64.max, "18446744T"),
    ])
    func `a count is short`(count: UInt64, text: String) {
        #expect(Format.count(count) == text)
    }

    @Test(arguments: [
        (0.0, "0"), (0.04, "0.0"), (0.44, "0.4"), (9.94, "9.9"), (9.96, "10"), (84.4, "84"), (12_311, "12.3k"),
    ])
    func `a rate below ten shows its fraction`(rate: Double, text: String) {
        #expect(Format.rate(rate) == text)
    }

    @Test(arguments: [nil, Double.nan, -Double.infinity, Double.infinity, -1])
    func `a rate that is not known is no number`(rate: Double?) {
        #expect(Format.rate(rate) == "?")
    }

    @Test(arguments: [
        (0, 100, "0"), (1, 100_000, "0.0"), (124, 1_000, "12.4"), (1, 3, "33.3"), (2, 3, "66.7"),
        (99_999, 100_000, "99.9"), (100, 100, "100"), (101, 100, "100"), (-5, 100, "0"), (5, 0, "?"), (5, -1, "?"),
        (Int64.max - 1, Int64.max, "99.9"), (Int64.max / 2, Int64.max, "50.0"),
    ])
    func `only all is 100 percent, only nothing is 0, and a share of nothing is unknown`(
        part: Int64, whole: Int64, text: String
    ) {
        #expect(Format.percent(Share(part, of: whole)) == text)
    }

    @Test
    func `bytes, ages, seconds and exact counts`() {
        #expect(Format.bytes(999) == "999 B")
        #expect(Format.bytes(1_234_567) == "1.23 MB")
        #expect(Format.bytes(.max) == "18446744 TB")
        #expect(Format.clock(83_000_000_000) == "00:01:23")
        #expect(Format.clock(273_906_000_000_000) == "3d 04:05:06")
        #expect(Format.clock(-1) == "00:00:00")
        #expect(Format.seconds(61_204_999_999) == "61.204")
        #expect(Format.seconds(-4_000_000) == "-0.004")
        #expect(Format.exact(0) == "0")
        #expect(Format.exact(1_000) == "1,000")
        #expect(Format.exact(1_002_003) == "1,002,003")
        #expect(Format.exact(.max) == "18,446,744,073,709,551,615")
    }

    @Test(arguments: [
        ("plain", 5), ("µs ±", 4), ("漢字", 4), ("e\u{301}", 1), ("😀", 2), ("", 0), ("ａ", 2), ("한", 2),
    ])
    func `the cells of a text`(text: String, cells: Int) {
        #expect(text.cells == cells)
    }

    @Test(arguments: [
        ("plain", 5, "plain"), ("plain", 4, "pla…"), ("plain", 1, "…"), ("plain", 0, ""), ("漢字漢", 5, "漢字…"),
        ("漢字漢", 4, "漢…"), ("e\u{301}e\u{301}e", 2, "e\u{301}…"),
    ])
    func `a text is cut by cells`(text: String, width: Int, expected: String) {
        #expect(text.cut(to: width) == expected)
        #expect(text.cut(to: width).cells <= width)
    }

    @Test(arguments: [
        ("\u{1b}[31m", "?[31m"), ("a\u{ad}b\u{61c}c", "a?b?c"), ("\u{e000}\u{e0041}", "??"),
        ("a\u{301}\u{301}\u{301}\u{301}", "a\u{301}\u{301}"), ("\u{301}a", "a"), ("漢", "漢"),
    ])
    func `nothing that steers a terminal or hides gets through`(text: String, expected: String) {
        #expect(text.screenText.unicodeScalars.elementsEqual(expected.unicodeScalars))
        #expect(text.screenText.screenText == text.screenText)
    }

    @Test
    func `words are wrapped, and a long one is cut`() {
        #expect("one two three".wrapped(to: 7) == ["one two", "three"])
        #expect("incomprehensibilities".wrapped(to: 7) == ["incomp…"])
        #expect("one".wrapped(to: 0) == [])
        #expect("".wrapped(to: 5) == [])
    }
}
