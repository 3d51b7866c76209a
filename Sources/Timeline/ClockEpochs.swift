/// Where one clock ends and the next begins: what was measured before a step says nothing about the time after it.
package import TraceModel

extension ClockMap {
    /// What in KVM can change a guest's clocks without saying to what.
    package enum Disturbance: Sendable {
        /// `kvm_update_master_clock`: its nanosecond clock may have been stepped, as when a paused machine goes on.
        case masterClock
        /// `kvm_write_tsc_offset`: its TSC was, and with it whatever it makes of that.
        case offset
    }

    /// KVM has set the guest's clocks anew at `time`. What was measured before counts no more for what comes after, and what
    /// is between is placed when the next probe has told. False when that clock was not affected, or is not known yet.
    ///
    /// - Parameter quiet: since when none of its vCPUs was in guest mode, so that no event can be from between; `time` when
    ///   nothing tells. A paused machine's clock goes on where it stood, and its readings alone do not show where that was.
    package mutating func disturbed(at time: HostTime, quietSince quiet: HostTime, by disturbance: Disturbance) -> Bool
    {
        guard !isIdentity, given.isEmpty, !isKnownByKVM, clock.countsNanoseconds || disturbance == .offset else {
            return false
        }
        return doubt(at: time, quietSince: quiet)
    }

    /// From `time` on, all that is known no longer counts, KVM's numbers neither.
    package mutating func doubt(at time: HostTime, quietSince quiet: HostTime) -> Bool {
        let quiet = min(quiet, time)
        if let doubtful {
            if quiet > doubtful.upperBound { unknownSince = unknownSince ?? doubtful.upperBound }
            self.doubtful = min(doubtful.lowerBound, quiet)...max(doubtful.upperBound, time)
            return false
        }
        if isKnownByKVM {
            former = .kvm(kvm)
            kvm = []
        } else if let line {
            former = .line(line)
        } else {
            constraints = ClockConstraints(clock: clock, tolerance: tolerance)
            countsFrom = time
            passage?.changedAgain(at: time)
            return false
        }
        doubtful = quiet...time
        return true
    }

    /// What entries and exits told was wrong: the map rests on what comes from `time` on.
    package mutating func distrustEntries(at time: HostTime) {
        usesEntries = false
        _ = doubt(at: time, quietSince: time)
    }

    /// All that the guest wrote before `time` of the host has arrived, or is late whatever its clock was.
    package mutating func pass(_ time: HostTime) { passage?.pass(time) }

    /// Nothing can be placed before the next probe.
    package var needsProbe: Bool {
        !isIdentity && given.isEmpty && !isKnownByKVM && (line == nil || doubtful != nil)
    }

    /// The host time by `line`, the present one, or by the clock before it where that may still count.
    func resolve(_ ticks: TraceTicks, cpu: Int?, on line: ClockLine) -> ClockPassage.Placed {
        let new = line.placed(ticks)
        return passage?.earliest(ticks, cpu: cpu, new: new, present: present) ?? new
    }

    /// The measurements contradict each other, or are all that is left: those of `fresh` are of the new clock.
    mutating func openEpoch(with fresh: ClockConstraints, by probe: ClockProbe) {
        let agreed = lastAgreement(before: probe)
        let (begin, end) = doubtful.map { ($0.upperBound, $0.lowerBound) } ?? (agreed, probe.hostReceived)
        let before = doubtful == nil ? line.map { .line($0) } : former
        // What was on its way when the step became known may be of either clock.
        countsFrom = doubtful?.upperBound ?? probe.hostReceived
        constraints = fresh
        line = constraints.line()
        latest = probe.guestSent
        beginEpoch(from: before, begin: begin, end: end)
    }

    private func lastAgreement(before probe: ClockProbe) -> HostTime {
        guard let line else { return HostTime(nanoseconds: .min) }
        let agreed = line.placed(line.ticks)
        return min(agreed.time.advanced(by: -agreed.boundNanoseconds), probe.hostReceived)
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
    mutating func lose() -> Outcome {
        let agreed = line.map { $0.placed($0.ticks) }
        let begin = agreed.map { $0.time.advanced(by: -$0.boundNanoseconds) } ?? HostTime(nanoseconds: .min)
        let before = line.map { ClockPassage.Former.line($0) }
        line = nil
        constraints = ClockConstraints(clock: clock, tolerance: tolerance)
        beginEpoch(from: before, begin: begin, end: HostTime(nanoseconds: .max))
        return .newEpoch
    }

    /// The clock before is of no more use: what is still to come is of the new one.
    mutating func beginEpoch() {
        passage = nil
        reset()
    }

    private mutating func beginEpoch(from before: ClockPassage.Former?, begin: HostTime, end: HostTime) {
        passage = ClockPassage(
            from: before, begin: begin, end: end, unknownSince: unknownSince, least: promised?.ticks, after: passage)
        reset()
    }

    private mutating func reset() {
        epoch += 1
        impossible = 0
        usesEntries = false
        doubtful = nil
        former = nil
        unknownSince = nil
        floors.removeAll(keepingCapacity: true)
        promised = nil
    }
}

extension ClockLine {
    func placed(_ ticks: TraceTicks) -> ClockPassage.Placed {
        (hostTime(ticks), Int64(saturating: boundNanoseconds(ticks)))
    }
}
