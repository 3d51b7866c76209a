import SessionLog
import Timeline
import TraceDat
import TraceModel

/// What the files of a session say about their clocks, as the facts that the pipeline's clock map takes.
///
/// trace-cmd leaves two kinds of measurements of a guest's clock. `kvm`: the negated TSC offset of each vCPU and its
/// scaling, exact. (trace-cmd itself applies the scaling in the wrong direction and with 64 bits, so that its report shows
/// wrong times for guests with a scaled TSC; here KVM's own formula is inverted.) `ptp`: offsets by round trips, on a line
/// between them. Of these nobody knows how far they are off: the round trip of the best of 339 probes would tell, and is
/// dropped (tracecmd-tsync ptp_clock_offset_process), and the 2 µs that its authors found do not hold elsewhere. Neither
/// does anybody know it of an offset that a user gives. Their bound is unknown, and `TraceDatProof` finds a better map.
struct TraceDatClocks {
    /// Nanoseconds of the host's ticks; nil when they are nanoseconds.
    let scale: TSCScale?

    init(host: TraceDatSession.Member, ticksPerSecond: Double?) throws(TraceDatError) {
        var scale: TSCScale?
        if let ticksPerSecond {
            scale = try Self.scale(ticksPerSecond: ticksPerSecond)
        } else if host.clock == .x86TSC {
            guard let said = host.source.file.options.ticksToNanoseconds, said.multiplier > 0, said.shift < 64 else {
                throw TraceDatError(
                    "'\(host.source.path)'",
                    "its clock is x86-tsc and it does not say how many cycles a second has: give --ts2secs HZ "
                        + "(the kernel logs it at boot: 'tsc: Detected … MHz processor')")
            }
            scale = TSCScale(multiplier: said.multiplier, shift: UInt8(said.shift), zero: 0)
        }
        if host.offsetNanoseconds != 0 {
            // Nanoseconds are cycles of themselves.
            scale = scale ?? TSCScale(multiplier: 1, shift: 0, zero: 0)
            scale?.zero = host.offsetNanoseconds
        }
        self.scale = scale
    }

    /// `trace-cmd report --ts2secs`: ticks by their number in a second.
    private static func scale(ticksPerSecond: Double) throws(TraceDatError) -> TSCScale {
        guard ticksPerSecond.isFinite, ticksPerSecond >= 1e6, ticksPerSecond <= 1e11 else {
            throw TraceDatError("--ts2secs", "\(ticksPerSecond) is no clock's frequency in hertz")
        }
        var shift: UInt8 = 31
        var multiplier = 1e9 / ticksPerSecond * 0x1p31
        while multiplier >= 0x1p32 {
            multiplier /= 2
            shift -= 1
        }
        return TSCScale(multiplier: UInt32(multiplier.rounded(.down)), shift: shift, zero: 0)
    }

    /// KVM's own numbers, in the order in which they are told; nil when the file has none, or the user moves them.
    func exactFacts(of guest: TraceDatSession.Member) -> [ClockFacts]? {
        guard let (shift, cpus) = measured(guest), !shift.isInterpolated, guest.clock == .x86TSC, let scale,
            guest.offsetNanoseconds == 0
        else { return nil }
        return kvm(cpus, scale)
    }

    /// Maps of unknown error, one of each CPU or one of all; none when nothing is known.
    func estimates(of guest: TraceDatSession.Member) -> [GivenClock] {
        guard let (shift, cpus) = measured(guest) else { return offsetAlone(of: guest) }
        let method = shift.isInterpolated ? "trace-cmd ptp" : "trace-cmd"
        return cpus.map { cpu, samples in
            GivenClock(
                cpu: cpu, knots: knots(samples, shift, guest.offsetNanoseconds), nanosecondsPerTick: rate(samples),
                method: guest.offsetNanoseconds == 0 ? method : "\(method), --ts-offset")
        }
    }

    /// A user moves a clock that was compared: that is not for evidence to undo.
    func isMoved(_ guest: TraceDatSession.Member) -> Bool {
        guest.offsetNanoseconds != 0 && measured(guest) != nil
    }

    private func measured(
        _ guest: TraceDatSession.Member
    ) -> (shift: TraceDatOptions.TimeShift, cpus: [(cpu: Int, samples: [TraceDatOptions.ClockSample])])? {
        guard let shift = guest.source.file.options.timeShift else { return nil }
        let measured = shift.cpus.enumerated().filter { !$0.element.isEmpty }
        guard !measured.isEmpty else { return nil }
        return (shift, measured.map { (cpu: $0.offset, samples: $0.element) })
    }

