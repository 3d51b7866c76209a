import Testing
import Timeline
import TraceModel

/// What two traces prove of a guest's clock by entries, exits and events alone: the thread, and a map that keeps the law.
struct EvidenceTests {
    /// What is told of the host is not all that it did.
    enum Damage: CaseIterable {
        case none
        /// Now and then some hundred crossings in a row, and it is said where.
        case losses
        /// One in three, entries and exits alike, and nothing is said: a filter.
        case filter
        /// The guest's clock goes ahead in the middle.
        case step
    }

    /// A thread that ran a vCPU, others that ran others', and what the vCPU's guest wrote.
    struct Machine {
        static let thread: Int32 = 42
        var clock = SimulatedClock()
        var host = ClockSurvey()
        var guest = ClockSurvey()
        /// When, since the start, each event was.
        var truth: [(instant: Double, ticks: TraceTicks)] = []
        let length: Double

        init(_ random: inout Random, _ damage: Damage, length: Double = 6e9) {
            self.length = length
            clock.hostStart = Int64.random(in: 10_000_000_000...(20 * 365 * 86_400_000_000_000), using: &random)
            clock.guestStart = UInt64.random(in: 10_000_000_000...(20 * 365 * 86_400_000_000_000), using: &random)
            clock.driftPPM = Double.random(in: -100...100, using: &random)
            clock.wanderPPM = Double.random(in: 0...4, using: &random)
            clock.wanderPeriod = Double.random(in: 5e9...200e9, using: &random)
            if damage == .step { clock.step = (at: length / 2, ticks: 300_000_000) }
            for tid in [Self.thread - 1, Self.thread, Self.thread + 1] { run(tid, &random, damage) }
            for start in stride(from: 0, to: truth.count, by: 500) {
                guest.addTimes(of: batch(ticks: truth[start..<min(start + 500, truth.count)].map(\.ticks)))
            }
        }

        private mutating func run(_ tid: Int32, _ random: inout Random, _ damage: Damage) {
            var now = 0.0
            var isLosing = 0
            var last: UInt64 = 0
            while now < length {
                now += Double.random(in: 2e3...1e6, using: &random) * (random.chance(0.02) ? 20 : 1)
                let entry = now
                now += Double.random(in: 3e3...2e6, using: &random)
                if tid == Self.thread {
                    let instants = (0..<Int.random(in: 0...4, using: &random)).map { _ in
                        Double.random(in: entry..<now, using: &random)
                    }
                    truth += instants.sorted().map { ($0, clock.ticks($0)) }
                }
                for (instant, isEntry) in [(entry, true), (now, false)] {
                    let time = UInt64(clock.host(instant).nanoseconds)
                    if damage == .losses, isLosing == 0, random.chance(0.002) {
                        isLosing = Int.random(in: 1...300, using: &random)
                        host.lost(at: last)
                    }
                    last = time
                    if isLosing > 0 {
                        isLosing -= 1
                        if isLosing == 0 { host.lost(at: time) }
                        continue
                    }
                    if damage == .filter, random.chance(0.33) { continue }
                    if isEntry { host.entered(tid, at: time) } else { host.left(tid, at: time, number: nil) }
                }
            }
        }

        /// Where the guest's clock begins, as badly as wall clocks tell.
        func guess(_ random: inout Random) -> Int64 {
            clock.hostStart - Int64(clock.guestStart) + Int64.random(in: -1_500_000_000...1_500_000_000, using: &random)
        }

        /// The thread, and the proved clock.
        func proof(_ random: inout Random) -> (tid: Int32, clock: GivenClock?)? {
            let threads = host.threads
            var free = threads
            let matches = ThreadMatch.all(guest.times, among: &free, guess: guess(&random))
            guard let match = matches.first, let thread = threads[match.tid] else { return nil }
            let evidence = GuestSync.evidence(match, guest.times[0] ?? [], thread)
            return (match.tid, GuestSync.clock(evidence, method: "test"))
        }

        /// Checks the law for every event; gives the bounds that are known, and when the events were.
        func bounds(_ given: GivenClock, _ seed: UInt64) throws -> [(instant: Double, bound: Int64)] {
            var map = ClockMap(clock: .mono)
            map.learn(.given(given))
            var bounds: [(instant: Double, bound: Int64)] = []
            for (instant, ticks) in truth {
                let placed = try #require(map.hostTime(ticks, cpu: 0))
                guard placed.boundNanoseconds < GivenClock.Knot.unknownBoundNanoseconds else { continue }
                let error = abs(placed.time - clock.host(instant))
                #expect(error <= placed.boundNanoseconds, "seed \(seed) at \(instant)")
                bounds.append((instant, placed.boundNanoseconds))
            }
            return bounds
        }
    }

