import Testing
import Timeline
import TraceModel

/// Windows of guest mode, and what they make of a map.
struct EntryBoundsTests {
    func time(_ nanoseconds: Int64) -> HostTime { HostTime(nanoseconds: nanoseconds) }

    func check(_ windows: GuestModeWindows, _ range: ClosedRange<Int64>, is expected: ClosedRange<Int64>?) {
        var windows = windows
        let narrowed = windows.narrowed(time(range.lowerBound)...time(range.upperBound))
        #expect(narrowed == expected.map { time($0.lowerBound)...time($0.upperBound) }, "\(range)")
    }

    @Test
    func `a range is cut down to the windows that it touches`() {
        var windows = GuestModeWindows()
        windows.left(at: time(100))
        windows.entered(at: time(200))
        windows.left(at: time(300))
        windows.entered(at: time(400))
        // Before the first event it may have been inside.
        check(windows, 50...60, is: 50...60)
        check(windows, 50...150, is: 50...100)
        check(windows, 150...250, is: 200...250)
        check(windows, 150...350, is: 200...300)
        check(windows, 110...500, is: 200...500)
        check(windows, 101...199, is: nil)
        check(windows, 301...399, is: nil)
        check(windows, 450...1_000_000, is: 450...1_000_000)
    }

    @Test
    func `where an event may be missing the vCPU may have been inside`() {
        var windows = GuestModeWindows()
        windows.left(at: time(100))
        windows.lost()
        windows.entered(at: time(400))
        windows.left(at: time(500))
        check(windows, 200...300, is: 200...300)
        // An exit without an entry.
        windows.left(at: time(700))
        check(windows, 600...650, is: 600...650)
        // An entry without an exit.
        windows.entered(at: time(800))
        windows.entered(at: time(900))
        windows.left(at: time(950))
        check(windows, 840...860, is: 840...860)
        check(windows, 960...970, is: nil)
    }

    /// Stays of 50 every 100 from 1,000 on, of which only some entries and exits are told.
    private func partial(_ count: Int, entries: Bool, exits: Bool) -> GuestModeWindows {
        var windows = GuestModeWindows()
        var random = Random(seed: 7)
        windows.left(at: time(0))
        for start in stride(from: Int64(1_000), to: 1_000 + Int64(count) * 100, by: 100) {
            if !entries || random.next() % 3 > 0 { windows.entered(at: time(start)) }
            if !exits || random.next() % 3 > 0 { windows.left(at: time(start + 50)) }
        }
        return windows
    }

    @Test(arguments: [(true, false), (false, true)])
    func `entries alone or exits alone that are missing make windows longer, and never a gap`(
        entries: Bool, exits: Bool
    ) {
        var windows = partial(500, entries: entries, exits: exits)
        #expect(!windows.arePartial)
        for start in stride(from: Int64(1_000), to: 51_000, by: 100) {
            #expect(windows.narrowed(time(start + 25)...time(start + 25)) != nil)
        }
    }

    @Test
    func `where entries and exits are missing by turns no gap is believed`() {
        #expect(!partial(20, entries: true, exits: true).arePartial, "an accident or two are none")
        var windows = partial(500, entries: true, exits: true)
        #expect(windows.arePartial)
        check(windows, 1_060...1_090, is: 1_060...1_090)
        windows.left(at: time(60_000))
        windows.entered(at: time(70_000))
        check(windows, 65_000...66_000, is: 65_000...66_000)
    }

    @Test
    func `forgetting old windows changes nothing after them`() {
        var windows = GuestModeWindows()
        windows.left(at: time(0))
        for start in stride(from: Int64(100), to: 100_000, by: 100) {
            windows.entered(at: time(start))
            windows.left(at: time(start + 50))
        }
        windows.forget(before: time(50_000))
        check(windows, 60_060...60_090, is: nil)
        check(windows, 60_010...60_160, is: 60_010...60_150)
    }

    @Test
    func `in forgotten windows the vCPU may have been inside at any time`() {
        var windows = GuestModeWindows()
        windows.left(at: time(0))
        for start in stride(from: Int64(100), to: 100_000, by: 100) {
            windows.entered(at: time(start))
            windows.left(at: time(start + 50))
        }
        check(windows, 10_060...10_090, is: nil)
        check(windows, 49_960...50_030, is: 50_000...50_030)
        windows.forget(before: time(50_000))
        check(windows, 10_060...10_090, is: 10_060...10_090)
        check(windows, 10_060...50_030, is: 10_060...50_030)
        check(windows, 49_960...50_030, is: 50_000...50_030)
        #expect(windows.insideUntil(time(10_060)) == time(10_060))
    }

    @Test
    func `an exit without an entry after all windows are forgotten makes the time between them doubtful`() {
        var windows = GuestModeWindows()
        for start in stride(from: Int64(100), to: 100_000, by: 100) {
            windows.entered(at: time(start))
            windows.left(at: time(start + 50))
        }
        windows.forget(before: time(200_000))
        windows.left(at: time(300_000))
        check(windows, 250_000...260_000, is: 250_000...260_000)
        check(windows, 300_001...400_000, is: nil)
    }

