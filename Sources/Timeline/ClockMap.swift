/// The only way from a guest's ticks to host time, always with a bound on the error.
///
/// Law: as long as both clocks keep to the `ClockTolerance`, the true host time of an event lies within the stated bound
/// of the placed one. A step breaks that from the step until the first measurement that contradicts the old ones; from
/// then on a new *epoch* rests on the new measurements alone, because no older one can be trusted across a step.
///
/// What it rests on, best first: facts that need no measuring (`learn`), and measurements (`add`). Each is checked against
/// the other: what a probe proves impossible is no fact any more, a new epoch begins, and the measurements count.
///
/// Pure and deterministic: it reads no clock, so a replay of the same inputs gives the same times.
package import TraceModel

package struct ClockMap: Sendable, Codable {
    /// A watermark that was given out.
    struct Promise: Codable {
        var ticks: TraceTicks
        var time: HostTime
    }

    /// What a probe did to the map.
    package enum Outcome: Hashable, Sendable {
        case used
        /// It contradicts the measurements before it: an `Anomaly.clockViolation`, and the start of a new epoch.
        case newEpoch
        /// It contradicts itself (a clock ran backwards, or the guest claims to have answered for longer than the round
        /// trip took): an `Anomaly.clockViolation`, and nothing was learned.
        case contradictory
    }

    let clock: TraceClock
    let tolerance: ClockTolerance
    private let identity: Bool
    var constraints: ClockConstraints
    /// Nil while nobody wants a map afterwards.
    var journal: ClockJournal?
    /// Guest events in a row that no window of guest mode can hold.
    var impossible = 0
    /// Entries and exits have had a part in the present line.
    var usesEntries = false
    /// Counts up; every violation, and every change of what KVM says, opens the next.
    package internal(set) var epoch = 0

    /// Of the host itself, when it stamps with its TSC.
    private(set) var scale: TSCScale?
    /// By guest CPU.
    var kvm: [KVMLine?] = []
    private(set) var given: [GivenLine] = []

    var line: ClockLine?
    /// Events that were under way when the last epoch ended may belong to it.
    var passage: ClockPassage?
    /// In this time of the host, in which the guest was not seen to run, KVM changed the clock, and no probe has told yet
    /// what it is.
    var doubtful: ClosedRange<HostTime>?
    /// What it was before that.
    var former: ClockPassage.Former?
    /// KVM changed it more than once, and the guest ran in between: since when by a clock that no probe has told.
    var unknownSince: HostTime?
    /// Of the host: no event is later. Told by whoever makes events wait for it.
    package var present = HostTime(nanoseconds: .max)
    /// A probe sent earlier is, or may be, about a clock that is no more.
    var countsFrom: HostTime?
    /// Per CPU, the last time given out in this epoch.
    var floors: [Int64] = []
    /// The last watermark given out in this epoch.
    var promised: Promise?
    /// The latest ticks seen, for which `status` speaks.
    var latest: TraceTicks?

    /// A map for a source that stamps with `clock`.
    ///
    /// - Parameters:
    ///   - identity: the source is the host itself: its ticks are host nanoseconds, exactly.
    ///   - tolerance: the standard one of `clock` unless given; give the host clock's where that is the looser one.
    ///   - epoch: where its epochs begin to count: behind those of the map that it takes the place of.
    package init(clock: TraceClock, identity: Bool = false, tolerance: ClockTolerance? = nil, epoch: Int = 0) {
        self.clock = clock
        self.epoch = epoch
        self.identity = identity
        self.tolerance = tolerance ?? .standard(for: clock)
        constraints = ClockConstraints(clock: clock, tolerance: self.tolerance)
    }

    var isIdentity: Bool { identity }

    /// It came with a trace: nothing that is traced changes it.
    package var isGiven: Bool { !given.isEmpty }

    package mutating func learn(_ facts: ClockFacts) {
        switch facts {
        case .scale(let scale): self.scale = scale
        case .given(let clock):
            let isTakenBack = clock.knots.isEmpty && isGiven
            given.removeAll { $0.cpu == clock.cpu }
            if let line = GivenLine(clock, tolerance: tolerance) {
                given.append(line)
            } else if isTakenBack, given.isEmpty {
                beginEpoch()
            }
        case .kvm(let clock): learn(clock)
        case .partialEntries: break
        }
    }

    private mutating func learn(_ clock: KVMClock) {
        var isChange = false
        for vcpu in clock.vcpus where (0..<Limits.cpus).contains(vcpu.vcpu) {
            guard let line = KVMLine(vcpu, scale: clock.scale, since: clock.since) else { continue }
            if kvm.count <= vcpu.vcpu { kvm.append(contentsOf: repeatElement(nil, count: vcpu.vcpu + 1 - kvm.count)) }
            if kvm[vcpu.vcpu] == nil {
                kvm[vcpu.vcpu] = line
            } else if kvm[vcpu.vcpu]?.newest.vcpu != vcpu {
                kvm[vcpu.vcpu]?.change(to: line)
                isChange = true
            }
        }
        guard isChange else { return }
        beginEpoch()
        constraints = ClockConstraints(clock: self.clock, tolerance: tolerance)
        line = nil
        countsFrom = clock.since
    }

    /// Whether KVM's giving `vcpu` another TSC offset than `old` can have been about this clock.
    package func canChange(of vcpu: Int, from old: Int64) -> Bool {
        guard isKnownByKVM else { return !isIdentity && given.isEmpty }
        return kvm.indices.contains(vcpu) && kvm[vcpu]?.newest.vcpu.offset == old
    }

    /// KVM gave `vcpu` another TSC offset; false when the clock does not change by that, or was not known before.
    package mutating func offsetChanged(
        of vcpu: Int, from old: Int64, to new: Int64, at time: HostTime, quietSince quiet: HostTime
    ) -> Bool {
        guard canChange(of: vcpu, from: old) else { return false }
        guard kvm.indices.contains(vcpu), let stretch = kvm[vcpu]?.newest else {
            return disturbed(at: time, quietSince: quiet, by: .offset)
        }
        var changed = stretch.vcpu
        changed.offset = new
        learn(.kvm(KVMClock(scale: stretch.scale, vcpus: [changed], since: time)))
        return true
    }

    package mutating func add(_ probe: ClockProbe) -> Outcome {
        guard !identity else { return .used }
        if let countsFrom, probe.hostSent < countsFrom { return .used }
        if let doubtful, probe.hostSent < doubtful.upperBound { return .used }
        var alone = ClockConstraints(clock: clock, tolerance: tolerance)
        guard probe.isOrdered, alone.add(probe) else { return .contradictory }
        latest = max(latest ?? probe.guestSent, probe.guestSent)
        defer { note(probe) }
        guard doubtful == nil else {
            openEpoch(with: alone, by: probe)
            return .used
        }
        if passage?.end == HostTime(nanoseconds: .max) { passage?.end = probe.hostReceived }
        let refutesKVM = isKnownByKVM && !kvm.contains { $0?.allows(probe) ?? false }
        if refutesKVM { kvm = [] }
        guard constraints.add(probe) else {
            openEpoch(with: alone, by: probe)
            return .newEpoch
        }
        line = constraints.line()
        if refutesKVM { beginEpoch() }
        return refutesKVM ? .newEpoch : .used
    }

    /// The host time of a reading; nil until the clock is known (`Anomaly.clockUnmapped`).
    ///
    /// Without a CPU it is the earliest that any of them can mean.
    package func hostTime(_ ticks: TraceTicks, cpu: Int? = nil) -> (time: HostTime, boundNanoseconds: Int64)? {
        if identity { return (HostTime(identityOf: ticks, scale), 0) }
        if let known = knownTime(ticks, cpu: cpu) { return known }
        return line.map { resolve(ticks, cpu: cpu, on: $0) }
    }

    /// By what needs no measuring.
    private func knownTime(_ ticks: TraceTicks, cpu: Int?) -> (time: HostTime, boundNanoseconds: Int64)? {
        if let cpu {
            if let line = givenLine(for: cpu) { return line.hostTime(ticks) }
            return kvm.indices.contains(cpu) ? kvm[cpu]?.hostTime(ticks) : nil
        }
        let all = given.isEmpty ? kvm.compactMap { $0?.hostTime(ticks) } : given.map { $0.hostTime(ticks) }
        return all.min { $0.time < $1.time }
    }

    func givenLine(for cpu: Int) -> GivenLine? {
        given.first { $0.cpu == cpu } ?? given.first { $0.cpu == nil }
    }

    var isKnownByKVM: Bool { kvm.contains { $0 != nil } }
}

extension ClockConstraints {
    /// Both messages of a probe.
    fileprivate mutating func add(_ probe: ClockProbe) -> Bool {
        add(.floor, Point(ticks: probe.guestReceived, host: probe.hostSent))
            && add(.ceiling, Point(ticks: probe.guestSent, host: probe.hostReceived))
    }
}

extension KVMLine {
    /// Whether a probe can have been answered by this vCPU.
    fileprivate func allows(_ probe: ClockProbe) -> Bool {
        let received = hostTime(probe.guestReceived)
        let sent = hostTime(probe.guestSent)
        return received.time.advanced(by: received.boundNanoseconds) >= probe.hostSent
            && sent.time.advanced(by: -sent.boundNanoseconds) <= probe.hostReceived
    }
}

extension HostTime {
    /// Ticks that are host nanoseconds, or by `scale` become them; those past the end of host time stay there.
    @inline(__always)
    init(identityOf ticks: TraceTicks, _ scale: TSCScale? = nil) {
        self = scale?.hostTime(ticks.rawValue) ?? HostTime(nanoseconds: Int64(clamping: ticks.rawValue))
    }
}
