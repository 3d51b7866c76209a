import TraceModel

/// Who took how much time from whom: the machines that waited as rows, whoever had their CPU as columns.
///
/// Rows and columns keep the snapshot's order, so that a machine's own vCPUs are the diagonal, as long as all of them are
/// to be shown; otherwise `leading` picks those that matter most since the start, which seldom changes.
struct Matrix {
    enum Taker: Hashable {
        case machine(Int)
        /// Machines that are not listed any more.
        case gone
        case tasks
        case kernel
        case unknown
    }

    struct Row {
        /// Index in `guests`.
        var machine: Int
        var times: [Taker: Int64]
        /// All that it waited.
        var waited: Int64
        /// All time of its vCPUs.
        var whole: Int64
        /// What it waited since the start.
        var rank: Int64
    }

    private(set) var rows: [Row]
    /// Machines first, in the snapshot's order; the others only when they took something since the start, except for the
    /// host's tasks and kernel, whose innocence is of interest.
    private(set) var takers: [Taker]
    /// Time that each took from all.
    private(set) var taken: [Taker: Int64] = [:]
    /// The same since the start.
    private var ranks: [Taker: Int64] = [:]
    let guests: [Snapshot.Guest]

    init(_ figures: TopFigures) {
        let guests = figures.current.guests
        self.guests = guests
        rows = guests.indices.map { index in
            let guest = guests[index]
            let earlier = figures.interval.before(guest)?.takenBy ?? []
            let now = StateShares(sum: figures.vcpus[index].map(\.shares))
            let all = StateShares(sum: guest.vcpus.map { StateShares(from: nil, to: $0.times) })
            let whole = now.total
            var row = Row(machine: index, times: [:], waited: 0, whole: whole, rank: 0)
            for cell in guest.takenBy {
                let before = earlier.first {
                    $0.kind == cell.kind
                        && Matrix.key($0, in: figures.interval.previous) == Matrix.key(cell, in: figures.current)
                }
                let time = Interval.difference(cell.nanoseconds, before?.nanoseconds ?? 0)
                let taker = Matrix.taker(cell, guests.count)
                row.times[taker] = HostSections.sum(row.times[taker] ?? 0, time)
                row.waited = HostSections.sum(row.waited, time)
                row.rank = HostSections.sum(row.rank, cell.nanoseconds)
            }
            // What is ready time and nobody's is not known; it is not nothing.
            let rest = Interval.difference(now.ready, row.waited)
            if rest > 0 { row.times[.unknown] = HostSections.sum(row.times[.unknown] ?? 0, rest) }
            row.waited = max(row.waited, now.ready)
            row.rank = max(row.rank, all.ready)
            return row
        }
        for row in rows {
            for (taker, time) in row.times { taken[taker] = HostSections.sum(taken[taker] ?? 0, time) }
            for cell in guests[row.machine].takenBy {
                let taker = Matrix.taker(cell, guests.count)
                ranks[taker] = HostSections.sum(ranks[taker] ?? 0, cell.nanoseconds)
            }
        }
        takers = guests.indices.map { .machine($0) }
        takers += [.tasks, .kernel]
        for taker: Taker in [.gone, .unknown] where (ranks[taker] ?? 0) > 0 || (taken[taker] ?? 0) > 0 {
            takers.append(taker)
        }
    }

    private static func taker(_ cell: Snapshot.Taken, _ machines: Int) -> Taker {
        switch cell.kind {
        case .vcpu: cell.guest.map { (0..<machines).contains($0) ? .machine($0) : .gone } ?? .gone
        case .task: .tasks
        case .kernel: .kernel
        case .unknown: .unknown
        }
    }

    private static func key(_ cell: Snapshot.Taken, in snapshot: Snapshot?) -> GuestKey? {
        guard let index = cell.guest, let snapshot, snapshot.guests.indices.contains(index) else { return nil }
        return GuestKey(snapshot.guests[index])
    }

    /// The greatest single cell.
    var greatest: Int64 { rows.flatMap(\.times.values).max() ?? 0 }

    /// At most `count` takers: all that are no machines, and the machines that took most since the start.
    func leadingTakers(_ count: Int) -> [Taker] {
        guard takers.count > count else { return takers }
        let others = takers.filter { if case .machine = $0 { false } else { true } }
        let machines = takers.filter { if case .machine = $0 { true } else { false } }
        return Matrix.leading(machines, by: { ranks[$0] ?? 0 }, max(0, count - others.count)) + others
    }

    /// Those that waited at all since the start, most first, when there are more rows than `count`; otherwise all rows.
    func leadingRows(_ count: Int) -> [Row] {
        guard rows.count > count else { return rows }
        let waiting = rows.filter { $0.rank > 0 }
        return Matrix.leading(waiting, by: \.rank, waiting.count)
    }

    private static func leading<Element>(_ all: [Element], by rank: (Element) -> Int64, _ count: Int) -> [Element] {
        all.enumerated().sorted { (rank($1.element), $0.offset) < (rank($0.element), $1.offset) }
            .prefix(count).map(\.element)
    }

    /// Who took from whom, most first; what a machine's vCPUs took from each other too.
    var pairs: [(row: Row, taker: Taker, time: Int64)] {
        rows.flatMap { row in row.times.filter { $0.value > 0 }.map { (row, $0.key, $0.value) } }
            .sorted { a, b in
                (b.2, a.0.machine, position(a.1)) < (a.2, b.0.machine, position(b.1))
            }
    }

    private func position(_ taker: Taker) -> Int {
        switch taker {
        case .machine(let index): index
        case .gone: guests.count
        case .tasks: guests.count + 1
        case .kernel: guests.count + 2
        case .unknown: guests.count + 3
        }
    }

    func name(_ taker: Taker) -> String {
        switch taker {
        case .machine(let index): guests[index].name
        case .gone: "ended VMs"
        case .tasks: "host tasks"
        case .kernel: "kernel"
        case .unknown: "unknown"
        }
    }
}
