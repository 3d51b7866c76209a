import Recorder
import Testing

/// Paces rounds of a machine with so many events a second until the wait is steady; milliseconds.
private func check(eventsPerSecond: Double, bufferKiB: Int = 4_096, flush: Int = 20) -> Double {
    var pacer = RoundPacer(longestMilliseconds: flush, bufferKiBPerCPU: bufferKiB)
    var wait = RoundPacer.shortestNanoseconds
    for _ in 0..<50 { wait = pacer.next(events: Int(Double(wait) / 1e9 * eventsPerSecond), isBehind: false) }
    return Double(wait) / 1e6
}

struct `Rounds come` {
    @Test func `as seldom as the session allows when little happens`() {
        #expect(check(eventsPerSecond: 0) == 20)
        #expect(check(eventsPerSecond: 20_000) == 20)
        #expect(check(eventsPerSecond: 20_000, flush: 100) > 45)
    }

    @Test func `with about a thousand events each when much happens`() {
        let milliseconds = check(eventsPerSecond: 250_000)
        #expect((3.5...4.5).contains(milliseconds), "\(milliseconds) ms")
    }

    @Test func `never closer than a millisecond`() {
        #expect(check(eventsPerSecond: 50_000_000) == 1)
    }

    @Test(arguments: [64, 256, 1_024, 4_096])
    func `long before a small buffer is full`(bufferKiB: Int) {
        let eventsPerSecond = 100_000.0
        let bytes = check(eventsPerSecond: eventsPerSecond, bufferKiB: bufferKiB) / 1e3 * eventsPerSecond * 48
        #expect(bytes < Double(bufferKiB * 1_024) / 7, "\(bytes) bytes in a round")
    }

    @Test func `at once after a burst, and slower again step by step`() {
        var pacer = RoundPacer(longestMilliseconds: 20, bufferKiBPerCPU: 4_096)
        for _ in 0..<10 { _ = pacer.next(events: 0, isBehind: false) }
        #expect(pacer.next(events: 20_000, isBehind: false) < 2_000_000)
        #expect(pacer.next(events: 0, isBehind: false) < 4_000_000)
        #expect(pacer.next(events: 60_000, isBehind: true) == 0)
        #expect(pacer.next(events: 0, isBehind: false) == 2_000_000)
    }
}
