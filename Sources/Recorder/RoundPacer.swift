/// How long to wait before the next round.
///
/// A wake-up costs the machine far more than an event does: timer interrupt, two switches, a write and the network's
/// interrupt, some sixteen events of its own each time. So a round should find enough events to be worth it, and still come
/// long before a ring buffer is full: the pacer aims at a number of events, between one millisecond and the longest wait
/// that the session allows (`--flush`). An idle machine is left alone; one with a quarter of a million events a second is
/// read every four milliseconds.
///
/// What a round found tells the rate, and the rate the next wait: at once when it must be shorter, doubling when it may be
/// longer, so that one quiet round in a busy stretch costs little.
package struct RoundPacer: Sendable {
    package static let shortestNanoseconds: Int64 = 1_000_000

    /// Events that a round should find when buffers are of the usual size.
    static let usualEvents = 1_024
    /// A full round of one busy CPU takes at most this part of its ring buffer.
    static let partOfBuffer = 8
    /// Bytes of an event in the ring buffer, measured with sched, irq and timer events (`tandem-bench wire`).
    static let eventBytes = 48

    private let longestNanoseconds: Int64
    private let eventsPerRound: Int64
    private var currentNanoseconds: Int64

    /// - Parameter longestMilliseconds: 1 and more; less is taken as 1.
    /// - Parameter bufferKiBPerCPU: the size of one CPU's ring buffer; small ones are read more often.
    package init(longestMilliseconds: Int, bufferKiBPerCPU: Int) {
        longestNanoseconds = max(RoundPacer.shortestNanoseconds, Int64(longestMilliseconds) * 1_000_000)
        let safe = max(0, bufferKiBPerCPU) * 1_024 / (RoundPacer.partOfBuffer * RoundPacer.eventBytes)
        eventsPerRound = Int64(min(max(safe, 1), RoundPacer.usualEvents))
        currentNanoseconds = RoundPacer.shortestNanoseconds
    }

    /// Nanoseconds until the next round, after one that found so many events and left some behind or did not.
    package mutating func next(events: Int, isBehind: Bool) -> Int64 {
        if isBehind {
            currentNanoseconds = RoundPacer.shortestNanoseconds
            return 0
        }
        let atThatRate = currentNanoseconds.multipliedReportingOverflow(by: eventsPerRound)
        let wanted = atThatRate.overflow ? longestNanoseconds : atThatRate.partialValue / Int64(max(events, 1))
        currentNanoseconds = min(
            max(min(wanted, currentNanoseconds * 2), RoundPacer.shortestNanoseconds), longestNanoseconds)
        return currentNanoseconds
    }
}
