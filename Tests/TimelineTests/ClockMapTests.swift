import Testing
import Timeline
import TraceModel

struct ClockMapTests {
    /// The usual machine of these tests: a guest clock `offset` behind the host's, 20 µs there and back.
    func probe(at host: Int64, offset: Int64 = 1_000_000, halfTrip: Int64 = 10_000, answering: Int64 = 5_000)
        -> ClockProbe
    {
        let received = TraceTicks(UInt64(host + halfTrip - offset))
        return ClockProbe(
            hostSent: HostTime(nanoseconds: host), guestReceived: received,
            guestSent: TraceTicks(received.rawValue + UInt64(answering)),
            hostReceived: HostTime(nanoseconds: host + 2 * halfTrip + answering))
    }

    @Test
    func `the round trip does not contain the guest's time to answer`() {
        #expect(probe(at: 5_000_000, answering: 3_000_000).roundTripNanoseconds() == 20_000)
    }

    @Test
    func `a host's own ticks are host time, exactly`() throws {
        var map = ClockMap(clock: .mono, identity: true)
        let placing = map.place(batch(ticks: [7, 8, 8].map(TraceTicks.init)), from: .host)
        let placed = try #require(placing)
        #expect(placed.times.map(\.nanoseconds) == [7, 8, 8])
        #expect(placed.boundNanoseconds == 0)
        #expect(map.status.quality == "exact")
        #expect(map.hostTime(TraceTicks(.max))?.time.nanoseconds == .max)
    }

    @Test
    func `an unknown clock places nothing`() {
        var map = ClockMap(clock: .monoRaw)
        #expect(map.place(batch(ticks: [TraceTicks(5)]), from: SourceID(1)) == nil)
        #expect(map.hostTime(TraceTicks(5)) == nil)
        #expect(map.watermark(TraceTicks(5)) == nil)
        #expect(map.nanosecondsPerTick == nil)
        #expect(map.status.quality == "absent")
    }

    @Test
    func `one probe maps a nanosecond clock, with half the round trip as bound`() throws {
        var map = ClockMap(clock: .monoRaw)
        #expect(map.add(probe(at: 100_000_000)) == .used)
        let status = map.status
        #expect(status.quality == "bounded")
        #expect(abs(status.offsetNanoseconds - 1_000_000) <= status.boundNanoseconds)
        #expect((10_000...10_020).contains(status.boundNanoseconds))
    }

    @Test
    func `a cycle counter is mapped once its rate is known`() throws {
        var map = ClockMap(clock: .x86TSC)
        func add(at host: Int64) {
            let outcome = map.add(
                ClockProbe(
                    hostSent: HostTime(nanoseconds: host), guestReceived: TraceTicks(UInt64(host + 10_000) * 3),
                    guestSent: TraceTicks(UInt64(host + 11_000) * 3),
                    hostReceived: HostTime(nanoseconds: host + 21_000)))
            #expect(outcome == .used)
        }
        add(at: 1_000_000)
        #expect(map.status.quality == "absent")
        add(at: 101_000_000)
        #expect(map.status.quality == "bounded")
        let rate = try #require(map.nanosecondsPerTick)
        #expect(abs(rate * 3 - 1) < 0.001)
        let placed = try #require(map.hostTime(TraceTicks(101_015_000 * 3)))
        #expect(abs(placed.time.nanoseconds - 101_015_000) <= placed.boundNanoseconds)
    }

    @Test
    func `drift is measured, and faster guests have more of it`() {
        var map = ClockMap(clock: .monoRaw)
        for second in 0..<60 as Range<Int64> {
            let host = second * 1_000_000_000
            // 50 µs a second: the guest gains on the host.
            #expect(map.add(probe(at: host + 10_000_000, offset: -second * 50_000)) == .used)
        }
        #expect(abs(map.status.driftPPM - 50) < 1)
    }

    @Test
    func `a probe that contradicts itself teaches nothing`() {
        var map = ClockMap(clock: .monoRaw)
        _ = map.add(probe(at: 100_000_000))
        let before = map.status
        var backwards = probe(at: 200_000_000)
        swap(&backwards.guestReceived, &backwards.guestSent)
        #expect(map.add(backwards) == .contradictory)
        var early = probe(at: 200_000_000)
        early.hostReceived = HostTime(nanoseconds: 199_999_999)
        #expect(map.add(early) == .contradictory)
        var claim = probe(at: 200_000_000)
        claim.guestSent = TraceTicks(claim.guestSent.rawValue + 1_000_000)
        #expect(map.add(claim) == .contradictory)
        #expect(map.status == before)
    }

