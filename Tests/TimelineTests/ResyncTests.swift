import Testing
import Timeline
import TraceModel

/// A map made afterwards keeps the law, and is better than the one that was live.
struct ResyncTests {
    @Test(arguments: 0..<40 as Range<UInt64>)
    func `the true error is within the bound of a map made afterwards, everywhere in the log`(seed: UInt64) throws {
        var random = Random(seed: seed)
        var clock = SimulatedClock()
        clock.hostStart = Int64.random(in: 0...(20 * 365 * 86_400_000_000_000), using: &random)
        clock.guestStart = UInt64.random(in: 0...(20 * 365 * 86_400_000_000_000), using: &random)
        let isTSC = random.chance(0.5)
        clock.frequency = isTSC ? Double.random(in: 0.6...5, using: &random) : 1
        clock.driftPPM = Double.random(in: -200...200, using: &random)
        clock.wanderPPM = Double.random(in: 0...0.45, using: &random)
        clock.wanderPeriod = Double.random(in: 20e9...200e9, using: &random)
        let steps = !isTSC && random.chance(0.4)
        if steps { clock.step = (at: 60.3e9, ticks: 5_000_000_000) }
        let link = SimulatedLink(
            toGuest: Double.random(in: 1_000..<50_000, using: &random),
            toHost: Double.random(in: 1_000..<50_000, using: &random), jitter: 50_000, lostShare: 0.05)
        var map = ClockMap(clock: isTSC ? .x86TSC : .monoRaw)
        map.keepJournal()
        var now = 0.0
        var live: [Int64] = []
        while now < 120e9 {
            now += Double.random(in: 1e8...1e9, using: &random)
            if let probe = link.probe(clock, at: now, &random) { _ = map.add(probe) }
            // Half a second after a probe: where live events lie.
            if let bound = map.hostTime(clock.ticks(now + 5e8))?.boundNanoseconds { live.append(bound) }
        }
        #expect(map.epoch == (steps ? 1 : 0), "seed \(seed)")
        let given = try #require(map.resynced, "seed \(seed)")
        var after = ClockMap(clock: isTSC ? .x86TSC : .monoRaw)
        after.learn(.given(given))
        var bounds: [Int64] = []
        for _ in 0..<2_000 {
            let instant = Double.random(in: 0...now, using: &random)
            let placed = try #require(after.hostTime(clock.ticks(instant), cpu: 0))
            #expect(
                abs(placed.time - clock.host(instant)) <= placed.boundNanoseconds, "seed \(seed) at \(instant)")
            bounds.append(placed.boundNanoseconds)
        }
        live.sort()
        bounds.sort()
        #expect(bounds[bounds.count / 2] <= live[live.count / 2] * 21 / 20, "seed \(seed)")
    }

    @Test
    func `what is exact is left alone, and what was not measured has no map`() {
        var map = ClockMap(clock: .monoRaw)
        #expect(map.resynced == nil)
        map.keepJournal()
        #expect(map.resynced == nil)
        var host = ClockMap(clock: .monoRaw, identity: true)
        host.keepJournal()
        #expect(host.resynced == nil)
    }
}
