/// The only way from a guest's ticks to host time, always with a bound on the error.
///
/// Law: as long as both clocks keep to the `ClockTolerance`, the true host time of an event lies within the stated bound
/// of the placed one. A step breaks that from the step until the first measurement that contradicts the old ones; from
/// then on a new *epoch* rests on the new measurements alone, because no older one can be trusted across a step.
///
/// Pure and deterministic: it reads no clock, so a replay of the same probes and batches gives the same times.
package import TraceModel

package struct ClockMap: Sendable {
    /// What a probe did to the map.
    package enum Outcome: Hashable, Sendable {
        case used
        /// It contradicts the measurements before it: an `Anomaly.clockViolation`, and the start of a new epoch.
        case newEpoch
        /// It contradicts itself (a clock ran backwards, or the guest claims to have answered for longer than the round
        /// trip took): an `Anomaly.clockViolation`, and nothing was learned.
        case contradictory
    }

    private let clock: TraceClock
    private let tolerance: ClockTolerance
    private let identity: Bool
    private var constraints: ClockConstraints
    /// Counts from 0; every violation opens the next.
    package private(set) var epoch = 0

    var line: ClockLine?
    /// The epoch before, for events that were under way when its end was noticed.
    var previous: ClockLine?
    /// First reading of this epoch; `previous` covers ticks up to its own newest measurement, and between the two
    /// nobody knows when the step was.
    var epochStart: TraceTicks?
    /// Per CPU, the last time given out in this epoch.
    var floors: [Int64] = []
    /// The last watermark given out in this epoch.
    var promised: (ticks: TraceTicks, time: HostTime)?
    /// The latest ticks seen, for which `status` speaks.
    var latest: TraceTicks?

    /// A map for a source that stamps with `clock`.
    ///
    /// - Parameters:
    ///   - identity: the source is the host itself: its ticks are host nanoseconds, exactly.
    ///   - tolerance: the standard one of `clock` unless given; give the host clock's where that is the looser one.
    package init(clock: TraceClock, identity: Bool = false, tolerance: ClockTolerance? = nil) {
        self.clock = clock
        self.identity = identity
        self.tolerance = tolerance ?? .standard(for: clock)
        constraints = ClockConstraints(clock: clock, tolerance: self.tolerance)
    }

    var isIdentity: Bool { identity }

    package mutating func add(_ probe: ClockProbe) -> Outcome {
        guard !identity else { return .used }
        var alone = ClockConstraints(clock: clock, tolerance: tolerance)
        guard probe.isOrdered, alone.add(probe) else { return .contradictory }
        latest = max(latest ?? probe.guestSent, probe.guestSent)
        if epochStart == nil { epochStart = probe.guestReceived }
        guard constraints.add(probe) else {
            openEpoch(with: alone, by: probe)
            return .newEpoch
        }
        line = constraints.line()
        return .used
    }

    /// The host time of a reading; nil until the clock is known (`Anomaly.clockUnmapped`).
    package func hostTime(_ ticks: TraceTicks) -> (time: HostTime, boundNanoseconds: Int64)? {
        if identity { return (HostTime(identityOf: ticks), 0) }
        return line.map { resolve(ticks, on: $0) }
    }

    /// The host time by `line`, the present one, or by the one before it where that still counts.
    func resolve(_ ticks: TraceTicks, on line: ClockLine) -> (time: HostTime, boundNanoseconds: Int64) {
        let time = line.hostTime(ticks)
        let bound = line.boundNanoseconds(ticks)
        guard let previous, let epochStart, ticks < epochStart else { return (time, Int64(saturating: bound)) }
        let earlier = previous.hostTime(ticks)
        let earlierBound = previous.boundNanoseconds(ticks)
        if ticks <= previous.ticks { return (earlier, Int64(saturating: earlierBound)) }
        // Before the step or after it: whichever, the other line is not farther away than this.
        let either = max(bound, Double((time - earlier).magnitude) + earlierBound)
        return (time, Int64(saturating: either))
    }

    /// Host nanoseconds per tick; nil until the clock is known.
    package var nanosecondsPerTick: Double? { identity ? 1 : line?.rate }

    /// What the screen shows, at the latest reading seen.
    package var status: Snapshot.Clock {
        var status = Snapshot.Clock(
            clock: clock.rawValue, quality: "absent", offsetNanoseconds: 0, driftPPM: 0, boundNanoseconds: 0,
            epoch: epoch)
        if identity {
            status.quality = "exact"
        } else if let line, let latest, let now = hostTime(latest) {
            status.quality = "bounded"
            status.boundNanoseconds = now.boundNanoseconds
            if clock.countsNanoseconds {
                status.offsetNanoseconds = now.time - HostTime(identityOf: latest)
                status.driftPPM = (1 / line.rate - 1) * 1e6
            } else {
                // Cycles have no nominal length, so the offset is counted in those of the measured one.
                status.offsetNanoseconds = Int64(
                    saturating: Double(now.time.nanoseconds) - Double(latest.rawValue) * line.rate)
            }
        }
        return status
    }

    private mutating func openEpoch(with fresh: ClockConstraints, by probe: ClockProbe) {
        epoch += 1
        // A clock that went back gives the same reading twice, and then ticks cannot tell the epochs apart.
        previous = line.flatMap { $0.ticks < probe.guestReceived ? $0 : nil }
        epochStart = probe.guestReceived
        latest = probe.guestSent
        constraints = fresh
        line = constraints.line()
        floors.removeAll(keepingCapacity: true)
        promised = nil
    }
}

extension ClockConstraints {
    /// Both messages of a probe.
    fileprivate mutating func add(_ probe: ClockProbe) -> Bool {
        add(.floor, Point(ticks: probe.guestReceived, host: probe.hostSent))
            && add(.ceiling, Point(ticks: probe.guestSent, host: probe.hostReceived))
    }
}

extension HostTime {
    /// Ticks that are host nanoseconds; those past the end of host time stay there.
    @inline(__always)
    init(identityOf ticks: TraceTicks) { self.init(nanoseconds: Int64(clamping: ticks.rawValue)) }
}
