import TraceModel

/// A guest's events, from its door to its own rows.
extension Analyzer {
    /// The place of a guest among `guests`; a new one gets a new place. There are few: a scan beats hashing.
    mutating func guestIndex(of source: SourceID) -> Int {
        if let index = guests.firstIndex(where: { $0.id.rawValue == source.rawValue }) { return index }
        guests.append(GuestSource(id: source))
        return guests.count - 1
    }

    /// Makes room for the CPU of a guest, and finds out which vCPUs its CPUs are when identities have changed.
    mutating func prepare(guest: Int, cpu: Int) -> Bool {
        guard guests[guest].see(cpu) else { return false }
        guard guests[guest].resolvedGeneration != identityGeneration else { return true }
        guests[guest].resolvedGeneration = identityGeneration
        var slots = [Int32](repeating: -1, count: guests[guest].cpus.count)
        let machine = guests[guest].machine
        if machine != 0 {
            for slot in vcpus.indices where vcpus[slot].phase == .live && vcpus[slot].machine == machine {
                let number = Int(vcpus[slot].number)
                if slots.indices.contains(number) { slots[number] = Int32(slot) }
            }
        }
        for cpu in slots.indices where slots[cpu] != guests[guest].cpus[cpu].vcpu { link(guest, cpu, to: slots[cpu]) }
        return true
    }

    /// CPU `cpu` of the guest turns out to be another vCPU than before, or one at all. The task on it goes on, and what it
    /// got so far is settled with the former.
    private mutating func link(_ guest: Int, _ cpu: Int, to slot: Int32) {
        let task = guests[guest].cpus[cpu]
        settleTask(guest, cpu, at: now, toIdle: nil, boundNanoseconds: 0)
        if task.vcpu >= 0 { vcpus[Int(task.vcpu)].follow(tasks: false, from: now) }
        guests[guest].setVCPU(slot, of: cpu)
        if slot >= 0 { vcpus[Int(slot)].follow(tasks: guests[guest].tellsTasks, from: now) }
        guard task.isKnown else { return }
        settleTask(guest, cpu, at: now, toIdle: task.tid == 0, boundNanoseconds: 0)
        guests[guest].enter(cpu, task.tid, task.comm, at: now)
        listTask(guest, cpu)
    }

    /// The guest is no longer heard of: its vCPUs go on without tasks, but for those whose tasks its next agent tells.
    mutating func unlink(_ guest: Int) {
        for cpu in guests[guest].cpus.indices {
            let vcpu = guests[guest].cpus[cpu].vcpu
            let isTold = guests.indices.contains { $0 != guest && guests[$0].cpus.contains { $0.vcpu == vcpu } }
            if vcpu >= 0, !isTold { vcpus[Int(vcpu)].follow(tasks: false, from: now) }
        }
    }

    mutating func guestEvent(
        _ header: EventHeader, in records: borrowing RawSpan, of guest: Int, on cpu: Int, at time: Int64,
        boundNanoseconds: Int64
    ) {
        let slot = Int(guests[guest].cpus[cpu].vcpu)
        if slot >= 0, vcpus[slot].knowsGuestMode {
            checks.passed(.guestEventContainment)
            vcpus[slot].guestEvent(at: time, boundNanoseconds: boundNanoseconds)
        }
        let type = Int(header.typeIndex)
        let event = type < guests[guest].binding.events.count ? guests[guest].binding.events[type] : .other
        if slot >= 0 { vcpus[slot].causes.wentOn() }
        switch event {
        case .other: break
        case .switched: guestSwitched(guest, cpu, header, records, time, boundNanoseconds)
        case .migrated:
            guard let tid = guests[guest].binding.migratedTID?.value(in: records, of: header) else { return }
            guests[guest].migrations &+= 1
            guests[guest].tasks.migrated(Int32(truncatingIfNeeded: tid))
        case .ended:
            guard let tid = guests[guest].binding.endedTID?.value(in: records, of: header) else { return }
            if guests[guest].binding.switched?.previousState == nil {
                guests[guest].tasks.ended(Int32(truncatingIfNeeded: tid))
            } else {
                guests[guest].tasks.ending(Int32(truncatingIfNeeded: tid))
            }
        case .born:
            guard let tid = guests[guest].binding.bornTID?.value(in: records, of: header) else { return }
            guests[guest].tasks.ended(Int32(truncatingIfNeeded: tid))
        case .timerStarted: caused(.timer, by: guest, slot, at: time, boundNanoseconds: boundNanoseconds)
        case .idled:
            // PWR_EVENT_EXIT of include/trace/events/power.h: the end of it.
            let state = guests[guest].binding.idleState?.value(in: records, of: header)
            guard let state, UInt32(truncatingIfNeeded: state) != .max else { return }
            caused(.halt, by: guest, slot, at: time, boundNanoseconds: boundNanoseconds)
        case .timer: if slot >= 0 { reported(.timer, on: slot) }
        case .ipi: if slot >= 0 { reported(.ipi, on: slot) }
        case .device:
            guard slot >= 0, vcpus[slot].wakeUps.isOpen,
                let reason = guests[guest].binding.reason(of: header, in: records)
            else { return }
            reported(reason, on: slot)
        }
    }

