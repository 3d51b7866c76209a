import TraceModel

/// What the number in `prev_state` of `sched_switch` means on one kernel.
///
/// The kernel reports zero for a runnable task, or, when it was preempted rather than yielding, the one bit above all
/// that it reports (`TASK_REPORT_MAX`, shown as `R+`). Which bit that is has changed: 0x100 since Linux 4.14, 0x400 or
/// more before. The event's own format tells: its table of flags ends with the highest reported one.
struct PreviousState: Sendable, Codable {
    /// `R+`.
    let preemptedBit: Int64
    /// `X` and `Z`: the task will never run again.
    let deadBits: Int64

    /// Since Linux 4.14 (include/linux/sched.h: `TASK_REPORT_MAX`, `EXIT_DEAD`, `EXIT_ZOMBIE`).
    static let recent = PreviousState(preemptedBit: 0x100, deadBits: 0x30)

    private init(preemptedBit: Int64, deadBits: Int64) {
        self.preemptedBit = preemptedBit
        self.deadBits = deadBits
    }

    /// Reads the entries `{ 0x01, "S" }` behind the first `__print_flags` of a `sched_switch` format.
    ///
    /// Anything that does not look like such a table (another tracer's format has none) means the recent numbers.
    init(formatText: String) {
        var flags: [(bit: Int64, letter: UInt8)] = []
        var scanner = FlagScanner(formatText)
        if scanner.skip(past: "__print_flags") {
            while let flag = scanner.nextFlag() { flags.append(flag) }
        }
        guard let highest = flags.map(\.bit).max(), highest >= 0x40, highest < 1 << 32,
            highest & (highest - 1) == 0
        else {
            self = .recent
            return
        }
        let dead = flags.filter { [UInt8(ascii: "X"), UInt8(ascii: "x"), UInt8(ascii: "Z")].contains($0.letter) }
        self.init(preemptedBit: highest << 1, deadBits: dead.reduce(0) { $0 | $1.bit })
    }

    func isRunnable(_ state: Int64) -> Bool { state == 0 || state & preemptedBit != 0 }

    /// `S` and nothing else (`TASK_INTERRUPTIBLE`, 1 in every kernel).
    func isInterruptible(_ state: Int64) -> Bool { state & 1 != 0 }

    func isDead(_ state: Int64) -> Bool { state & deadBits != 0 }
}

/// Walks over `{ NUMBER, "LETTER" }` entries. The text comes from a guest or a file: every step is checked.
private struct FlagScanner {
    private var rest: Substring.UTF8View

    init(_ text: String) { rest = Substring(text).utf8 }

    mutating func skip(past word: String) -> Bool {
        let pattern = Array(word.utf8)
        while !rest.isEmpty {
            if rest.starts(with: pattern) {
                rest = rest.dropFirst(pattern.count)
                return true
            }
            rest = rest.dropFirst()
        }
        return false
    }

    /// The next entry; nil at the end of the table, which is its closing parenthesis outside of any other.
    mutating func nextFlag() -> (bit: Int64, letter: UInt8)? {
        while let byte = rest.first {
            rest = rest.dropFirst()
            if byte == UInt8(ascii: ":") { return nil }  // `… { 0x80, "I" }) : "R"` ends the table.
            guard byte == UInt8(ascii: "{") else { continue }
            skipSpaces()
            guard let bit = number(), rest.first == UInt8(ascii: ",") else { return nil }
            rest = rest.dropFirst()
            skipSpaces()
            guard rest.first == UInt8(ascii: "\"") else { return nil }
            rest = rest.dropFirst()
            guard let letter = rest.first else { return nil }
            return (bit, letter)
        }
        return nil
    }

    private mutating func skipSpaces() {
        while rest.first == UInt8(ascii: " ") { rest = rest.dropFirst() }
    }

    private mutating func number() -> Int64? {
        let digits = rest.prefix { byte in
            (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
                || byte == UInt8(ascii: "x")
        }
        rest = rest[digits.endIndex...]
        let text = String(decoding: digits, as: UTF8.self)
        return text.hasPrefix("0x") ? Int64(text.dropFirst(2), radix: 16) : Int64(text)
    }
}
