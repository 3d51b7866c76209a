import Testing
import Timeline
import TraceModel

/// The one law of the clock map, on hundreds of simulated machines: the true error is within the stated bound.
struct ClockLawTests {
    struct Machine {
        var clock: SimulatedClock
        var link: SimulatedLink
        var traceClock: TraceClock

        init(_ random: inout Random) {
            traceClock = random.chance(0.3) ? .x86TSC : random.chance(0.5) ? .monoRaw : .mono
            clock = SimulatedClock()
            clock.hostStart = Int64.random(in: 0...(20 * 365 * 86_400_000_000_000), using: &random)
            clock.guestStart = UInt64.random(in: 0...(20 * 365 * 86_400_000_000_000), using: &random)
            clock.frequency = traceClock == .x86TSC ? Double.random(in: 0.6...5, using: &random) : 1
            clock.driftPPM = Double.random(in: -200...200, using: &random)
            clock.wanderPPM = Double.random(in: 0...(traceClock == .mono ? 4.5 : 0.45), using: &random)
            clock.wanderPeriod = Double.random(in: 5e9...200e9, using: &random)
            link = SimulatedLink(
                toGuest: Double.random(in: 1_000..<50_000, using: &random),
                toHost: Double.random(in: 1_000..<50_000, using: &random),
                jitter: [1_000, 20_000, 500_000, 50_000_000].randomElement(using: &random) ?? 1_000,
                lostShare: random.chance(0.3) ? 0.5 : 0.02)
        }
    }

    /// How far the map is off at `elapsed`, and what it says it can be.
    func deviation(_ map: ClockMap, _ clock: SimulatedClock, at elapsed: Double) -> (true: Int64, bound: Int64)? {
        guard let placed = map.hostTime(clock.ticks(elapsed)) else { return nil }
        return (abs(placed.time - clock.host(elapsed)), placed.boundNanoseconds)
    }

    @Test(arguments: 0..<300 as Range<UInt64>)
    func `the true error is within the stated bound, before, between and after the probes`(seed: UInt64) {
        var random = Random(seed: seed)
        let machine = Machine(&random)
        var map = ClockMap(clock: machine.traceClock)
        var now = 0.0
        var mapped = 0
        for index in 0..<100 {
            // A burst at the start, then about two a second, with silences.
            now += index < 8 ? 2e6 : Double.random(in: 1e8...9e8, using: &random) * (random.chance(0.03) ? 20 : 1)
            if let probe = machine.link.probe(machine.clock, at: now, &random) {
                #expect(map.add(probe) == .used, "seed \(seed)")
            }
            for _ in 0..<4 {
                let elapsed = max(0, now + Double.random(in: -5e9...3e9, using: &random))
                guard let error = deviation(map, machine.clock, at: elapsed) else { continue }
                mapped += 1
                #expect(error.true <= error.bound, "seed \(seed), probe \(index), \(elapsed - now) ns from it")
            }
        }
        #expect(mapped > 300)
        #expect(map.epoch == 0)
    }

    @Test(arguments: 0..<60 as Range<UInt64>)
    func `placed batches keep the law although the map moves under them`(seed: UInt64) throws {
        var random = Random(seed: seed)
        let machine = Machine(&random)
        var map = ClockMap(clock: machine.traceClock)
        var now = 0.0
        var last = [HostTime](repeating: HostTime(nanoseconds: .min), count: 2)
        var promised = HostTime(nanoseconds: .min)
        for round in 0..<200 {
            let end = now + Double.random(in: 1e6...3e7, using: &random)
            if round % 5 == 0, let probe = machine.link.probe(machine.clock, at: now, &random) { _ = map.add(probe) }
            for cpu in 0..<2 {
                let instants = (0..<5).map { _ in Double.random(in: now..<end, using: &random) }.sorted()
                let events = batch(cpu: cpu, ticks: instants.map(machine.clock.ticks))
                guard let placed = map.place(events, from: SourceID(1)) else { continue }
                for (time, instant) in zip(placed.times, instants) {
                    let wrong = abs(time - machine.clock.host(instant))
                    #expect(wrong <= placed.boundNanoseconds, "seed \(seed), round \(round)")
                    #expect(time >= last[cpu] && time >= promised, "seed \(seed), round \(round)")
                    last[cpu] = time
                }
            }
            if let watermark = map.watermark(machine.clock.ticks(end)) {
                #expect(watermark >= promised)
                promised = watermark
            }
            now = end
        }
        #expect(last[0].nanoseconds > 0)
    }

