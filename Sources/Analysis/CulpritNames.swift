import TraceModel

/// Gives culprits their names: which of them are vCPUs, and of which machine.
struct CulpritNames {
    private let analyzer: Analyzer
    private let slotBySerial: [UInt32: Int]
    private let placeByMachine: [UInt32: Int]

    /// `machines` in the order in which the snapshot lists them.
    init(_ analyzer: Analyzer, machines: [Machine]) {
        self.analyzer = analyzer
        let listed = analyzer.vcpus.indices.filter { analyzer.vcpus[$0].phase != .free }
        slotBySerial = Dictionary(
            listed.map { (analyzer.vcpus[$0].serial, $0) }, uniquingKeysWith: { first, _ in first })
        placeByMachine = Dictionary(
            machines.enumerated().map { ($1.serial, $0) }, uniquingKeysWith: { first, _ in first })
    }

    /// Where the snapshot lists a machine.
    func place(ofMachine serial: UInt32) -> Int? { placeByMachine[serial] }

    /// By time, largest first; what the table could not keep as `other`, last.
    func rows(_ table: CulpritTable) -> [Snapshot.Culprit] {
        var rows = table.rows.map { culprit($0.occupant, count: $0.count, nanoseconds: $0.nanoseconds) }
        rows.sort { $0.isListedBefore($1) }
        if table.otherCount > 0 {
            rows.append(.other(count: table.otherCount, nanoseconds: table.otherNanoseconds))
        }
        return rows
    }

    func culprit(_ occupant: Occupant, count: UInt64, nanoseconds: Int64) -> Snapshot.Culprit {
        var row = Snapshot.Culprit(
            kind: .task, name: occupant.comm.isEmpty ? "tid \(occupant.tid)" : occupant.comm.text, tid: occupant.tid,
            count: count, nanoseconds: nanoseconds)
        if occupant.tid == Occupant.unknownTID {
            row.kind = .unknown
            row.name = "unknown"
        } else if isVCPU(occupant) {
            row.kind = .vcpu
            if let slot = slot(of: occupant) { describe(slot, in: &row) }
        } else if analyzer.kernelThreads.contains(occupant.tid, name: row.name) {
            row.kind = .kernel
        }
        return row
    }

    /// The place of the culprit's machine among the guests, when it is a vCPU of one that is listed.
    func place(of occupant: Occupant) -> Int? {
        guard isVCPU(occupant), let slot = slot(of: occupant) else { return nil }
        return placeByMachine[analyzer.vcpus[slot].machine]
    }

    /// Of the vCPU that it is, or turned out to be; 0 when it is none.
    func serial(of occupant: Occupant) -> UInt32 {
        occupant.vcpuSerial != 0 ? occupant.vcpuSerial : slot(of: occupant).map { analyzer.vcpus[$0].serial } ?? 0
    }

    private func isVCPU(_ occupant: Occupant) -> Bool { occupant.vcpuSerial != 0 || slot(of: occupant) != nil }

    private func slot(of occupant: Occupant) -> Int? {
        if occupant.vcpuSerial != 0 { return slotBySerial[occupant.vcpuSerial] }
        guard occupant.tid != Occupant.unknownTID else { return nil }
        // It may have had the CPU before it was known to be a vCPU.
        let slot = analyzer.slot(of: occupant.tid)
        return slot >= 0 && analyzer.vcpus[slot].comm == occupant.comm ? slot : nil
    }

    private func describe(_ slot: Int, in row: inout Snapshot.Culprit) {
        let vcpu = analyzer.vcpus[slot]
        row.guest = analyzer.machines[vcpu.machine]?.displayName
        row.vcpu = vcpu.number >= 0 ? Int(vcpu.number) : nil
    }
}

/// Who took time from the vCPUs of one machine: the sum of their tables, by thread and by machine.
struct GuestBlame {
    private struct Key: Hashable {
        let tid: Int32
        let vcpuSerial: UInt32
        let comm: Comm
    }

    private struct Cell: Hashable {
        let kind: Snapshot.Culprit.Kind
        let guest: Int?
    }

    private let names: CulpritNames
    private var threads: [Key: Snapshot.Culprit] = [:]
    private var cells: [Cell: Snapshot.Taken] = [:]
    private var otherCount: UInt64 = 0
    private var otherNanoseconds: Int64 = 0

    init(_ names: CulpritNames) { self.names = names }

    mutating func add(_ table: CulpritTable) {
        for row in table.rows {
            let occupant = row.occupant
            let named = names.culprit(occupant, count: row.count, nanoseconds: row.nanoseconds)
            let key = Key(tid: occupant.tid, vcpuSerial: names.serial(of: occupant), comm: occupant.comm)
            if threads[key] == nil {
                threads[key] = named
            } else {
                threads[key]?.count &+= row.count
                threads[key]?.nanoseconds &+= row.nanoseconds
            }
            add(Cell(kind: named.kind, guest: names.place(of: occupant)), row.count, row.nanoseconds)
        }
        guard table.otherCount > 0 else { return }
        otherCount &+= table.otherCount
        otherNanoseconds &+= table.otherNanoseconds
        add(Cell(kind: .unknown, guest: nil), table.otherCount, table.otherNanoseconds)
    }

    private mutating func add(_ cell: Cell, _ count: UInt64, _ nanoseconds: Int64) {
        cells[cell, default: Snapshot.Taken(kind: cell.kind, guest: cell.guest, count: 0, nanoseconds: 0)].count &+=
            count
        cells[cell]?.nanoseconds &+= nanoseconds
    }

    /// Largest first.
    var takenBy: [Snapshot.Taken] {
        cells.values.sorted {
            ($1.nanoseconds, $0.kind.rawValue, $0.guest ?? .max) < ($0.nanoseconds, $1.kind.rawValue, $1.guest ?? .max)
        }
    }

    /// Largest first, at most `Limits.culpritsPerGuest` and `other`.
    var culprits: [Snapshot.Culprit] {
        let sorted = threads.values.sorted { $0.isListedBefore($1) }
        var rows = Array(sorted.prefix(Limits.culpritsPerGuest))
        let rest = sorted.dropFirst(Limits.culpritsPerGuest)
        let count = rest.reduce(otherCount) { $0 &+ $1.count }
        guard count > 0 else { return rows }
        rows.append(.other(count: count, nanoseconds: rest.reduce(otherNanoseconds) { $0 &+ $1.nanoseconds }))
        return rows
    }
}

extension Snapshot.Culprit {
    /// In one word or two: `web1/0` for a vCPU, the name for anything else.
    var label: String {
        guard let guest else { return name }
        return vcpu.map { "\(guest)/\($0)" } ?? guest
    }

    fileprivate func isListedBefore(_ other: Snapshot.Culprit) -> Bool {
        // To the last difference: what is equal then is the same.
        if (nanoseconds, tid, name) != (other.nanoseconds, other.tid, other.name) {
            return (other.nanoseconds, tid, name) < (nanoseconds, other.tid, other.name)
        }
        return (guest ?? "", vcpu ?? -1, kind.rawValue, count)
            < (other.guest ?? "", other.vcpu ?? -1, other.kind.rawValue, other.count)
    }

    fileprivate static func other(count: UInt64, nanoseconds: Int64) -> Snapshot.Culprit {
        Snapshot.Culprit(
            kind: .unknown, name: "other", tid: Occupant.unknownTID, count: count, nanoseconds: nanoseconds)
    }
}