    /// A vCPU that runs for 0.1 to 2 ms, then is away for 2 µs to 5 ms, and writes events while it runs.
    @Test(arguments: 0..<60 as Range<UInt64>)
    func `entries and exits make a measured map far better, and keep the law`(seed: UInt64) throws {
        var random = Random(seed: seed)
        var clock = SimulatedClock()
        clock.hostStart = Int64.random(in: 0...(20 * 365 * 86_400_000_000_000), using: &random)
        clock.guestStart = UInt64.random(in: 0...(20 * 365 * 86_400_000_000_000), using: &random)
        clock.driftPPM = Double.random(in: -200...200, using: &random)
        clock.wanderPPM = Double.random(in: 0...0.45, using: &random)
        let link = SimulatedLink(toGuest: 80_000, toHost: 30_000, jitter: 100_000)
        let latency = Double.random(in: 100...400, using: &random)
        var map = ClockMap(clock: .monoRaw)
        var windows = GuestModeWindows()
        var now = 0.0
        var nextProbe = 0.0
        var bounds: [Int64] = []
        while now < 3e9 {
            if now >= nextProbe {
                nextProbe += 1e9
                for index in 0..<8 {
                    if let probe = link.probe(clock, at: now + Double(index) * 3e5, &random) { _ = map.add(probe) }
                }
            }
            windows.entered(at: clock.host(now))
            let end = now + Double.random(in: 1e5...2e6, using: &random)
            var instants = (0..<20).map { _ in Double.random(in: now + latency...end - latency, using: &random) }
                .sorted()
            instants.insert(now + latency + Double.random(in: 0...300, using: &random), at: 0)
            instants.append(end - latency - Double.random(in: 0...300, using: &random))
            instants.sort()
            windows.left(at: clock.host(end))
            now = end + Double.random(in: 2e3...5e6, using: &random)
            let events = batch(ticks: instants.map(clock.ticks))
            let outcome = map.narrow(events, to: &windows, knownBefore: clock.host(now))
            #expect(outcome == .used, "seed \(seed)")
            guard let placed = map.place(events, from: SourceID(1)) else { continue }
            for (time, instant) in zip(placed.times, instants) {
                #expect(abs(time - clock.host(instant)) <= placed.boundNanoseconds, "seed \(seed) at \(instant)")
            }
            if now > 1e9 { bounds.append(map.status.boundNanoseconds) }
        }
        bounds.sort()
        // Twice the latency of entry and exit, and the tail of what comes on top.
        #expect(try #require(bounds.isEmpty ? nil : bounds[bounds.count / 2]) <= Int64(latency) + 150, "seed \(seed)")
        #expect(map.status.estimators == ["probes", "entries"])
        #expect(map.epoch == 0)
    }

    @Test
    func `a clock that was stepped puts events where its vCPU was away, and is lost until the next probe`() {
        let clock = SimulatedClock(hostStart: 0, guestStart: 1_000_000_000)
        var random = Random(seed: 1)
        let link = SimulatedLink(toGuest: 1_000, toHost: 1_000, jitter: 100)
        var map = ClockMap(clock: .monoRaw)
        var windows = GuestModeWindows()
        if let probe = link.probe(clock, at: 1e6, &random) { _ = map.add(probe) }
        windows.left(at: clock.host(0))
        for start in stride(from: 2e6, to: 9e6, by: 1e6) {
            windows.entered(at: clock.host(start))
            windows.left(at: clock.host(start + 1e5))
        }
        let right = (0..<16).map { clock.ticks(3e6 + Double($0) * 1e3) }
        let rightOutcome = map.narrow(batch(ticks: right), to: &windows, knownBefore: clock.host(9e6))
        #expect(rightOutcome == .used)
        // Half a millisecond off: between two windows.
        let stepped = (0..<32).map { clock.ticks(4.5e6 + Double($0) * 1e3) }
        let steppedOutcome = map.narrow(batch(ticks: stepped), to: &windows, knownBefore: clock.host(9e6))
        #expect(steppedOutcome == .newEpoch)
        #expect(map.needsProbe)
        let unplaced = map.place(batch(ticks: stepped), from: SourceID(1))
        #expect(unplaced == nil)
        if let probe = link.probe(clock, at: 1e7, &random) { _ = map.add(probe) }
        #expect(!map.needsProbe)
        #expect(map.epoch == 1)
    }

    /// A machine is paused from second 5 to 8, as QEMU does it: its nanosecond clock stands still, and KVM tells when it
    /// goes on.
    @Test
    func `a pause that KVM tells is mapped from its end on, by the first probe after it`() throws {
        var clock = SimulatedClock(hostStart: 0, guestStart: 1_000_000_000_000)
        var random = Random(seed: 2)
        let link = SimulatedLink(toGuest: 10_000, toHost: 10_000, jitter: 1_000)
        var map = ClockMap(clock: .monoRaw)
        for second in [1.0, 2, 3, 4] {
            if let probe = link.probe(clock, at: second * 1e9, &random) { _ = map.add(probe) }
        }
        let before = [4.5e9, 4.9e9].map(clock.ticks)
        clock.step = (at: 8e9, ticks: -3_000_000_000)
        let resumed = clock.host(8e9)
        let isDisturbed = map.disturbed(at: resumed, quietSince: clock.host(5e9), by: .masterClock)
        #expect(isDisturbed)
        #expect(map.needsProbe)
        let after = [8.01e9, 8.02e9].map(clock.ticks)
        #expect(map.count(of: batch(ticks: after), before: clock.host(9e9)) == nil)
        let probe = try #require(link.probe(clock, at: 8.1e9, &random))
        let outcome = map.add(probe)
        #expect(outcome == .used)
        #expect(map.epoch == 1)
        let placing = map.place(batch(ticks: before + after), from: SourceID(1))
        let placed = try #require(placing)
        for (time, instant) in zip(placed.times, [4.5e9, 4.9e9, 8.01e9, 8.02e9]) {
            #expect(abs(time - clock.host(instant)) <= placed.boundNanoseconds, "\(instant)")
        }
        // One probe tells no rate, and the oldest event is a tenth of a second away.
        #expect(placed.boundNanoseconds < 100_000)
    }
}
