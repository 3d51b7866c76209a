import TraceModel

/// Who is on a host CPU.
struct Occupant: Sendable, Codable {
    static let unknownTID: Int32 = -1

    var tid: Int32
    /// The vCPU whose thread it is; 0 when it is none.
    var vcpuSerial: UInt32
    var comm: Comm

    static let unknown = Occupant(tid: unknownTID, vcpuSerial: 0, comm: Comm())

    /// The idle task. Every CPU has one, `swapper/N`; as a reason to wait they are one and the same.
    static let idle = Occupant(tid: 0, vcpuSerial: 0, comm: Comm("swapper"))

    /// Who is to blame for the waiting of others.
    ///
    /// Not asked of the host CPU: for that the compiler would copy the CPU, with counted references to its lists.
    var culprit: Occupant { tid == 0 ? .idle : self }
}

/// Who had the CPU while one vCPU was ready, and for how long: a short table that keeps the heaviest.
///
/// When it is full the lightest row makes room and goes into `other`: on a host that compiles, thousands of short-lived
/// threads pass by, and the row of a lasting culprit must not depend on having come first. The sum over all rows and
/// `other` is exact always; a single row is a lower bound once anything is in `other`.
struct CulpritTable: Sendable, Codable {
    struct Row: Sendable, Codable {
        var occupant: Occupant
        /// Ready intervals in which it had the CPU at some time.
        var count: UInt64
        var nanoseconds: Int64
        /// The ready interval that was counted last.
        var interval: UInt32
    }

    private(set) var rows: [Row] = []
    /// The thread ids of `rows`, apart, because every look-up scans them.
    private var tids: [Int32] = []
    private(set) var otherCount: UInt64 = 0
    private(set) var otherNanoseconds: Int64 = 0

    mutating func add(_ nanoseconds: Int64, of occupant: Occupant, interval: UInt32) {
        for index in tids.indices where tids[index] == occupant.tid && rows[index].isSame(occupant) {
            rows[index].nanoseconds += nanoseconds
            if rows[index].interval != interval {
                rows[index].interval = interval
                rows[index].count &+= 1
            }
            return
        }
        let row = Row(occupant: occupant, count: 1, nanoseconds: nanoseconds, interval: interval)
        if rows.count < Limits.culpritsPerVCPU {
            rows.append(row)
            tids.append(occupant.tid)
            return
        }
        guard let lightest = rows.indices.min(by: { rows[$0].nanoseconds < rows[$1].nanoseconds }) else { return }
        otherCount &+= rows[lightest].count
        otherNanoseconds += rows[lightest].nanoseconds
        rows[lightest] = row
        tids[lightest] = occupant.tid
    }

    /// Some of the time given to `occupant` turns out to be nobody's. What has left its row since stays in `other`.
    mutating func takeBack(_ nanoseconds: Int64, from occupant: Occupant, interval: UInt32) {
        guard let row = rows.firstIndex(where: { $0.occupant.tid == occupant.tid && $0.nanoseconds >= nanoseconds })
        else { return }
        rows[row].nanoseconds -= nanoseconds
        if rows[row].nanoseconds == 0 {
            rows.remove(at: row)
            tids.remove(at: row)
        }
        add(nanoseconds, of: .unknown, interval: interval)
    }
}

extension CulpritTable.Row {
    /// Whether `candidate` is the thread of this row; its thread id already is.
    ///
    /// Thread ids are used again: another name or another vCPU is another thread. A thread can be seen first without its
    /// name, or before it is known to be a vCPU; then what is missing is filled in.
    fileprivate mutating func isSame(_ candidate: Occupant) -> Bool {
        if occupant.vcpuSerial != 0, occupant.vcpuSerial == candidate.vcpuSerial { return true }
        let sameName = occupant.comm == candidate.comm || occupant.comm.isEmpty || candidate.comm.isEmpty
        let sameVCPU =
            occupant.vcpuSerial == candidate.vcpuSerial || occupant.vcpuSerial == 0 || candidate.vcpuSerial == 0
        guard sameName, sameVCPU else { return false }
        if occupant.comm.isEmpty { occupant.comm = candidate.comm }
        if occupant.vcpuSerial == 0 { occupant.vcpuSerial = candidate.vcpuSerial }
        return true
    }
}
