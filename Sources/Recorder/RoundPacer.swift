/// How long to wait before the next round.
///
/// Short while events come, so that they are on the host's screen within milliseconds; doubling while there are none, so
/// that an idle guest is left alone. A handful of events counts as none: reading makes some itself (the reader's own
/// wake-ups and switches), and a pace that followed them would never calm down.
package struct RoundPacer: Sendable {
    package static let shortestNanoseconds: Int64 = 1_000_000
    /// Rounds with fewer events than this are idle: reader and sender that wake for a round make about sixteen of their own
    /// (for each: waking, wakeup, switch in and out; the timer's and the network's interrupts with their soft ones).
    package static let idleEvents = 64

    private let longestNanoseconds: Int64
    private var currentNanoseconds: Int64

    package init(longestMilliseconds: Int) {
        longestNanoseconds = max(RoundPacer.shortestNanoseconds, Int64(longestMilliseconds) * 1_000_000)
        currentNanoseconds = RoundPacer.shortestNanoseconds
    }

    /// Nanoseconds until the next round.
    package mutating func next(events: Int, isBehind: Bool) -> Int64 {
        if isBehind {
            currentNanoseconds = RoundPacer.shortestNanoseconds
            return 0
        }
        if events < RoundPacer.idleEvents {
            currentNanoseconds = min(longestNanoseconds, currentNanoseconds * 2)
        } else {
            currentNanoseconds = max(RoundPacer.shortestNanoseconds, currentNanoseconds / 2)
        }
        return currentNanoseconds
    }
}
