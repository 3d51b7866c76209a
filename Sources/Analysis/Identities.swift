package import TraceModel

/// Who is who: host threads, vCPUs, VMM processes, guests.
///
/// A vCPU is a host thread. It is learned of by its `kvm` events, which name the thread, and by what /proc says about a
/// VMM process; both in any order. A thread whose VMM is not known is a machine of its own until `identify(_:)` tells.
/// Thread and process ids are used again by the kernel, so an id means its vCPU only as long as that thread lives; every
/// way in which its end can be told, or can have been missed, is looked at.
extension Analyzer {
    /// Slot of the live vCPU that is this thread; -1 when it is none.
    ///
    /// Inlined, because for a call from a mutating function the compiler copies the whole analyzer (592 bytes).
    @inline(__always)
    func slot(of tid: Int32) -> Int { Int(slotByTID[tid]) }

    /// What was learned about a VMM process: its name and its vCPU threads. May be told again when there is more.
    package mutating func identify(_ facts: VMFacts) {
        own()
        guard let machine = machine(for: facts) else { return }
        for thread in facts.vcpuThreads { claim(thread, for: machine) }
        for slot in vcpus.indices where vcpus[slot].phase == .live && vcpus[slot].machine == machine {
            refreshKnowledge(of: slot)
        }
        identityGeneration &+= 1
    }

    /// The events of this guest belong to that VMM process.
    package mutating func link(_ source: SourceID, vmmPID: Int32) {
        own()
        let guest = guestIndex(of: source)
        guests[guest].machine = machineByPID[vmmPID] ?? 0
        guests[guest].awaitedPID = guests[guest].machine == 0 ? vmmPID : nil
        nameMachine(of: guest)
        identityGeneration &+= 1
    }

    /// Users name a machine by the agent in it.
    private mutating func nameMachine(of guest: Int) {
        let (machine, name) = (guests[guest].machine, guests[guest].name)
        if !name.isEmpty { machines[machine]?.guestName = name }
    }

    /// `kvm` events began or ceased to tell about this vCPU.
    mutating func refreshKnowledge(of slot: Int) {
        let isEmulated = machines[vcpus[slot].machine]?.isEmulated ?? false
        vcpus[slot].setKnowsGuestMode(host.knowledge.guestMode && !isEmulated)
    }

    var emulationLimits: [String] {
        guard host.knowledge.guestMode else { return [] }
        return machines.values.filter { $0.isEmulated && !$0.isGone }.sorted { $0.serial < $1.serial }.map {
            "\($0.name.sanitized) is emulated without KVM: its guest code and its VMM cannot be told apart (on_cpu)"
        }
    }

    // MARK: Machines

    /// Serial of the machine that the facts are about; nil when there is no room, or the process is known to have ended.
    private mutating func machine(for facts: VMFacts) -> UInt32? {
        if let serial = machineByPID[facts.vmmPID], let known = machines[serial] {
            // All its vCPUs ended, and now the id has another name: the end of the process was missed.
            if known.matches(facts) || known.liveVCPUs > 0 || known.listedVCPUs == 0 {
                machines[serial]?.update(facts)
                return serial
            }
            processEnded(serial, pid: facts.vmmPID)
        }
        for (serial, known) in machines where known.vmmPID == facts.vmmPID {
            // /proc was read before the process ended, and the trace was quicker.
            if known.matches(facts) { return nil }
            machines[serial]?.vmmPID = nil
        }
        guard machines.count < Limits.vcpus else {
            anomalies.add(.tableFull)
            return nil
        }
        lastSerial &+= 1
        machines[lastSerial] = Machine(serial: lastSerial, facts: facts)
        machineByPID[facts.vmmPID] = lastSerial
        for guest in guests.indices where guests[guest].awaitedPID == facts.vmmPID {
            guests[guest].machine = lastSerial
            guests[guest].awaitedPID = nil
            nameMachine(of: guest)
        }
        return lastSerial
    }

    /// The VMM process `pid` ended; its id may be given to another one.
    mutating func processEnded(_ serial: UInt32, pid: Int32) {
        machineByPID[pid] = nil
        machines[serial]?.isGone = true
        dropIfEmpty(serial)
    }

    /// A machine is listed as long as it has vCPUs to list, or can get some.
    private mutating func dropIfEmpty(_ serial: UInt32) {
        guard let machine = machines[serial], machine.listedVCPUs == 0, machine.isGone || machine.isProvisional else {
            return
        }
        machines[serial] = nil
    }

    // MARK: vCPUs