    @Test(arguments: 0..<12 as Range<UInt64>, Damage.allCases)
    func `the true error is within the bound that entries and exits prove, whatever is missing`(
        seed: UInt64, damage: Damage
    ) throws {
        var random = Random(seed: seed)
        // A clock that is set anew is followed over five seconds before it is believed.
        let machine = Machine(&random, damage, length: damage == .step ? 13e9 : 6e9)
        let proof = machine.proof(&random)
        guard damage != .filter || proof?.clock != nil else { return }
        let found = try #require(proof, "seed \(seed)")
        #expect(found.tid == Machine.thread, "seed \(seed)")
        let bounds = try machine.bounds(try #require(found.clock, "seed \(seed)"), seed)
        guard damage != .filter else { return }
        let sorted = bounds.map(\.bound).sorted()
        try #require(!sorted.isEmpty, "seed \(seed)")
        // Two clocks that may wander by 10 ppm, and events that are some microseconds from an entry or exit.
        #expect(sorted[sorted.count / 2] < 20_000, "seed \(seed)")
        if damage == .step {
            #expect(bounds.contains { $0.instant < machine.length / 2 }, "seed \(seed)")
            #expect(bounds.contains { $0.instant > machine.length / 2 + 1e9 }, "seed \(seed)")
        }
    }

    @Test
    func `of a long trace some seconds are kept, and prove nothing wrong at their edges`() throws {
        var random = Random(seed: 5)
        var machine = Machine(&random, .none, length: 9e9)
        // A second thread that crosses all the time makes the survey thin itself out.
        for index in 0..<(2 * Limits.surveyedTimes) {
            machine.host.entered(7, at: UInt64(machine.clock.hostStart) + UInt64(index) * 4_000)
        }
        let found = try #require(machine.proof(&random))
        #expect(found.tid == Machine.thread)
        #expect(try machine.bounds(try #require(found.clock), 5).count == machine.truth.count)
    }

    @Test
    func `losses are told by the events around them, in one batch or over two`() throws {
        func windows(_ batches: [EventBatch]) -> [UInt64] {
            var survey = ClockSurvey()
            survey.entered(1, at: 10)
            survey.left(1, at: 20, number: nil)
            for batch in batches { survey.addLosses(of: batch) { $0.rawValue } }
            survey.entered(1, at: 50)
            survey.left(1, at: 60, number: nil)
            return survey.threads[1]?.spans.filter(\.isKnown).flatMap { [$0.entry, $0.exit] } ?? []
        }
        func host(_ ticks: [UInt64], lossAt index: Int?) -> EventBatch {
            var host = batch(ticks: ticks.map { TraceTicks($0) })
            host.losses = index.map { [LossMark(index: $0, place: .ringBuffer, count: 1)] } ?? []
            return host
        }
        #expect(windows([host([20, 50], lossAt: nil)]) == [10, 20, 50, 60])
        // A stay that was lost as a whole may have been anywhere from the last exit on.
        #expect(windows([host([20, 50], lossAt: 1)]) == [10, 20, 20, 60])
        #expect(windows([host([20], lossAt: 1), host([50], lossAt: nil)]) == [10, 20, 20, 60])
        #expect(windows([host([20], lossAt: nil), host([50], lossAt: 0)]) == [10, 20, 20, 60])
    }

    @Test
    func `a map of unknown error says so wherever it is asked`() throws {
        let unknown = GivenClock.Knot.unknownBoundNanoseconds
        let knots = [(1_000, 50), (2_000, unknown), (3_000, 50)].map { ticks, bound in
            GivenClock.Knot(
                ticks: TraceTicks(UInt64(ticks)), host: HostTime(nanoseconds: Int64(ticks) + 500),
                boundNanoseconds: bound)
        }
        var map = ClockMap(clock: .mono)
        map.learn(.given(GivenClock(knots: knots, nanosecondsPerTick: 1, method: "test")))
        for (ticks, isKnown) in [(900, true), (1_500, false), (2_500, false), (3_100, true)] {
            let found = map.place(batch(ticks: [TraceTicks(UInt64(ticks))]), from: SourceID(1))
            let placed = try #require(found)
            #expect(placed.times == [HostTime(nanoseconds: Int64(ticks) + 500)])
            #expect((placed.boundNanoseconds < unknown) == isKnown, "\(ticks)")
            #expect(map.status.quality == (isKnown ? "bounded" : "estimated"))
            #expect((map.status.boundNanoseconds >= 0) == isKnown)
        }
    }
}
