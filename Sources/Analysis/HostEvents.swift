import TraceModel

/// The host's events, from the record to the state machines they concern.
extension Analyzer {
    /// Makes room for a CPU of the host; false when there can be no such CPU.
    mutating func see(cpu: Int) -> Bool {
        if cpu >= 0, cpu < cpus.count { return true }
        guard (0..<Limits.cpus).contains(cpu) else { return false }
        while cpus.count <= cpu { cpus.append(HostCPU(start: start)) }
        return true
    }

    /// Inlined, like the few below: it is one function for nearly every event, and registers are few.
    @inline(__always)
    mutating func hostEvent(_ header: EventHeader, in records: borrowing RawSpan, on cpu: Int, at time: Int64) {
        let type = Int(header.typeIndex)
        let event = type < host.events.count ? host.events[type] : .other
        if cpus[cpu].tid != header.pid { checkOccupant(header.pid, on: cpu, at: time, event: event) }
        let isUnderstood =
            switch event {
            case .other: true
            case .switched: switched(header, records, cpu, time)
            case .waking: woken(host.waking, header, records, cpu, time, isWaker: true)
            case .wakeup: woken(host.wakeup, header, records, cpu, time, isWaker: false)
            case .wakeupNew: born(header, records, cpu, time)
            case .migrated: migrated(header, records, time)
            case .processExit: ended(host.processExit, header, records, time, isExit: true)
            case .processExec: ended(host.processExec, header, records, time, isExit: false)
            case .entry: entered(header, records, cpu, time)
            case .exit: exited(header, records, cpu, time)
            case .userspaceExit: returnedToUserspace(header, records, cpu, time)
            case .vcpuWakeup: haltEnded(header, records, cpu, time)
            case .haltPoll: haltPollChanged(header, records, cpu)
            case .interruptAccepted: interruptAccepted(header, records, cpu, time)
            case .interruptInjected: interruptInjected(header, records, cpu)
            case .nestedExitInjected: nestedExitInjected(header, records, cpu, time)
            case .waitTrapped: waitTrapped(header, records, cpu, time)
            }
        if !isUnderstood { anomalies.add(.fieldMissing) }
        cpus[cpu].sawEvent(at: time)
    }

    // MARK: Who is on the CPU

    /// An event's current thread is not the one believed to be on its CPU.
    ///
    /// When nobody is believed there, after a loss or at the start, any event settles it. When somebody is, a switch is
    /// missing, which is a loss that nobody reported. Only events that cannot fall between `sched_switch` and the switch
    /// itself are taken for that: others may carry the leaving thread's id for a moment after it was switched out.
    private mutating func checkOccupant(_ tid: Int32, on cpu: Int, at time: Int64, event: HostEvent) {
        let isCertain = host.knowledge.scheduling
        if isCertain, cpus[cpu].tid != Occupant.unknownTID {
            switch event {
            case .switched, .entry, .exit, .userspaceExit: break
            default: return
            }
            anomalies.add(.switchChainBroken)
            checks.passed(.hostSwitchChain)
            checks.violated(.hostSwitchChain)
            lose(cpu: cpu, isOpen: false)
        }
        // Who had it until now nobody knows.
        shareOut(cpu, until: time)
        let before = Int(cpus[cpu].vcpu)
        if before >= 0, vcpus[before].cpu == Int32(cpu) { vcpus[before].lostSight() }
        let slot = slot(of: tid)
        cpus[cpu].occupied(by: occupant(tid, slot, hostNames[tid]), vcpu: Int32(slot), at: time, isCertain: isCertain)
        if slot >= 0, vcpus[slot].cpu != Int32(cpu), !isStale(slot, on: cpu, at: time) { find(slot, on: cpu, at: time) }
    }

    private func occupant(_ tid: Int32, _ slot: Int, _ comm: Comm) -> Occupant {
        Occupant(tid: tid, vcpuSerial: slot < 0 ? 0 : vcpus[slot].serial, comm: comm)
    }

