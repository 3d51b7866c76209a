import TraceModel

/// What ends the halt of a vCPU: evidence from the host's events.
///
/// Three kinds, the later the better. The context in which the thread is woken: an interrupt handler's wake-up is KVM's
/// emulated timer, another vCPU's an IPI, that of a `vhost-` thread the network, that of the VMM's own threads the disk
/// (Nemati's wait analysis, W2A, takes them so). The vector of the interrupt, where it is known what it means. The first
/// interrupt that the guest itself reports (GuestEvents.swift).
///
/// An accepted interrupt (`kvm_apic_accept_irq`, `kvm_apicv_accept_irq`) goes right before the wake-up that it causes, in
/// the same thread; only the emulated timer's is accepted by the vCPU itself after it was woken. So an interrupt handler
/// that accepts one first is not the timer's: an assigned device's (`irqfd_wakeup`), or a posted one. Of a device whose posted
/// interrupts wake the vCPU without KVM (`pi_wakeup_handler`) no host event tells: that is taken for the timer until the
/// guest says better.
extension Analyzer {
    /// `TRACE_FLAG_HARDIRQ` of `common_flags` (include/linux/trace_events.h).
    private static let hardIRQ: UInt8 = 0x08

    /// The reason for which the halted vCPU in `slot` is woken by the event in `header` on `cpu`, and the interrupt that does so.
    mutating func wakeUpReason(
        of slot: Int, _ header: EventHeader, on cpu: Int, isWaker: Bool
    ) -> (reason: WakeUps.Reason, vector: UInt8?) {
        checkHaltedTask(of: slot, wokenOn: cpu)
        let machine = vcpus[slot].machine
        let vector = cpus[cpu].takeVector(for: vcpus[slot].kvmID, by: header.pid)
        let isInterrupt = header.flags & Self.hardIRQ != 0
        if isInterrupt, isWaker, vector == nil { return (.timer, nil) }
        let context = isInterrupt ? .unknown : context(header, on: cpu, waking: slot)
        guard let vector else { return (context, nil) }
        return (reason(of: vector, context: context, in: machine), vector)
    }

    /// What the interrupt is for, by what its context says, which teaches its vector, or by what that was taught before.
    ///
    /// Changed in the dictionary: through `machines[machine]?` the whole machine would be copied out of it and back.
    private mutating func reason(
        of vector: UInt8, context: WakeUps.Reason, in machine: UInt32
    ) -> WakeUps.Reason {
        guard let place = machines.index(forKey: machine) else { return context }
        return machines.values[place].vectors.reason(of: vector, context: context)
    }

    /// What the thread that wakes the vCPU says.
    @inline(__always)
    private func context(_ header: EventHeader, on cpu: Int, waking slot: Int) -> WakeUps.Reason {
        guard cpus[cpu].tid == header.pid else { return .unknown }
        let waker = Int(cpus[cpu].vcpu)
        if waker >= 0 { return vcpus[waker].machine == vcpus[slot].machine ? .ipi : .unknown }
        if Machine.networkThreads.contains(where: { cpus[cpu].occupant.comm.hasPrefix($0) }) { return .net }
        if machineByPID[header.pid] == vcpus[slot].machine { return .disk }
        let isDevices = Machine.deviceThreads.contains { cpus[cpu].occupant.comm.hasPrefix($0) }
        return isDevices && machines[vcpus[slot].machine]?.vmmPID != nil ? .disk : .unknown
    }

    /// The vCPU is about to be woken out of a halt. Nobody but the idle task halts, except a paravirtual spinlock's waiter
    /// (`kvm_wait`, arch/x86/kernel/kvm.c), which the lock's owner kicks by a hypercall.
    private mutating func checkHaltedTask(of slot: Int, wokenOn cpu: Int) {
        guard let isIdle = vcpus[slot].guestIsIdle else { return }
        checks.passed(.runningWhileHalted)
        guard !isIdle else { return }
        let waker = Int(cpus[cpu].vcpu)
        let isKick =
            waker >= 0 && vcpus[waker].machine == vcpus[slot].machine
            && vcpus[waker].exits.exit(of: vcpus[waker].currentExit)?.isHypercall ?? false
        // The switch to the idle task may be placed later than it was, and the one from it earlier, by the clock's error.
        guard !isKick, !vcpus[slot].isTaskUncertain(at: now) else { return checks.excused(.runningWhileHalted) }
        checks.violated(.runningWhileHalted)
        // Its switch to the idle task is missing: the guest's events are incomplete, or came to their end.
        let machine = vcpus[slot].machine
        guard let guest = guests.lastIndex(where: { $0.machine == machine }) else { return }
        for cpu in guests[guest].cpus.indices where guests[guest].cpus[cpu].vcpu == Int32(slot) {
            loseTask(guest, cpu, at: now)
        }
    }

    // MARK: Events

    mutating func interruptAccepted(
        _ header: EventHeader, _ records: borrowing RawSpan, _ cpu: Int, _ time: Int64
    ) -> Bool {
        guard let fields = host.accepted, let target = fields.kvmID.value(in: records, of: header),
            let vector = fields.vector.value(in: records, of: header)
        else { return false }
        let kvmID = Int32(truncatingIfNeeded: target)
        let own = Int(cpus[cpu].vcpu)
        if own >= 0, vcpus[own].kvmID == kvmID, cpus[cpu].tid == header.pid {
            // Whom another thread woke accepts its timer's interrupt by chance now: that says nothing of the wake-up.
            let reason = vcpus[own].wakeUps.openReason
            if reason == .timer || reason == .unknown { reached(own, UInt8(truncatingIfNeeded: vector)) }
        } else {
            cpus[cpu].accepted(UInt8(truncatingIfNeeded: vector), for: kvmID, by: header.pid, at: time)
        }
        return true
    }

    mutating func interruptInjected(_ header: EventHeader, _ records: borrowing RawSpan, _ cpu: Int) -> Bool {
        guard let vector = host.injectedVector?.value(in: records, of: header) else { return false }
        let own = Int(cpus[cpu].vcpu)
        if own >= 0, cpus[cpu].tid == header.pid { reached(own, UInt8(truncatingIfNeeded: vector)) }
        return true
    }

    /// The first interrupt after a halt: what the waker's context said teaches its vector, and what the vector means
    /// answers where the context said nothing.
    private mutating func reached(_ slot: Int, _ vector: UInt8) {
        guard let told = vcpus[slot].wakeUps.openReason else { return }
        let reason = reason(of: vector, context: told, in: vcpus[slot].machine)
        vcpus[slot].wakeUps.reached(by: vector, reason)
    }

    /// The guest reports an interrupt on the vCPU in `slot`.
    mutating func reported(_ reason: WakeUps.Reason, on slot: Int) {
        guard let vector = vcpus[slot].wakeUps.settle(reason) else { return }
        _ = self.reason(of: vector, context: reason, in: vcpus[slot].machine)
    }

    mutating func haltPollChanged(_ header: EventHeader, _ records: borrowing RawSpan, _ cpu: Int) -> Bool {
        guard let limit = host.haltPollLimit?.value(in: records, of: header) else { return false }
        let own = Int(cpus[cpu].vcpu)
        if own >= 0, cpus[cpu].tid == header.pid { vcpus[own].haltPollLimit = limit }
        return true
    }
}

extension ExitCode {
    /// VMCALL, VMMCALL, HVC.
    fileprivate var isHypercall: Bool {
        switch isa {
        case .vmx: reason == 18
        case .svm: reason == 0x81
        case .arm64: reason == 0x16 || reason == 0x12
        case .none: false
        }
    }
}