    @Test
    func `a contradiction opens an epoch that rests on the new probe alone`() throws {
        var map = ClockMap(clock: .monoRaw)
        for second in 1...20 as ClosedRange<Int64> { _ = map.add(probe(at: second * 1_000_000_000)) }
        #expect(map.add(probe(at: 21_000_000_000, offset: 4_000_000)) == .newEpoch)
        #expect(map.epoch == 1)
        #expect(abs(map.status.offsetNanoseconds - 4_000_000) <= map.status.boundNanoseconds)
        // What was read before the step still goes by the old line, what was read after it by the new.
        let old = try #require(map.hostTime(TraceTicks(19_000_000_000 - 1_000_000)))
        #expect(abs(old.time.nanoseconds - 19_000_000_000) <= old.boundNanoseconds)
        #expect(old.boundNanoseconds < 50_000)
    }

    @Test
    func `the bound grows while no probe comes`() throws {
        var map = ClockMap(clock: .monoRaw)
        for second in 1...60 as ClosedRange<Int64> { _ = map.add(probe(at: second * 1_000_000_000)) }
        let bounds = [0, 1, 10, 60, 600, 86_400].map { (seconds: UInt64) in
            map.hostTime(TraceTicks(60_000_000_000 + seconds * 1_000_000_000))?.boundNanoseconds ?? 0
        }
        #expect(zip(bounds, bounds.dropFirst()).allSatisfy(<), "\(bounds)")
        #expect(bounds[1] < 15_000)
    }

    @Test
    func `frequent probes do not shorten the memory of the rate`() throws {
        var map = ClockMap(clock: .monoRaw)
        for index in 1...3_000 as ClosedRange<Int64> { _ = map.add(probe(at: index * 10_000_000)) }
        let ahead = try #require(map.hostTime(TraceTicks(40_000_000_000)))
        // Ten seconds on: the wander, and the rate known to a round trip in thirty seconds.
        #expect(ahead.boundNanoseconds < 10_000 + 10_000 + 10_000)
    }

    @Test(arguments: 0..<100 as Range<UInt64>)
    func `no reading traps, however hostile`(seed: UInt64) {
        var random = Random(seed: seed)
        func wild() -> UInt64 {
            let choices: [UInt64] = [
                0, 1, .max, 1 << 63, 1 << 62, random.next(), random.next() >> 20, 60_000_000_000,
            ]
            return choices.randomElement(using: &random) ?? 0
        }
        for clock in [TraceClock.monoRaw, .x86TSC] {
            var map = ClockMap(clock: clock)
            for _ in 0..<30 {
                _ = map.add(
                    ClockProbe(
                        hostSent: HostTime(nanoseconds: Int64(bitPattern: wild())), guestReceived: TraceTicks(wild()),
                        guestSent: TraceTicks(wild()), hostReceived: HostTime(nanoseconds: Int64(bitPattern: wild()))))
                if random.chance(0.3) { _ = map.add(probe(at: Int64.random(in: 1...9, using: &random) << 30)) }
                _ = map.hostTime(TraceTicks(wild()))
                _ = map.watermark(TraceTicks(wild()))
                let placed = map.place(
                    batch(
                        cpu: random.chance(0.1) ? Int(bitPattern: UInt(wild())) : 0,
                        ticks: (0..<4).map { _ in TraceTicks(wild()) }),
                    from: SourceID(1))
                if let times = placed?.times { #expect(times == times.sorted()) }
                _ = map.status
            }
        }
    }

    @Test
    func `equal probes give equal maps`() throws {
        var random = Random(seed: 1)
        let clock = SimulatedClock(hostStart: 5_000_000_000, guestStart: 77, driftPPM: 30)
        let link = SimulatedLink(toGuest: 8_000, toHost: 12_000, jitter: 100_000)
        let probes = (0..<200).compactMap { link.probe(clock, at: Double($0) * 3e8, &random) }
        var maps = [ClockMap(clock: .mono), ClockMap(clock: .mono)]
        for probe in probes { for index in maps.indices { _ = maps[index].add(probe) } }
        #expect(maps[0].status == maps[1].status)
        let ticks = TraceTicks(61_000_000_000)
        #expect(try #require(maps[0].hostTime(ticks)) == #require(maps[1].hostTime(ticks)))
    }
}