    private mutating func guestSwitched(
        _ guest: Int, _ cpu: Int, _ header: EventHeader, _ records: borrowing RawSpan, _ time: Int64,
        _ boundNanoseconds: Int64
    ) {
        guard let fields = guests[guest].binding.switched, let next = fields.nextTID.value(in: records, of: header)
        else { return }
        let nextTID = Int32(truncatingIfNeeded: next)
        if guests[guest].cpus[cpu].isKnown, let previous = fields.previousTID?.value(in: records, of: header) {
            checks.passed(.guestSwitchChain)
            if Int32(truncatingIfNeeded: previous) != guests[guest].cpus[cpu].tid {
                checks.violated(.guestSwitchChain)
                anomalies.add(.switchChainBroken)
                loseTask(guest, cpu, at: time)
            }
        }
        let before = guests[guest].binding.migratedTID == nil ? guests[guest].cpu(of: nextTID) : -1
        if before >= 0, before != Int32(cpu) { guests[guest].migrations &+= 1 }
        settleTask(guest, cpu, at: time, toIdle: nextTID == 0, boundNanoseconds: boundNanoseconds)
        if let state = fields.previousState?.value(in: records, of: header), fields.meaning.isDead(state),
            let previous = fields.previousTID?.value(in: records, of: header)
        {
            guests[guest].tasks.ended(Int32(truncatingIfNeeded: previous))
        }
        let comm = fields.nextComm?.value(in: records, of: header) ?? Comm()
        guests[guest].enter(cpu, nextTID, comm, at: time)
        listTask(guest, cpu)
    }

    /// Gives the time since the last switch of the guest's CPU to the task that had it.
    mutating func settleTask(
        _ guest: Int, _ cpu: Int, at time: Int64, toIdle isIdle: Bool?, boundNanoseconds: Int64
    ) {
        let slot = Int(guests[guest].cpus[cpu].vcpu)
        if slot >= 0 {
            vcpus[slot].endTask(guests[guest].kind(on: cpu), at: time, boundNanoseconds: boundNanoseconds)
            if vcpus[slot].followsTasks { guests[guest].give(&vcpus[slot].overlay, toTaskOn: cpu) }
            vcpus[slot].beginTask(isIdle: isIdle)
        } else if guests[guest].cpus[cpu].isKnown {
            // Nothing is known of the vCPU, so neither of what it did.
            var unseen = Overlay(since: guests[guest].cpus[cpu].since)
            unseen.left(.unknown, at: time, exit: nil)
            guests[guest].give(&unseen, toTaskOn: cpu)
        }
        guests[guest].forget(cpu)
        listTask(guest, cpu)
    }

    /// The vCPU in `slot` is listed no more, and its slot may become another machine's.
    mutating func forgetVCPU(_ slot: Int) {
        for guest in guests.indices {
            for cpu in guests[guest].cpus.indices where guests[guest].cpus[cpu].vcpu == Int32(slot) {
                settleTask(guest, cpu, at: now, toIdle: nil, boundNanoseconds: 0)
                guests[guest].setVCPU(-1, of: cpu)
            }
        }
    }

    /// Events of a guest's CPU are missing: whose the time was since the last switch, nobody knows.
    mutating func loseTask(_ guest: Int, _ cpu: Int, at time: Int64) {
        guests[guest].hasGaps = true
        let slot = Int(guests[guest].cpus[cpu].vcpu)
        if slot >= 0 {
            vcpus[slot].endTask(.unknown, at: time, boundNanoseconds: 0)
            vcpus[slot].beginTask(isIdle: nil)
        }
        guests[guest].forget(cpu)
        listTask(guest, cpu)
    }
}