    /// The vCPU's thread is on `cpu`, though nothing told that it came there.
    private mutating func find(_ slot: Int, on cpu: Int, at time: Int64) {
        stopWaiting(slot, at: time)
        leaveOther(cpu, slot)
        vcpus[slot].found(on: Int32(cpu), at: time)
    }

    /// The vCPU's thread is on `cpu`. Nobody is on two CPUs: when it was believed to be on another one, how it left that is
    /// missing there, and what it did since that CPU's last event is not known.
    private mutating func leaveOther(_ cpu: Int, _ slot: Int) {
        let other = vcpus[slot].cpu
        guard other != VCPU.nowhere, other != Int32(cpu) else { return }
        vcpus[slot].lost(at: cpus[Int(other)].lastEvent)
    }

    /// Whether the event on `cpu` may still change the vCPU. One that comes after later events of the same vCPU takes
    /// effect at the last of them, unless that has put the vCPU on another CPU: then it is too late to mean anything.
    @inline(__always)
    private mutating func isTimely(_ slot: Int, on cpu: Int, at time: Int64) -> Bool {
        time >= vcpus[slot].settled || isInTime(slot, on: cpu, at: time)
    }

    @inline(never)
    private mutating func isInTime(_ slot: Int, on cpu: Int, at time: Int64) -> Bool {
        anomalies.add(.eventMovedUp)
        return !isStale(slot, on: cpu, at: time)
    }

    @inline(__always)
    private func isStale(_ slot: Int, on cpu: Int, at time: Int64) -> Bool {
        let position = vcpus[slot].cpu
        return position != VCPU.nowhere && position != Int32(cpu) && time < vcpus[slot].settled
    }

    // MARK: Scheduler

    private mutating func switched(
        _ header: EventHeader, _ records: borrowing RawSpan, _ cpu: Int, _ time: Int64
    ) -> Bool {
        guard let fields = host.switched, let previousTID = fields.previousTID.value(in: records, of: header),
            let state = fields.previousState.value(in: records, of: header),
            let next = fields.nextTID.value(in: records, of: header)
        else { return false }
        let previous = Int32(truncatingIfNeeded: previousTID)
        if cpus[cpu].tid == previous {
            checks.passed(.hostSwitchChain)
        } else {
            checkOccupant(previous, on: cpu, at: time, event: .switched)
        }
        let previousComm = fields.previousComm?.value(in: records, of: header) ?? Comm()
        cpus[cpu].name(previousComm)
        shareOut(cpu, until: time)

        let leaving = Int(cpus[cpu].vcpu)
        let nextTID = Int32(truncatingIfNeeded: next)
        let nextComm = fields.nextComm?.value(in: records, of: header) ?? Comm()
        let entering = nextTID == 0 ? -1 : slot(of: nextTID)
        cpus[cpu].switched(to: occupant(nextTID, entering, nextComm), vcpu: Int32(entering), at: time)

        if leaving >= 0, isTimely(leaving, on: cpu, at: time) {
            vcpus[leaving].comm = previousComm
            if fields.meaning.isDead(state) {
                retire(leaving, at: time)
            } else {
                stopWaiting(leaving, at: time)
                let isRunnable = fields.meaning.isRunnable(state)
                vcpus[leaving].switchedOut(
                    isRunnable: isRunnable, isInterruptible: fields.meaning.isInterruptible(state), on: Int32(cpu),
                    at: time)
                if isRunnable { startWaiting(leaving, for: Int32(cpu)) }
            }
        }
        if entering >= 0, isTimely(entering, on: cpu, at: time) {
            vcpus[entering].comm = nextComm
            stopWaiting(entering, at: time)
            leaveOther(cpu, entering)
            vcpus[entering].switchedIn(on: Int32(cpu), at: time)
        }
        return true
    }