    /// The vCPU behind a `kvm` event of thread `tid`, given what was believed: the one in `slot`, or none (-1).
    mutating func recognize(_ slot: Int, tid: Int32, kvmID: Int32, at time: Int64) -> Int? {
        var slot = slot
        var start = time
        if slot >= 0, kvmID >= 0, vcpus[slot].kvmID >= 0 {
            // A thread stays with its vCPU: this is another thread with the same id.
            retire(slot, at: time)
            start = max(time, vcpus[slot].since)
            slot = -1
        }
        if slot < 0 {
            guard vcpus.count - freeSlots.count < Limits.vcpus || dropOldestRetired() else {
                anomalies.add(.tableFull)
                return nil
            }
            lastSerial &+= 1
            let machine = lastSerial
            machines[machine] = Machine(serial: machine, thread: tid)
            slot = add(tid: tid, to: machine, at: start)
            unidentified.append(tid)
        }
        vcpus[slot].kvmID = kvmID
        identityGeneration &+= 1
        return slot
    }

    /// The thread is a vCPU of this machine.
    private mutating func claim(_ thread: VMFacts.Thread, for machine: UInt32) {
        var slot = slot(of: thread.tid)
        if slot >= 0, vcpus[slot].machine != machine {
            let before = vcpus[slot].machine
            if machines[before]?.isProvisional ?? true {
                move(slot, to: machine)
            } else {
                // It belonged to another VMM process, whose thread must have ended unseen.
                retire(slot, at: now)
                slot = -1
            }
        }
        if slot < 0 {
            // /proc was read before the thread ended, and the trace was quicker.
            let hasEnded = retiredSlots.contains { vcpus[$0].tid == thread.tid && vcpus[$0].machine == machine }
            if hasEnded { return }
            guard vcpus.count - freeSlots.count < Limits.vcpus || dropOldestRetired() else {
                anomalies.add(.tableFull)
                return
            }
            slot = add(tid: thread.tid, to: machine, at: now)
        }
        if let number = thread.vcpu.flatMap({ Int32(exactly: $0) }) { vcpus[slot].namedNumber = number }
    }

    private mutating func move(_ slot: Int, to machine: UInt32) {
        let before = vcpus[slot].machine
        vcpus[slot].machine = machine
        machines[machine]?.liveVCPUs += 1
        machines[machine]?.listedVCPUs += 1
        machines[before]?.liveVCPUs -= 1
        machines[before]?.listedVCPUs -= 1
        dropIfEmpty(before)
    }

    private mutating func add(tid: Int32, to machine: UInt32, at time: Int64) -> Int {
        lastSerial &+= 1
        let isEmulated = machines[machine]?.isEmulated ?? false
        let vcpu = VCPU(
            serial: lastSerial, tid: tid, machine: machine, comm: hostNames[tid], since: time,
            knowsGuestMode: host.knowledge.guestMode && !isEmulated)
        let slot: Int
        if let free = freeSlots.popLast() {
            slot = free
            vcpus[slot] = vcpu
        } else {
            slot = vcpus.count
            vcpus.append(vcpu)
        }
        if listsIntervals { beginList(of: slot) }
        slotByTID.set(tid, Int32(slot))
        machines[machine]?.liveVCPUs += 1
        machines[machine]?.listedVCPUs += 1
        // It may be on a CPU already, as a thread of which nothing was known.
        for cpu in cpus.indices where cpus[cpu].tid == tid {
            cpus[cpu].recognized(vcpu: Int32(slot), serial: lastSerial)
            vcpus[slot].comm = cpus[cpu].occupant.comm
            vcpus[slot].found(on: Int32(cpu), at: time)
        }
        return slot
    }

    /// The thread ended: its id is free for others, its times stand still.
    mutating func retire(_ slot: Int, at time: Int64) {
        stopWaiting(slot, at: time)
        vcpus[slot].retire(at: time)
        keepIntervals(ofRetired: slot)
        slotByTID.remove(vcpus[slot].tid)
        for cpu in cpus.indices where cpus[cpu].vcpu == Int32(slot) { cpus[cpu].forgetVCPU() }
        machines[vcpus[slot].machine]?.liveVCPUs -= 1
        retiredSlots.append(slot)
        if retiredSlots.count > Limits.retiredVCPUs { _ = dropOldestRetired() }
        identityGeneration &+= 1
    }

    /// Makes room by no longer listing the vCPU that ended first; false when none has.
    private mutating func dropOldestRetired() -> Bool {
        guard !retiredSlots.isEmpty else { return false }
        let slot = retiredSlots.removeFirst()
        let machine = vcpus[slot].machine
        forgetVCPU(slot)
        vcpus[slot].free()
        freeSlots.append(slot)
        machines[machine]?.listedVCPUs -= 1
        dropIfEmpty(machine)
        return true
    }
}
