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
    /// The interrupt that woke it, or else the first that reached it since; -1 before that.
    private var firstVector: Int16 = -1

    /// `vector` is the interrupt that is known to have woken it.
    mutating func ended(by reason: Reason, after nanoseconds: Int64, slept: Bool, vector: UInt8? = nil) {
        if slept { self.slept &+= 1 } else { polled &+= 1 }
        last = reason.place
        lastHalted = nanoseconds
        firstVector = vector.map(Int16.init) ?? -1
        counts[last] &+= 1
        halted[last] &+= nanoseconds
    }

    /// What the waker's context said, `unknown` after a poll; nil when the question is settled, or an interrupt has come.
    var openReason: Reason? { last < 0 || firstVector >= 0 ? nil : Reason.allCases[last] }

    /// Whether the guest's own word would still be heard.
    var isOpen: Bool { last >= 0 }

    /// The first interrupt after the halt, and what is known of its reason now.
    mutating func reached(by vector: UInt8, _ reason: Reason) {
        firstVector = Int16(vector)
        change(to: reason)
    }

    /// The guest's own word, better than the waker's context and than any vector; the first piece of it counts. Returns the
    /// vector that it explains.
    mutating func settle(_ reason: Reason) -> UInt8? {
        guard last >= 0 else { return nil }
        change(to: reason)
        last = -1
        return UInt8(exactly: firstVector)
    }

    private mutating func change(to reason: Reason) {
        counts[last] &-= 1
        halted[last] &-= lastHalted
        last = reason.place
        counts[last] &+= 1
        halted[last] &+= lastHalted
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
/// delivered it when there was one, or the guest's own report, and serves where there is none, as after halt polling or with
/// posted interrupts.
///
/// Two interrupts can come at once, and then the wrong one is taught: a vector means what it was taught most (Boyer and
/// Moore's majority vote, one candidate and its lead).
struct LearnedVectors: Sendable, Codable {
    private var reasons: [256 of UInt8] = .init(repeating: UInt8.max)
    private var leads: [256 of UInt8] = .init(repeating: 0)

    /// What `context` says is taught; where it says nothing, the vector answers.
    mutating func reason(of vector: UInt8, context: WakeUps.Reason) -> WakeUps.Reason {
        guard context == .unknown else {
            teach(vector, context)
            return context
        }
        let place = Int(reasons[Int(vector)])
        return place < WakeUps.Reason.allCases.count ? WakeUps.Reason.allCases[place] : .unknown
    }

    private mutating func teach(_ vector: UInt8, _ reason: WakeUps.Reason) {
        let vector = Int(vector)
        if Int(reasons[vector]) == reason.place {
            if leads[vector] < .max { leads[vector] += 1 }
        } else if leads[vector] > 1 {
            leads[vector] -= 1
        } else {
            reasons[vector] = UInt8(truncatingIfNeeded: reason.place)
            leads[vector] = 1
        }
    }
}
