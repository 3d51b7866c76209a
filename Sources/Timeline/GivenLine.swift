/// A map that came with a trace, as straight lines between its knots.
///
/// Between two knots the bound is the larger of theirs, and unknown where one of them is. Outside of them nothing was measured:
/// the bound grows by what two rates of one clock can differ (`ClockTolerance`).
package import TraceModel

struct GivenLine: Sendable, Codable {
    let cpu: Int?
    let method: String
    private let knots: [GivenClock.Knot]
    private let rate: Double
    private let growth: Double

    /// Nil when it says nothing: no knots, knots that do not ascend, or an impossible rate.
    init?(_ clock: GivenClock, tolerance: ClockTolerance) {
        guard !clock.knots.isEmpty, clock.nanosecondsPerTick.isFinite, clock.nanosecondsPerTick > 0 else { return nil }
        for (before, after) in zip(clock.knots, clock.knots.dropFirst()) where after.ticks <= before.ticks {
            return nil
        }
        cpu = clock.cpu
        method = clock.method
        knots = clock.knots
        rate = clock.nanosecondsPerTick
        growth = tolerance.wanderPPM * 1e-6
    }

    func hostTime(_ ticks: TraceTicks) -> (time: HostTime, boundNanoseconds: Int64) {
        let place = knots.partitionPoint { $0.ticks <= ticks }
        if place > 0, place < knots.count {
            let (before, after) = (knots[place - 1], knots[place])
            let share = Double(ticks.distance(from: before.ticks)) / Double(after.ticks.distance(from: before.ticks))
            let time = before.host.advanced(by: Int64(saturating: (Double(after.host - before.host) * share).rounded()))
            return (time, Self.rounded(max(before.boundNanoseconds, after.boundNanoseconds)))
        }
        let knot = knots[place > 0 ? place - 1 : 0]
        let distance = rate * Double(ticks.distance(from: knot.ticks))
        let bound = Double(knot.boundNanoseconds) + abs(distance) * growth
        return (knot.host.advanced(by: Int64(saturating: distance.rounded())), Self.rounded(Int64(saturating: bound)))
    }

    /// An unknown bound stays one.
    private static func rounded(_ bound: Int64) -> Int64 {
        HostTime(nanoseconds: bound).advanced(by: GivenClock.roundingNanoseconds).nanoseconds
    }

    /// Host nanoseconds per tick around a reading.
    func nanosecondsPerTick(at ticks: TraceTicks) -> Double {
        let place = knots.partitionPoint { $0.ticks <= ticks }
        guard place > 0, place < knots.count else { return rate }
        let (before, after) = (knots[place - 1], knots[place])
        return Double(after.host - before.host) / Double(after.ticks.distance(from: before.ticks))
    }
}

extension GivenClock {
    /// Between its knots a map calculates with fractions: what that adds to each bound.
    package static let roundingNanoseconds: Int64 = 2
}
