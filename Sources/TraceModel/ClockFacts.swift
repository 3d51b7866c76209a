/// What is known about a source's clock without measuring it: how a time stamp counter becomes nanoseconds, how KVM
/// derives a guest's counter from the host's, or a map that a file brought along.
///
/// Facts are inputs of the pipeline like probes and events: a live session reads them from the host's kernel, an import
/// from a trace, and both tell them to `ClockMap`, so that a replay converts exactly as the session did.
package enum ClockFacts: Hashable, Sendable {
    /// The source stamps with the host's own TSC, and this makes host time of it: told of the host itself.
    case scale(TSCScale)
    case kvm(KVMClock)
    case given(GivenClock)
    /// Told of the host: a filter lets only some of its `kvm_entry` and `kvm_exit` through. Whole stays in guest mode may be
    /// missing, and nothing follows from the time between two.
    case partialEntries
}

/// TSC cycles to nanoseconds, as `perf_event_mmap_page` gives it (include/uapi/linux/perf_event.h, `time_mult`,
/// `time_shift`, `time_zero`): `zero + (cycles * multiplier) >> shift`.
package struct TSCScale: Hashable, Sendable, Codable {
    package var multiplier: UInt32
    /// 0…63; one beyond is taken for 63.
    package var shift: UInt8
    package var zero: Int64

    package init(multiplier: UInt32, shift: UInt8, zero: Int64) {
        self.multiplier = multiplier
        self.shift = min(shift, 63)
        self.zero = zero
    }

    /// Rounded down; wraps after 584 years.
    @inlinable
    package func hostTime(_ cycles: UInt64) -> HostTime {
        let (high, low) = cycles.multipliedFullWidth(by: UInt64(multiplier))
        let nanoseconds = shift == 0 ? low : high << (64 - UInt64(shift)) | low >> UInt64(shift)
        return HostTime(nanoseconds: zero &+ Int64(bitPattern: nanoseconds))
    }

    package var nanosecondsPerCycle: Double { Double(multiplier) / Double(UInt64(1) << UInt64(shift)) }
}

/// How KVM makes each vCPU's TSC from the host's (Documentation/virt/kvm/devices/vcpu.rst, arch/x86/kvm/x86.c):
/// `guest = (host * ratio) >> fractionBits + offset`.
package struct KVMClock: Hashable, Sendable, Codable {
    package struct VCPU: Hashable, Sendable, Codable {
        /// CPU number in the guest.
        package var vcpu: Int
        package var offset: Int64
        /// 1 with `fractionBits` 0 where the processor does not scale.
        package var ratio: UInt64
        package var fractionBits: UInt8

        package init(vcpu: Int, offset: Int64, ratio: UInt64 = 1, fractionBits: UInt8 = 0) {
            self.vcpu = vcpu
            self.offset = offset
            self.ratio = ratio
            self.fractionBits = fractionBits
        }
    }

    package var scale: TSCScale
    /// Those named here; what was said before of others stays true.
    package var vcpus: [VCPU]
    /// Host time from which on this holds; nil when it always did.
    package var since: HostTime?

    package init(scale: TSCScale, vcpus: [VCPU], since: HostTime? = nil) {
        self.scale = scale
        self.vcpus = vcpus
        self.since = since
    }
}

/// A map made elsewhere: straight lines through knots, each with a bound on the error there.
package struct GivenClock: Hashable, Sendable {
    package struct Knot: Hashable, Sendable, Codable {
        package var ticks: TraceTicks
        package var host: HostTime
        package var boundNanoseconds: Int64

        /// The bound where nobody knows how far the map is off.
        package static let unknownBoundNanoseconds = Int64.max

        package init(ticks: TraceTicks, host: HostTime, boundNanoseconds: Int64) {
            self.ticks = ticks
            self.host = host
            self.boundNanoseconds = boundNanoseconds
        }
    }

    /// The CPU that it is for; nil for all that have no map of their own.
    package var cpu: Int?
    /// Ascending by ticks; a step is two knots a tick apart. At most `Limits.clockKnots`. None at all takes back what was
    /// given before: from there on the clock is measured.
    package var knots: [Knot]
    /// Before the first knot, behind the last, and with only one.
    package var nanosecondsPerTick: Double
    /// Where it comes from, in a few words for people ("trace-cmd ptp").
    package var method: String

    package init(cpu: Int? = nil, knots: [Knot], nanosecondsPerTick: Double, method: String) {
        self.cpu = cpu
        self.knots = knots
        self.nanosecondsPerTick = nanosecondsPerTick
        self.method = method
    }
}