    @Test(arguments: 0..<5 as Range<UInt64>)
    func `a rate that wanders far in an hour breaks nothing, near the probes or far from them`(seed: UInt64) {
        var random = Random(seed: seed)
        var machine = Machine(&random)
        machine.traceClock = .monoRaw
        machine.clock.frequency = 1
        // 5 ppm within half an hour, and never more than 1 ppm within the horizon.
        machine.clock.wanderPPM = 2.5
        machine.clock.wanderPeriod = 3_600e9
        machine.link.jitter = 20_000
        var map = ClockMap(clock: .monoRaw)
        for second in stride(from: 0.0, to: 3_600, by: 3) {
            let now = second * 1e9
            if let probe = machine.link.probe(machine.clock, at: now, &random) { #expect(map.add(probe) == .used) }
            for far in [0.5e9, 60e9, -60e9, 1_000e9, -1_000e9] where now + far > 0 {
                guard let deviation = deviation(map, machine.clock, at: now + far) else { continue }
                #expect(deviation.true <= deviation.bound, "seed \(seed): \(far) ns from \(second) s")
            }
        }
        #expect(map.epoch == 0)
    }

    @Test(arguments: 0..<60 as Range<UInt64>)
    func `the bound is close to half of the best round trip`(seed: UInt64) throws {
        var random = Random(seed: seed)
        var machine = Machine(&random)
        machine.link.lostShare = 0
        machine.link.jitter = min(machine.link.jitter, 500_000)
        var map = ClockMap(clock: machine.traceClock)
        var best: Int64 = .max
        for index in 0..<60 {
            let now = Double(index) * 5e8
            let probe = try #require(machine.link.probe(machine.clock, at: now, &random))
            _ = map.add(probe)
            if index >= 56 {
                let tick = 1 / machine.clock.frequency
                best = min(best, probe.roundTripNanoseconds(nanosecondsPerTick: tick))
            }
        }
        let half = Double(best) / 2
        // Two seconds since the best one at most; the rate is known to twice the wander and the round trip over 30 s.
        let wanderPPM = ClockTolerance.standard(for: machine.traceClock).wanderPPM
        let allowance = 2.5e9 * (2 * wanderPPM * 1e-6 + half * 4 / 30e9) + 10
        let error = try #require(deviation(map, machine.clock, at: 60 * 5e8))
        #expect(Double(error.bound) <= half + allowance, "seed \(seed): half \(half)")
    }

    @Test(arguments: 0..<100 as Range<UInt64>)
    func `a step opens one epoch, after which the law holds again`(seed: UInt64) {
        var random = Random(seed: seed)
        var machine = Machine(&random)
        machine.link.lostShare = 0
        machine.link.jitter = min(machine.link.jitter, 20_000)
        machine.clock.guestStart += 400_000_000_000_000
        let size = Double.random(in: 5e6...3.6e12, using: &random) * machine.clock.frequency
        machine.clock.step = (at: 20.2e9, ticks: Int64(size) * (random.chance(0.5) ? 1 : -1))
        var map = ClockMap(clock: machine.traceClock)
        var now = 0.0
        while now < 40e9 {
            now += 5e8
            let before = map.epoch
            guard let probe = machine.link.probe(machine.clock, at: now, &random) else { continue }
            let outcome = map.add(probe)
            #expect(outcome == (map.epoch == before ? .used : .newEpoch), "seed \(seed)")
            #expect(map.epoch == (now < 20.2e9 ? 0 : 1), "seed \(seed) at \(now)")
            let ahead = now + Double.random(in: 0...4e8, using: &random)
            // The step itself cannot be known before a probe has seen it.
            guard now > 20.2e9 || ahead < 20.2e9, let error = deviation(map, machine.clock, at: ahead) else { continue }
            #expect(error.true <= error.bound, "seed \(seed) at \(now)")
        }
    }

    @Test(arguments: 0..<40 as Range<UInt64>)
    func `events under way when a step is noticed keep the law`(seed: UInt64) {
        var random = Random(seed: seed)
        var machine = Machine(&random)
        machine.traceClock = .monoRaw
        machine.clock.frequency = 1
        machine.clock.wanderPPM = 0
        machine.link.lostShare = 0
        machine.link.jitter = 10_000
        // Forwards only: after a step back, one reading stands for two instants.
        machine.clock.step = (at: 9.75e9, ticks: Int64.random(in: 5_000_000...3_600_000_000_000, using: &random))
        var map = ClockMap(clock: .monoRaw)
        for now in stride(from: 0.0, through: 10e9, by: 5e8) {
            if let probe = machine.link.probe(machine.clock, at: now, &random) { _ = map.add(probe) }
        }
        #expect(map.epoch == 1)
        for _ in 0..<20 {
            let instant = Double.random(in: 9e9...10.4e9, using: &random)
            guard let deviation = deviation(map, machine.clock, at: instant) else { continue }
            #expect(deviation.true <= deviation.bound, "seed \(seed) at \(instant)")
        }
        let instants = (0..<50).map { _ in Double.random(in: 9e9...10.4e9, using: &random) }.sorted()
        let placed = map.place(batch(ticks: instants.map(machine.clock.ticks)), from: SourceID(1))
        #expect(placed != nil)
        for (time, instant) in zip(placed?.times ?? [], instants) {
            #expect(abs(time - machine.clock.host(instant)) <= placed?.boundNanoseconds ?? 0, "seed \(seed)")
        }
    }
}
