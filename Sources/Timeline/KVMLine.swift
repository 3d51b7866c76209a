/// A vCPU's TSC turned back into the host's, exactly: what KVM does to make it, inverted.
///
/// KVM sets `guest = (host * ratio) >> fractionBits + offset` (kvm_scale_tsc and the VMCS/VMCB field TSC_OFFSET,
/// arch/x86/kvm/x86.c), so `host = ((guest - offset) << fractionBits) / ratio`. A counter of 64 bits shifted by 48 needs
/// 112: hence 128-bit arithmetic. Host events go through the same `TSCScale`, so that what remains is rounding.
///
/// An offset can change: the guest writes its TSC, or the VMM restores one. Each change begins a *stretch*. Which stretch
/// an event belongs to is told by its own CPU's order: it passes to the next one when its reading goes back, or when the
/// stretch it is in says that the change is over. In between, after a counter was set back, a reading can belong to
/// either; it then stays with the earlier and the bound says how far away the other would be.
import TraceModel

struct KVMLine: Sendable, Codable {
    struct Stretch: Sendable, Codable {
        var since: HostTime
        var scale: TSCScale
        var vcpu: KVMClock.VCPU

        func hostTime(_ ticks: TraceTicks) -> HostTime {
            let unscaled = ticks.rawValue &- UInt64(bitPattern: vcpu.offset)
            guard isScaled else { return scale.hostTime(unscaled) }
            let cycles = (UInt128(unscaled) << UInt128(vcpu.fractionBits)) / UInt128(vcpu.ratio)
            return scale.hostTime(UInt64(clamping: cycles))
        }

        private var isScaled: Bool { vcpu.ratio != UInt64(1) << UInt64(vcpu.fractionBits) }

        /// Host cycles per guest cycle.
        private var stretching: Double { Double(UInt64(1) << UInt64(vcpu.fractionBits)) / Double(vcpu.ratio) }

        var nanosecondsPerTick: Double { stretching * scale.nanosecondsPerCycle }

        /// Both sides are rounded down to a nanosecond. With scaling, all host cycles that give one guest cycle count as the
        /// first of them, and KVM's own division has rounded the ratio's product down.
        var boundNanoseconds: Int64 {
            guard isScaled else { return 1 }
            return Int64(saturating: ((stretching + 1) * scale.nanosecondsPerCycle).rounded(.up)) &+ 1
        }
    }

    /// Older ones are forgotten; nothing that old is still on its way.
    private static let keptStretches = 8

    private(set) var stretches: [Stretch]
    /// The stretch that this CPU's events are in.
    private var current = 0
    private var latest = TraceTicks(0)

    /// Nil for numbers that no KVM can have: a ratio of 0, or more fraction bits than a ratio has.
    init?(_ vcpu: KVMClock.VCPU, scale: TSCScale, since: HostTime?) {
        guard vcpu.ratio > 0, vcpu.fractionBits < 64 else { return nil }
        stretches = [Stretch(since: since ?? HostTime(nanoseconds: .min), scale: scale, vcpu: vcpu)]
    }

    var newest: Stretch { stretches[stretches.count - 1] }

    /// From `since` on the counter is made otherwise; without it, it always was.
    mutating func change(to line: KVMLine) {
        let stretch = line.newest
        guard stretch.since.nanoseconds > .min, stretch.vcpu != newest.vcpu || stretch.scale != newest.scale else {
            if stretch.since.nanoseconds == .min { self = line }
            return
        }
        if stretch.since <= newest.since { stretches.removeLast() }
        stretches.append(stretch)
        if stretches.count > Self.keptStretches {
            stretches.removeFirst()
            current -= 1
        }
        current = min(max(0, current), stretches.count - 1)
    }

    var isChanging: Bool { current + 1 < stretches.count }

    /// Host time of the CPU's next event. One that is known to come before the reading goes back is in the earlier stretch.
    mutating func next(_ ticks: TraceTicks, isBeforeStepBack: Bool) -> (time: HostTime, boundNanoseconds: Int64) {
        while current + 1 < stretches.count {
            guard ticks < latest || stretches[current].hostTime(ticks) >= stretches[current + 1].since else { break }
            current += 1
            latest = ticks
        }
        latest = max(latest, ticks)
        guard isBeforeStepBack else { return hostTime(ticks) }
        return (stretches[current].hostTime(ticks), stretches[current].boundNanoseconds)
    }

    /// Host time of a reading at or after the CPU's last event.
    func hostTime(_ ticks: TraceTicks) -> (time: HostTime, boundNanoseconds: Int64) {
        let stretch = stretches[current]
        let time = stretch.hostTime(ticks)
        guard current + 1 < stretches.count else { return (time, stretch.boundNanoseconds) }
        let following = stretches[current + 1]
        let other = following.hostTime(ticks)
        if time >= following.since { return (max(other, following.since), following.boundNanoseconds) }
        guard other >= following.since else { return (time, stretch.boundNanoseconds) }
        return (time, HostTime(nanoseconds: other - time).advanced(by: following.boundNanoseconds).nanoseconds)
    }
}