    /// `sched_waking` names the CPU where the thread was; `sched_wakeup` the one that was chosen for it.
    ///
    /// A wake-up that finds the thread still on its CPU is not counted: it is about to sleep, and the kernel then either
    /// lets it go on, or writes `sched_wakeup` when it is really asleep (`try_to_wake_up`). That second event can come from the
    /// CPU where the thread slept, in the handler of an interrupt between CPUs: only `sched_waking` is the waker's own.
    private mutating func woken(
        _ fields: HostBinding.Wake?, _ header: EventHeader, _ records: borrowing RawSpan, _ cpu: Int, _ time: Int64,
        isWaker: Bool
    ) -> Bool {
        guard let fields, let tid = fields.tid.value(in: records, of: header) else { return false }
        let slot = slot(of: Int32(truncatingIfNeeded: tid))
        guard slot >= 0, host.knowledge.scheduling else { return true }
        let target = fields.targetCPU?.value(in: records, of: header).flatMap { Int32(exactly: $0) } ?? VCPU.nowhere
        if vcpus[slot].state.isReady {
            if target >= 0 { moveWait(slot, to: target, at: time) }
        } else if vcpus[slot].cpu == VCPU.nowhere {
            if time < vcpus[slot].settled { anomalies.add(.eventMovedUp) }
            let isHalted = vcpus[slot].state == .halted
            let cause = isHalted ? wakeUpReason(of: slot, header, on: cpu, isWaker: isWaker) : (.unknown, nil)
            vcpus[slot].woken(by: cause.reason, vector: cause.vector, at: time)
            startWaiting(slot, for: target >= 0 ? target : vcpus[slot].lastCPU)
        }
        return true
    }

    /// A thread is born once: when its id belonged to a vCPU that was seen alive, that one's end was missed.
    private mutating func born(
        _ header: EventHeader, _ records: borrowing RawSpan, _ cpu: Int, _ time: Int64
    ) -> Bool {
        guard let tid = host.wakeupNew?.tid.value(in: records, of: header) else { return false }
        let slot = slot(of: Int32(truncatingIfNeeded: tid))
        guard slot >= 0, vcpus[slot].isSeen else {
            return woken(host.wakeupNew, header, records, cpu, time, isWaker: true)
        }
        retire(slot, at: time)
        return true
    }

    private mutating func migrated(_ header: EventHeader, _ records: borrowing RawSpan, _ time: Int64) -> Bool {
        guard let fields = host.migration, let tid = fields.tid.value(in: records, of: header),
            let destination = fields.destinationCPU.value(in: records, of: header)
        else { return false }
        let slot = slot(of: Int32(truncatingIfNeeded: tid))
        if slot >= 0, vcpus[slot].state.isReady, destination >= 0, let cpu = Int32(exactly: destination) {
            moveWait(slot, to: cpu, at: time)
        }
        return true
    }

    /// `sched_process_exit`, one per thread, or `sched_process_exec`: a thread that executes another program is no vCPU
    /// any more. Its id may belong to anybody from here on.
    private mutating func ended(
        _ field: IntegerField?, _ header: EventHeader, _ records: borrowing RawSpan, _ time: Int64, isExit: Bool
    ) -> Bool {
        guard let value = field?.value(in: records, of: header) else { return false }
        let tid = Int32(truncatingIfNeeded: value)
        if isExit {
            threadEnded(tid, at: time)
        } else {
            let slot = slot(of: tid)
            if slot >= 0 { retire(slot, at: time) }
            hostNames.remove(tid)
        }
        return true
    }

    mutating func threadEnded(_ tid: Int32, at time: Int64) {
        let slot = slot(of: tid)
        if slot >= 0 { retire(slot, at: time) }
        hostNames.remove(tid)
        kernelThreads.remove(tid)
        if let machine = machineByPID[tid] { processEnded(machine, pid: tid) }
    }

    // MARK: KVM

    /// The vCPU whose thread wrote a `kvm` event on `cpu`, adopted when it was not known; nil when there is no room, or
    /// when the event came too late to mean anything.
    @inline(__always)
    mutating func vcpu(_ header: EventHeader, kvmID: Int64?, on cpu: Int, at time: Int64) -> Int? {
        let slot = Int(cpus[cpu].vcpu)
        // Nearly always it is known, has been seen on this CPU, and nothing later of it was told.
        if slot >= 0, vcpus[slot].cpu == Int32(truncatingIfNeeded: cpu), time >= vcpus[slot].settled,
            kvmID == nil || kvmID == Int64(vcpus[slot].kvmID)
        {
            return slot
        }
        return findVCPU(header, kvmID: kvmID.flatMap { Int32(exactly: $0) } ?? -1, on: cpu, at: time)
    }

