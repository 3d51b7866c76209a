/// Two clocks, a link between them, and the truth: what no real machine can tell.
///
/// Time runs in host nanoseconds from a start that may be years after boot. The guest's clock runs with a constant
/// drift and a slow sinusoidal wander; readings are rounded down, as those of real clocks are. Everything random comes
/// from one seed.
import Timeline
import TraceModel

/// SplitMix64 (Steele, Lea, Flood 2014): eight lines, and every seed is good.
struct Random: RandomNumberGenerator {
    var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    mutating func chance(_ share: Double) -> Bool { Double.random(in: 0..<1, using: &self) < share }
}

struct SimulatedClock {
    /// Host time at the start of the simulation; `seconds` below count from here.
    var hostStart: Int64 = 0
    var guestStart: UInt64 = 0
    /// Nominal ticks per host nanosecond.
    var frequency = 1.0
    var driftPPM = 0.0
    /// Half of the range over which the rate wanders.
    var wanderPPM = 0.0
    var wanderPeriod = 60e9
    /// Ticks added from an instant on, which is since the start.
    var step: (at: Double, ticks: Int64)?

    /// The guest's reading `elapsed` host nanoseconds after the start.
    func ticks(_ elapsed: Double) -> TraceTicks {
        let wave = wanderPeriod / (2 * .pi)
        let wandered = wanderPPM * 1e-6 * wave * (1 - cos(elapsed / wave))
        let ticks = frequency * (elapsed * (1 + driftPPM * 1e-6) + wandered)
        let stepped = step.map { elapsed >= $0.at ? $0.ticks : 0 } ?? 0
        return TraceTicks(guestStart &+ UInt64(bitPattern: Int64(ticks.rounded(.down)) &+ stepped))
    }

    func host(_ elapsed: Double) -> HostTime {
        HostTime(nanoseconds: hostStart + Int64(elapsed.rounded(.down)))
    }

    /// A cosine without a C library: good to 10⁻⁹, which is far below a tick after scaling, and smooth.
    private func cos(_ angle: Double) -> Double {
        let turn = angle.truncatingRemainder(dividingBy: 2 * .pi)
        let folded = turn > .pi ? turn - 2 * .pi : turn
        var term = 1.0
        var sum = 1.0
        for index in 1...12 {
            term *= -folded * folded / Double((2 * index - 1) * (2 * index))
            sum += term
        }
        return sum
    }
}

struct SimulatedLink {
    /// Fixed delays of the two directions, nanoseconds.
    var toGuest: Double
    var toHost: Double
    /// Scale of what comes on top; now and then a hundred times as much.
    var jitter: Double
    var lostShare = 0.0

    func delay(_ fixed: Double, _ random: inout Random) -> Double {
        let share = Double.random(in: 0..<1, using: &random)
        let rare = random.chance(0.02) ? 100.0 : 1.0
        return fixed + jitter * share * share * share * rare
    }

    /// A probe sent at `elapsed`; nil when it got lost.
    func probe(_ clock: SimulatedClock, at elapsed: Double, _ random: inout Random) -> ClockProbe? {
        let arrival = elapsed + delay(toGuest, &random)
        let answer = arrival + Double.random(in: 200..<20_000, using: &random)
        let back = answer + delay(toHost, &random)
        guard !random.chance(lostShare) else { return nil }
        return ClockProbe(
            hostSent: clock.host(elapsed), guestReceived: clock.ticks(arrival), guestSent: clock.ticks(answer),
            hostReceived: clock.host(back))
    }
}

/// A batch of events that say nothing but when.
func batch(cpu: Int = 0, ticks: [TraceTicks]) -> EventBatch {
    var batch = EventBatch(cpu: cpu)
    batch.headers = ticks.map {
        EventHeader(ticks: $0, offset: 0, length: 8, pid: 1, typeIndex: 0, flags: 0, preemptCount: 0)
    }
    batch.records = [0, 0, 0, 0, 1, 0, 0, 0]
    return batch
}
