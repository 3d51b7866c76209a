import TraceModel

/// The tasks of one guest, and what became of the time that their own scheduler gave them.
///
/// At most `Limits.tasksPerGuest`: a guest that forks all day makes rows all day. When a row is needed and none is free,
/// the lightest of sixteen that no CPU holds makes room and goes into `others`, and the next search goes on from there:
/// constant work, and a heavy task stays.
struct GuestTasks: Sendable, Codable {
    /// The task is not known.
    static let unknownRow: Int32 = -1
    /// The idle task of the CPU: thread 0.
    static let idleRow: Int32 = -2
    /// There was no room.
    static let othersRow: Int32 = -3
    private static let candidates = 16

    struct Row: Sendable, Codable {
        var tid: Int32
        var comm: Comm
        var cpu: Int32 = -1
        /// CPUs that it is current on: 1 or 0, and more only when events are missing.
        var holders = 0
        var switches: UInt64 = 0
        var migrations: UInt64 = 0
        var times: [10 of Int64] = .init(repeating: 0)
        var exits = TaskExits()
        var worst: Int64 = 0
        var worstAt: Int64 = 0
        var total: Int64 = 0
        var uncertain: Int64 = 0
        /// It said that it exits, and may yet lose its CPU and come back to say it is dead.
        var isEnding = false

        /// The sum of both; for `others`.
        mutating func add(_ row: inout Row) {
            for state in 0..<10 { times[state] &+= row.times[state] }
            total &+= row.total
            uncertain &+= row.uncertain
            switches &+= row.switches
            migrations &+= row.migrations
            exits.add(&row.exits)
            if row.worst > worst {
                worst = row.worst
                worstAt = row.worstAt
            }
        }

        /// `inout`, as in the functions around: what is only lent is copied first, some 300 bytes at every switch.
        mutating func add(_ piece: inout Overlay) {
            for state in 0..<10 {
                times[state] &+= piece.times[state]
                total &+= piece.times[state]
            }
            exits.add(&piece.exits)
            uncertain &+= piece.uncertainInside &+ piece.uncertainOutside
            if piece.worst > worst {
                worst = piece.worst
                worstAt = piece.worstAt
            }
        }
    }

    private(set) var rows: [Row] = []
    private(set) var others = Row(tid: -1, comm: Comm("others"))
    private var rowByTID = ThreadTable()
    private var hand = 0

    /// The row of a task that comes onto `cpu`.
    mutating func enter(_ tid: Int32, _ comm: Comm, on cpu: Int32, countsMigrations: Bool) -> Int32 {
        guard tid != 0 else { return Self.idleRow }
        let row = Int(row(of: tid, comm))
        guard row >= 0 else { return Self.othersRow }
        if !comm.isEmpty { rows[row].comm = comm }
        rows[row].switches &+= 1
        rows[row].holders += 1
        if countsMigrations, rows[row].cpu >= 0, rows[row].cpu != cpu { rows[row].migrations &+= 1 }
        rows[row].cpu = cpu
        return Int32(row)
    }

    /// What a vCPU did while the task was current.
    mutating func add(_ piece: inout Overlay, to row: Int32) {
        if row >= 0 {
            rows[Int(row)].add(&piece)
        } else if row == Self.othersRow {
            others.add(&piece)
        }
    }

    /// The task leaves its CPU.
    mutating func leave(_ row: Int32) {
        if row >= 0 { rows[Int(row)].holders -= 1 }
    }

    @inline(__always)
    func cpu(of tid: Int32) -> Int32 {
        let row = rowByTID[tid]
        return row < 0 ? -1 : rows[Int(row)].cpu
    }

    mutating func migrated(_ tid: Int32) {
        let row = rowByTID[tid]
        if row >= 0 { rows[Int(row)].migrations &+= 1 }
    }

    /// The thread is dead, or its id is known to be another one's: the next that has it is another row.
    mutating func ended(_ tid: Int32) { rowByTID.remove(tid) }

    /// The thread exits. It runs on, and can be preempted, until a switch tells that it is dead.
    mutating func ending(_ tid: Int32) {
        let row = rowByTID[tid]
        if row >= 0 { rows[Int(row)].isEnding = true }
    }

    private mutating func row(of tid: Int32, _ comm: Comm) -> Int32 {
        let known = rowByTID[tid]
        if known >= 0 {
            // Its death was missed, and somebody of another name has its id.
            let isAnother = rows[Int(known)].isEnding && !comm.isEmpty && comm != rows[Int(known)].comm
            if !isAnother { return known }
            rowByTID.remove(tid)
        }
        let row: Int
        if rows.count < Limits.tasksPerGuest {
            row = rows.count
            rows.append(Row(tid: tid, comm: comm))
        } else {
            guard let lightest = lightestNearby() else { return Self.othersRow }
            row = lightest
            others.add(&rows[row])
            if rowByTID[rows[row].tid] == Int32(row) { rowByTID.remove(rows[row].tid) }
            rows[row] = Row(tid: tid, comm: comm)
        }
        if tid != -1 { rowByTID.set(tid, Int32(row)) }
        return Int32(row)
    }

    private mutating func lightestNearby() -> Int? {
        var lightest: Int?
        for _ in 0..<Self.candidates {
            hand = (hand + 1) % rows.count
            guard rows[hand].holders == 0 else { continue }
            if let best = lightest, rows[best].total <= rows[hand].total { continue }
            lightest = hand
        }
        return lightest
    }
}
