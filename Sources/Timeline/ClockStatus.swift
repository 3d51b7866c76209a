/// What the screen shows of a map.
package import TraceModel

extension ClockMap {
    /// Host nanoseconds per tick; nil until the clock is known.
    package var nanosecondsPerTick: Double? {
        if isIdentity { return scale?.nanosecondsPerCycle ?? 1 }
        if let given = given.first { return given.nanosecondsPerTick(at: latest ?? TraceTicks(0)) }
        return kvm.lazy.compactMap { $0?.newest.nanosecondsPerTick }.first ?? line?.rate
    }

    /// What the map rests on.
    private var estimators: [String] {
        if isIdentity { return [] }
        if !given.isEmpty { return given.map(\.method).reduce(into: []) { if !$0.contains($1) { $0.append($1) } } }
        return (isKnownByKVM ? ["kvm"] : []) + (constraints.isEmpty ? [] : ["probes"])
            + (usesEntries ? ["entries"] : [])
    }

    private var quality: String {
        if isIdentity || given.isEmpty && isKnownByKVM { return "exact" }
        if !given.isEmpty || line != nil { return "bounded" }
        return constraints.isOneSided ? "one-sided" : "absent"
    }

    /// At the latest reading seen.
    package var status: Snapshot.Clock {
        var status = Snapshot.Clock(
            clock: clock.rawValue, quality: quality, offsetNanoseconds: 0, driftPPM: 0, boundNanoseconds: 0,
            epoch: epoch)
        status.estimators = estimators
        guard !isIdentity, let latest, let now = hostTime(latest), let rate = nanosecondsPerTick else { return status }
        status.boundNanoseconds = now.boundNanoseconds
        if now.boundNanoseconds == GivenClock.Knot.unknownBoundNanoseconds {
            (status.quality, status.boundNanoseconds) = ("estimated", Snapshot.Clock.unknownBoundNanoseconds)
        }
        if clock.countsNanoseconds {
            status.offsetNanoseconds = now.time - HostTime(identityOf: latest)
            status.driftPPM = (1 / rate - 1) * 1e6
        } else {
            // Cycles have no nominal length, so the offset is counted in those of the known or measured one.
            status.offsetNanoseconds = Int64(saturating: Double(now.time.nanoseconds) - Double(latest.rawValue) * rate)
        }
        return status
    }
}
