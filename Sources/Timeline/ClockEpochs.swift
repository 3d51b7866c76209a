/// Where one clock ends and the next begins: what was measured before a step says nothing about the time after it.
package import TraceModel

extension ClockMap {
    /// KVM has set the clocks of the guest's machine anew at `time` (`kvm_update_master_clock`): its nanosecond clock may
    /// have been stepped, as when a paused machine goes on. What was measured before counts no more for what comes after,
    /// and what is between is placed when the next probe has told.
    package mutating func disturbed(at time: HostTime) -> Bool {
        guard clock.countsNanoseconds, !isIdentity, given.isEmpty, line != nil else { return false }
        doubtfulFrom = time
        return true
    }

    /// Nothing can be placed before the next probe.
    package var needsProbe: Bool {
        !isIdentity && given.isEmpty && !isKnownByKVM && (line == nil || doubtfulFrom != nil)
    }

    /// The host time by `line`, the present one, or by the one before it where that still counts.
    func resolve(_ ticks: TraceTicks, on line: ClockLine) -> (time: HostTime, boundNanoseconds: Int64) {
        let time = line.hostTime(ticks)
        let bound = line.boundNanoseconds(ticks)
        guard let previous, let epochStart, ticks < epochStart else { return (time, Int64(saturating: bound)) }
        let earlier = previous.hostTime(ticks)
        let earlierBound = previous.boundNanoseconds(ticks)
        if ticks <= previous.ticks { return (earlier, Int64(saturating: earlierBound)) }
        if let boundary {
            // What the new clock puts before its own beginning was stamped by the old one.
            let margin = Double(time - boundary)
            if margin < -bound { return (earlier, Int64(saturating: earlierBound)) }
            if margin >= bound { return (time, Int64(saturating: bound)) }
        }
        // Before the step or after it: whichever, the other line is not farther away than this.
        let either = max(bound, Double((time - earlier).magnitude) + earlierBound)
        return (time, Int64(saturating: either))
    }

    mutating func openEpoch(with fresh: ClockConstraints, by probe: ClockProbe) {
        // A clock that went back gives the same reading twice, and then ticks cannot tell the epochs apart.
        previous = line.flatMap { $0.ticks < probe.guestReceived ? $0 : nil }
        epochStart = probe.guestReceived
        latest = probe.guestSent
        constraints = fresh
        line = constraints.line()
        beginEpoch()
    }

    /// A bound that did not come from a probe; false when it contradicts the others.
    mutating func add(_ side: ClockConstraints.Side, _ ticks: TraceTicks, _ time: HostTime) -> Bool {
        usesEntries = true
        latest = max(latest ?? ticks, ticks)
        let rate = assumedRate
        journal?.note(side, ticks, time, epoch: epoch, rate: rate)
        return constraints.add(side, ClockConstraints.Point(ticks: ticks, host: time))
    }

    /// For the journal, which compares measurements of a few milliseconds only.
    private var assumedRate: Double? { line?.rate ?? (clock.countsNanoseconds ? 1 : nil) }

    mutating func note(_ probe: ClockProbe) {
        let rate = assumedRate
        journal?.note(.floor, probe.guestReceived, probe.hostSent, epoch: epoch, rate: rate)
        journal?.note(.ceiling, probe.guestSent, probe.hostReceived, epoch: epoch, rate: rate)
    }

    mutating func refreshedLine() -> ClockLine? {
        line = constraints.line() ?? line
        return line
    }

    /// The clock is not what it was, and nothing tells yet what it is: until the next probe nothing can be placed.
    mutating func lose(from ticks: TraceTicks) -> Outcome {
        previous = line
        epochStart = ticks
        line = nil
        constraints = ClockConstraints(clock: clock, tolerance: tolerance)
        beginEpoch()
        return .newEpoch
    }

    mutating func beginEpoch() {
        epoch += 1
        impossible = 0
        usesEntries = false
        boundary = nil
        floors.removeAll(keepingCapacity: true)
        promised = nil
    }
}