    @inline(never)
    private mutating func findVCPU(_ header: EventHeader, kvmID: Int32, on cpu: Int, at time: Int64) -> Int? {
        var slot = Int(cpus[cpu].vcpu)
        if slot < 0 || kvmID >= 0 && vcpus[slot].kvmID != kvmID {
            guard let known = recognize(slot, tid: header.pid, kvmID: kvmID, at: time) else { return nil }
            slot = known
            cpus[cpu].recognized(vcpu: Int32(slot), serial: vcpus[slot].serial)
        }
        guard isTimely(slot, on: cpu, at: time) else { return nil }
        if vcpus[slot].cpu != Int32(cpu) { find(slot, on: cpu, at: time) }
        return slot
    }

    private mutating func entered(
        _ header: EventHeader, _ records: borrowing RawSpan, _ cpu: Int, _ time: Int64
    ) -> Bool {
        let kvmID = host.entryVCPU?.value(in: records, of: header)
        guard let slot = vcpu(header, kvmID: kvmID, on: cpu, at: time), vcpus[slot].knowsGuestMode else { return true }
        checks.passed(.entryExitAlternation)
        if let anomaly = vcpus[slot].entered(on: Int32(cpu), at: time) { missed(anomaly) }
        let outside = vcpus[slot].takeEventsOutside()
        if outside > 0 {
            anomalies.add(.guestEventOutsideEntry, outside)
            checks.violated(.guestEventContainment, outside)
        }
        return true
    }

    private mutating func exited(
        _ header: EventHeader, _ records: borrowing RawSpan, _ cpu: Int, _ time: Int64
    ) -> Bool {
        guard let fields = host.exit, let reason = fields.reason.value(in: records, of: header) else { return false }
        let kvmID = fields.vcpu?.value(in: records, of: header)
        guard let slot = vcpu(header, kvmID: kvmID, on: cpu, at: time) else { return true }
        let exit: ExitCode
        if let exceptionClass = fields.exceptionClass?.value(in: records, of: header) {
            exit = ExitCode(
                exceptionCode: UInt32(truncatingIfNeeded: reason),
                exceptionClass: UInt32(truncatingIfNeeded: exceptionClass))
        } else {
            let isa = fields.isa?.value(in: records, of: header) ?? Int64(ExitCode.ISA.none.rawValue)
            exit = ExitCode(exitReason: UInt32(truncatingIfNeeded: reason), isa: UInt64(bitPattern: isa))
        }
        guard vcpus[slot].knowsGuestMode else {
            vcpus[slot].countedExit(exit)
            return true
        }
        let anomaly = vcpus[slot].exited(
            exit, on: Int32(cpu), at: time, knowsScheduling: host.knowledge.scheduling)
        checks.passed(.entryExitAlternation)
        if let anomaly { missed(anomaly) }
        effected(exit, on: slot, at: time)
        return true
    }

    private mutating func missed(_ anomaly: Anomaly) {
        anomalies.add(anomaly)
        checks.violated(.entryExitAlternation)
    }

    private mutating func returnedToUserspace(
        _ header: EventHeader, _ records: borrowing RawSpan, _ cpu: Int, _ time: Int64
    ) -> Bool {
        guard let slot = vcpu(header, kvmID: nil, on: cpu, at: time), vcpus[slot].knowsGuestMode else { return true }
        // KVM_EXIT_HLT of include/uapi/linux/kvm.h; with an error (a signal came) the reason is not set anew.
        let reason = host.userspaceExit.reason?.value(in: records, of: header)
        let error = host.userspaceExit.error?.value(in: records, of: header) ?? 0
        vcpus[slot].returnedToUserspace(isHalt: reason == 5 && error >= 0, on: Int32(cpu), at: time)
        return true
    }
}
