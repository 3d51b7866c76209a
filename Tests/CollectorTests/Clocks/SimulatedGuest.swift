import TraceModel

/// A guest of which everything is known: when its clock was read, on which vCPU, and by what it was set, paused and delayed.
///
/// Instants are nanoseconds of the host since the simulation's start. Clocks run with a constant drift and a slow wander
/// within `ClockTolerance`; readings are rounded down, as those of real clocks are.
struct SimulatedGuest {
    enum Clock: Equatable {
        /// Measured, in nanoseconds. KVM's setting of it is told by `kvm_update_master_clock`.
        case nanoseconds(TraceClock)
        /// A TSC that nobody told anything about but its changes.
        case cycles
        /// A TSC of which debugfs told everything.
        case known
    }

    struct Step {
        var at: Double
        var ticks: Int64
        /// The host's kernel wrote an event about it.
        var isTold: Bool
    }

    /// The fixed delays of the two directions, and what comes on top, nanoseconds.
    struct Link {
        var toGuest: Double
        var toHost: Double
        var jitter: Double
        var lostShare: Double

        /// Mostly near the fixed part, as real delays are.
        func delay(_ fixed: Double, _ random: inout SeededRandom) -> Double {
            let share = Double.random(in: 0..<1, using: &random)
            return fixed + jitter * share * share * share
        }
    }

    var clock: Clock
    var start: UInt64 = 0
    /// Nominal ticks in a host nanosecond.
    var frequency = 1.0
    var driftPPM = 0.0
    var wanderPPM = 0.0
    var wanderPeriod = 60e9
    var steps: [Step] = []
    var pause: Range<Double>?
    /// What KVM does to the host's counter, by vCPU.
    var settings: [KVMClock.VCPU] = []
    var link: Link
    /// From `kvm_entry` to the first event that can follow it, and from the last to `kvm_exit`, at least.
    var crossingNanoseconds = 200.0
    /// vCPUs that are never entered.
    var idle: Set<Int> = []

    var traceClock: TraceClock {
        switch clock {
        case .nanoseconds(let clock): clock
        case .cycles, .known: .x86TSC
        }
    }

    var cpus: Range<Int> { settings.indices }

    func isPaused(at instant: Double) -> Bool { pause?.contains(instant) ?? false }

    /// What the clock of a vCPU says; `hostTicks` is what the host's says.
    func reading(_ instant: Double, cpu: Int, hostTicks: UInt64) -> TraceTicks {
        let stepped = steps.reduce(Int64(0)) { instant >= $1.at ? $0 &+ $1.ticks : $0 }
        if clock == .known {
            let setting = settings[cpu]
            let scaled = (UInt128(hostTicks) * UInt128(setting.ratio)) >> UInt128(setting.fractionBits)
            return TraceTicks(
                UInt64(truncatingIfNeeded: scaled) &+ UInt64(bitPattern: setting.offset) &+ UInt64(bitPattern: stepped))
        }
        var run = instant
        // While the machine is paused its nanosecond clock stands still; the TSC does not.
        if case .nanoseconds = clock, let pause, instant > pause.lowerBound {
            run -= min(instant, pause.upperBound) - pause.lowerBound
        }
        let wave = wanderPeriod / (2 * .pi)
        let wandered = wanderPPM * 1e-6 * wave * (1 - Self.cosine(instant / wave))
        let ticks = frequency * (run * (1 + driftPPM * 1e-6) + wandered)
        return TraceTicks(start &+ UInt64(bitPattern: Int64(ticks.rounded(.down)) &+ stepped))
    }

    /// Without a C library: good to 10⁻⁹.
    private static func cosine(_ angle: Double) -> Double {
        let turn = angle.truncatingRemainder(dividingBy: 2 * .pi)
        let folded = turn > .pi ? turn - 2 * .pi : turn
        var (term, sum) = (1.0, 1.0)
        for index in 1...12 {
            term *= -folded * folded / Double((2 * index - 1) * (2 * index))
            sum += term
        }
        return sum
    }
}

extension SimulatedGuest {
    /// What a guest can be, all of it likely enough to come up in some hundred runs.
    init(seeded random: inout SeededRandom, hostHasTSC: Bool, wander: Double, end: Double) {
        func log(_ range: ClosedRange<Int>) -> Double {
            // 2^a ... 2^b, each octave as likely as the next.
            let octave = Int.random(in: range, using: &random)
            return Double(1 << octave) * Double.random(in: 1..<2, using: &random)
        }
        let jitter = log(10...25)
        link = Link(
            toGuest: log(9...24), toHost: log(9...24), jitter: jitter, lostShare: random.chance(30) ? 0.5 : 0.02)
        let kinds: [Clock] =
            hostHasTSC
            ? [.known, .known, .cycles, .nanoseconds(.mono), .nanoseconds(.monoRaw)]
            : [.cycles, .nanoseconds(.mono), .nanoseconds(.monoRaw), .nanoseconds(.local), .nanoseconds(.boot)]
        clock = kinds[random.below(kinds.count)]
        crossingNanoseconds = Double.random(in: 20...300, using: &random)
        let years = 86_400_000_000_000 * 365 * UInt64(random.below(20))
        start = random.chance(20) ? 0 : years + UInt64.random(in: 0...(1 << 54), using: &random)
        frequency = clock == .cycles ? Double.random(in: 0.6...5, using: &random) : 1
        driftPPM = Double.random(in: -200...200, using: &random)
        wanderPPM = Double.random(in: 0...wander, using: &random)
        wanderPeriod = Double.random(in: 5e9...200e9, using: &random)
        let bits: UInt8 = [0, 32, 48][random.below(3)]
        let scaling = Double.random(in: 0.5...2, using: &random)
        let ratio = bits == 0 ? 1 : UInt64(Double(UInt64(1) << UInt64(bits)) * scaling)
        let offset = Int64.random(in: -(1 << 60)...(1 << 55), using: &random)
        settings = (0..<1 + random.below(3)).map { vcpu in
            KVMClock.VCPU(
                vcpu: vcpu, offset: offset + (random.chance(20) ? Int64(random.below(1 << 30)) : 0), ratio: ratio,
                fractionBits: bits)
        }
        if cpus.count > 1, random.chance(25) { idle = [random.below(cpus.count)] }
        if random.chance(40) { steps = [step(&random, end: end)] }
        if random.chance(15) {
            let from = Double.random(in: 0.3...0.8, using: &random) * end
            pause = from..<from + [2e6, 3e9, 3_600e9][random.below(3)]
        }
    }

    /// Of a second to an hour, or, where the host tells of it, of any size.
    private func step(_ random: inout SeededRandom, end: Double) -> Step {
        let at = Double.random(in: 0.3...0.9, using: &random) * end
        var isTold = true
        if case .nanoseconds = clock { isTold = random.chance(60) }
        let least = isTold ? 5 : 31
        let size =
            Double(UInt64(1) << UInt64(least + random.below(42 - least))) * Double.random(in: 1..<2, using: &random)
        return Step(at: at, ticks: Int64(size * frequency) * (random.chance(50) ? 1 : -1), isTold: isTold)
    }
}