    /// Each vCPU's first numbers held always; where later ones differ, from the moment on at which they were measured.
    private func kvm(_ cpus: [(cpu: Int, samples: [TraceDatOptions.ClockSample])], _ scale: TSCScale) -> [ClockFacts] {
        func vcpu(_ cpu: Int, _ sample: TraceDatOptions.ClockSample) -> KVMClock.VCPU {
            KVMClock.VCPU(
                vcpu: cpu, offset: 0 &- sample.offset, ratio: UInt64(clamping: max(1, sample.scaling)),
                fractionBits: UInt8(clamping: sample.fraction))
        }
        var facts: [ClockFacts] = [
            .kvm(KVMClock(scale: scale, vcpus: cpus.map { vcpu($0.cpu, $0.samples[0]) }))
        ]
        var changes: [KVMClock] = []
        for (cpu, samples) in cpus {
            for (before, sample) in zip(samples, samples.dropFirst())
            where (before.offset, before.scaling, before.fraction) != (sample.offset, sample.scaling, sample.fraction) {
                changes.append(
                    KVMClock(scale: scale, vcpus: [vcpu(cpu, sample)], since: scale.hostTime(hostTicks(sample))))
            }
        }
        changes.sort { ($0.since ?? HostTime(nanoseconds: 0)) < ($1.since ?? HostTime(nanoseconds: 0)) }
        facts += changes.map { .kvm($0) }
        return facts
    }

    private func knots(
        _ samples: [TraceDatOptions.ClockSample], _ shift: TraceDatOptions.TimeShift, _ offset: Int64
    ) -> [GivenClock.Knot] {
        let bound = GivenClock.Knot.unknownBoundNanoseconds
        var knots: [GivenClock.Knot] = []
        for sample in samples.suffix(Limits.clockKnots / 2) {
            // Without interpolation an offset holds until the next one: a step.
            if !shift.isInterpolated, let last = knots.last, sample.ticks > last.ticks.rawValue &+ 1 {
                var before = sample
                before.ticks = sample.ticks - 1
                let distance = Double(before.ticks - last.ticks.rawValue) * nanosecondsPerHostTick
                knots.append(
                    GivenClock.Knot(
                        ticks: TraceTicks(before.ticks), host: last.host.advanced(by: Int64(saturating: distance)),
                        boundNanoseconds: bound))
            }
            guard sample.ticks > knots.last?.ticks.rawValue ?? 0 || knots.isEmpty else { continue }
            knots.append(
                GivenClock.Knot(
                    ticks: TraceTicks(sample.ticks), host: hostTime(hostTicks(sample)).advanced(by: offset),
                    boundNanoseconds: bound))
        }
        return knots
    }

    /// Of the whole line of measurements: what lies outside of them goes on like that.
    private func rate(_ samples: [TraceDatOptions.ClockSample]) -> Double {
        guard let first = samples.first, let last = samples.last, last.ticks > first.ticks else {
            return nanosecondsPerHostTick
        }
        let host = Double(hostTime(hostTicks(last)) - hostTime(hostTicks(first)))
        let rate = host / Double(last.ticks - first.ticks)
        return rate > 0 ? rate : nanosecondsPerHostTick
    }

    /// Recorded apart: the user's offset between two clocks that run alike.
    private func offsetAlone(of guest: TraceDatSession.Member) -> [GivenClock] {
        guard guest.offsetNanoseconds != 0 else { return [] }
        let own = guest.source.file.options.ticksToNanoseconds
        let rate =
            own.map { Double($0.multiplier) / Double(sign: .plus, exponent: Int(min($0.shift, 63)), significand: 1) }
            ?? (guest.clock == .x86TSC ? nanosecondsPerHostTick : 1)
        guard rate > 0 else { return [] }
        return [
            GivenClock(
                knots: [
                    GivenClock.Knot(
                        ticks: TraceTicks(0), host: HostTime(nanoseconds: guest.offsetNanoseconds),
                        boundNanoseconds: GivenClock.Knot.unknownBoundNanoseconds)
                ], nanosecondsPerTick: rate, method: "--ts-offset")
        ]
    }

    /// The host's clock at a measurement: KVM's `guest = (host × ratio >> fraction) + offset`, inverted. The option holds the
    /// offset negated.
    private func hostTicks(_ sample: TraceDatOptions.ClockSample) -> UInt64 {
        let unscaled = sample.ticks &+ UInt64(bitPattern: sample.offset)
        guard sample.scaling > 1, (0..<64).contains(sample.fraction) else { return unscaled }
        return UInt64(clamping: (UInt128(unscaled) << UInt128(sample.fraction)) / UInt128(sample.scaling))
    }

    func hostTime(_ ticks: UInt64) -> HostTime {
        scale?.hostTime(ticks) ?? HostTime(nanoseconds: Int64(clamping: ticks))
    }

    private var nanosecondsPerHostTick: Double { scale?.nanosecondsPerCycle ?? 1 }

    /// The latest host reading that is not after `time`: a watermark that promises nothing too much.
    func hostTicks(notAfter time: HostTime) -> UInt64 {
        guard let scale else { return UInt64(clamping: time.nanoseconds) }
        let nanoseconds = UInt64(clamping: time.nanoseconds &- scale.zero)
        let ticks = (UInt128(nanoseconds) << UInt128(scale.shift)) / UInt128(max(1, scale.multiplier))
        return UInt64(clamping: ticks)
    }
}
