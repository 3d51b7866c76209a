import TraceModel

/// Exits of one vCPU by reason: how many, and the time on a host CPU from the exit until the next entry.
///
/// Reasons are sparse (SVM's nested page fault is 0x400, its VMGEXIT codes begin at 0x8000_0001), so rows are found
/// through a small open hash table of row numbers. Rows never move: the state machine keeps the one of the exit that is
/// being handled. Allocates only when a new reason appears.
struct ExitTable: Sendable, Codable {
    struct Row: Sendable, Codable {
        var exit: ExitCode
        var count: UInt64
        var nanoseconds: Int64
    }

    /// No exit is being handled, or none is known.
    static let noRow = -1
    /// The sum of the reasons for which there was no room.
    private static let otherRow = -2
    private static let freeSlot = UInt8.max

    private(set) var rows: [Row] = []
    /// How long the handling of each row's exits took.
    private var handlings: [Distribution] = []
    private(set) var other = Row(exit: ExitCode(reason: 0, isa: .none), count: 0, nanoseconds: 0)
    private(set) var total: UInt64 = 0
    /// Row numbers, at least as many slots as twice the rows; a power of two.
    private var slots: [UInt8] = []

    init() {}

    /// Counts one exit and returns its row.
    mutating func count(_ exit: ExitCode) -> Int {
        total &+= 1
        if !slots.isEmpty {
            var slot = home(of: exit)
            while slots[slot] != Self.freeSlot {
                let row = Int(slots[slot])
                if rows[row].exit == exit {
                    rows[row].count &+= 1
                    return row
                }
                slot = (slot + 1) & (slots.count - 1)
            }
        }
        return insert(exit)
    }

    /// Adds time to a row that `count` returned; without a row, nothing.
    mutating func add(_ nanoseconds: Int64, to row: Int) {
        if row >= 0 {
            rows[row].nanoseconds += nanoseconds
        } else if row == Self.otherRow {
            other.nanoseconds += nanoseconds
        }
    }

    /// An exit was handled to its end, the next entry.
    mutating func handled(_ row: Int, in nanoseconds: Int64, since start: Int64) {
        if row >= 0 { handlings[row].add(nanoseconds, since: start) }
    }

    func handling(of row: Int) -> Snapshot.Durations? { handlings[row].summary }

    /// No exit will come any more.
    mutating func seal() {
        for row in handlings.indices { handlings[row].seal() }
    }

    func exit(of row: Int) -> ExitCode? { rows.indices.contains(row) ? rows[row].exit : nil }

    private mutating func insert(_ exit: ExitCode) -> Int {
        // Row numbers are bytes, 255 is the mark of a free slot; `Limits.exitReasonsPerVCPU` is 128.
        guard rows.count < min(Limits.exitReasonsPerVCPU, Int(Self.freeSlot)) else {
            other.count &+= 1
            return Self.otherRow
        }
        rows.append(Row(exit: exit, count: 1, nanoseconds: 0))
        handlings.append(Distribution(.coarse))
        if rows.count * 2 > slots.count {
            slots = [UInt8](repeating: Self.freeSlot, count: max(16, slots.count * 2))
            for row in rows.indices { enter(row) }
        } else {
            enter(rows.count - 1)
        }
        return rows.count - 1
    }

    private mutating func enter(_ row: Int) {
        var slot = home(of: rows[row].exit)
        while slots[slot] != Self.freeSlot { slot = (slot + 1) & (slots.count - 1) }
        slots[slot] = UInt8(row)
    }

    /// Fibonacci hashing: neighbouring reasons, which are the common case, land far apart.
    private func home(of exit: ExitCode) -> Int {
        let product = (UInt64(exit.reason) &+ UInt64(exit.isa.rawValue) << 32) &* 0x9e37_79b9_7f4a_7c15
        return Int(product >> 32) & (slots.count - 1)
    }
}
