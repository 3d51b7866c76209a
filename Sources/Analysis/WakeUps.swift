import TraceModel

/// How the halts of one vCPU ended, and what ended them.
struct WakeUps: Sendable, Codable {
    typealias Reason = Snapshot.WakeUpReason.Reason

    private(set) var polled: UInt64 = 0
    private(set) var slept: UInt64 = 0
    private var counts: [5 of UInt64] = .init(repeating: 0)
    private var halted: [5 of Int64] = .init(repeating: 0)
    /// The end of the last halt, as long as better evidence may come: its place in the lists above, and its length.
    private var last = -1
    private var lastHalted: Int64 = 0

    mutating func ended(by reason: Reason, after nanoseconds: Int64, slept: Bool) {
        if slept { self.slept &+= 1 } else { polled &+= 1 }
        last = reason.place
        lastHalted = nanoseconds
        counts[last] &+= 1
        halted[last] &+= nanoseconds
    }

    /// What the waker's context said, `unknown` after a poll; nil when the question is settled.
    var openReason: Reason? { last < 0 ? nil : Reason.allCases[last] }

    /// Evidence that is better than the waker's context; the first piece of it counts.
    mutating func settle(_ reason: Reason) {
        guard last >= 0 else { return }
        counts[last] &-= 1
        halted[last] &-= lastHalted
        counts[reason.place] &+= 1
        halted[reason.place] &+= lastHalted
        last = -1
    }

    /// The next halt begins: no evidence that comes from here on is about the last one.
    mutating func close() { last = -1 }

    /// Most frequent first.
    var rows: [Snapshot.WakeUpReason] {
        Reason.allCases.filter { counts[$0.place] > 0 }.map {
            Snapshot.WakeUpReason(reason: $0, count: counts[$0.place], haltedNanoseconds: halted[$0.place])
        }.sorted { ($1.count, $0.reason.place) < ($0.count, $1.reason.place) }
    }
}

extension Snapshot.WakeUpReason.Reason {
    fileprivate var place: Int {
        switch self {
        case .timer: 0
        case .ipi: 1
        case .disk: 2
        case .net: 3
        case .unknown: 4
        }
    }
}

/// What the interrupt vectors of one machine mean, learned while it runs.
///
/// A guest gives its devices vectors as it likes, and the numbers of its timer and IPIs changed between kernels (x86
/// Linux's local timer was 239, now it is 236), so nothing is assumed: a vector means what the context told that
/// delivered it when there was one, and serves where there is none, as after halt polling or with posted interrupts.
struct LearnedVectors: Sendable, Codable {
    private var reasons: [256 of UInt8] = .init(repeating: UInt8.max)

    mutating func teach(_ vector: UInt8, _ reason: WakeUps.Reason) {
        guard reason != .unknown else { return }
        reasons[Int(vector)] = UInt8(truncatingIfNeeded: WakeUps.Reason.allCases.firstIndex(of: reason) ?? 255)
    }

    subscript(_ vector: UInt8) -> WakeUps.Reason? {
        let place = Int(reasons[Int(vector)])
        return place < WakeUps.Reason.allCases.count ? WakeUps.Reason.allCases[place] : nil
    }
}
