/// The published result of one epoch: a straight line from ticks to host time, and how far off it can be at any tick.
///
/// Two measurements hold it: the floor and the ceiling that say most at the newest instant (`ClockConstraints` has the
/// mathematics). The line starts half-way between them there and runs at the middle of the possible rates, so that the
/// error grows alike on both sides. One multiplication per event. The bound is computed per batch, at its two ends: the
/// floor is concave, the ceiling and the reserve beyond the horizon are convex and the line is straight, so that the
/// bound is convex and largest at one of the ends.
import TraceModel

struct ClockLine: Sendable, Codable {
    /// The newest measurement, where the line was laid.
    let ticks: TraceTicks
    let host: HostTime
    /// Host nanoseconds per tick.
    let rate: Double
    private let floor: ClockConstraints.Point
    private let ceiling: ClockConstraints.Point
    private let slow: Double
    private let fast: Double
    /// Twice the drift: how much a rate can differ from any earlier one of the same clock pair, in host nanoseconds per
    /// host nanosecond.
    private let reserve: Double

    /// Rounding of the event's own reading, of the line's start and of the result, and what `Double` loses.
    private static let roundingNanoseconds: Double = 3
    private static let reachNanoseconds = Double(ClockTolerance.horizonNanoseconds / 2)

    init(
        at ticks: TraceTicks, floor: ClockConstraints.Point, ceiling: ClockConstraints.Point, slow: Double,
        fast: Double,
        drift: Double
    ) {
        self.ticks = ticks
        self.floor = floor
        self.ceiling = ceiling
        self.slow = slow
        self.fast = fast
        rate = (slow + fast) / 2
        reserve = 2 * drift
        let low = slow * Double(ticks.distance(from: floor.ticks))
        let high = Double(ceiling.host - floor.host) + fast * Double(ticks.distance(from: ceiling.ticks))
        host = floor.host.advanced(by: Int64(saturating: ((low + high) / 2).rounded()))
    }

    @inline(__always)
    func hostTime(_ ticks: TraceTicks) -> HostTime {
        host.advanced(by: Int64(saturating: rate * Double(ticks.distance(from: self.ticks))))
    }

    func boundNanoseconds(_ ticks: TraceTicks) -> Double {
        let distance = rate * Double(ticks.distance(from: self.ticks))
        let sinceFloor = Double(ticks.distance(from: floor.ticks))
        let sinceCeiling = Double(ticks.distance(from: ceiling.ticks))
        let low = Double(floor.host - host) + (sinceFloor >= 0 ? slow : fast) * sinceFloor
        let high = Double(ceiling.host - host) + (sinceCeiling >= 0 ? fast : slow) * sinceCeiling
        let beyond = max(0, abs(distance) - Self.reachNanoseconds) * reserve
        return max(high - distance, distance - low) + beyond + Self.roundingNanoseconds
    }
}
