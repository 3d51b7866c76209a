import TraceModel

/// What one virtual CPU does, as a state machine whose inputs are things that happened to its host thread.
///
/// Wall time since `knownSince` is cut into intervals of exactly one state. The open interval is `[since, now)`; every
/// input that changes the state closes it and books its length, so that the booked times and the open interval always add
/// up to wall time, to the nanosecond. An input that comes late, before `settled`, takes effect at `settled`: no interval
/// is ever negative, and nothing that was booked is taken back.
///
/// The states are those of the design's table. Three questions decide between them: is the thread on a host CPU (`cpu`),
/// what does it do there when it is not in the guest (`outside`), and what would it mean if it went to sleep
/// (`sleepMeaning`). All three are forgotten when events are lost.
struct VCPU: Sendable, Codable {
    enum Phase: UInt8, Sendable, Codable {
        case live
        /// The thread ended: its times stand still, its figures stay listed.
        case retired
        /// The slot can be used again.
        case free
    }

    /// Which of entry and exit came last, for the check that they alternate.
    private enum GuestMode: UInt8, Codable {
        case unknown, inside, outside
    }

    /// No host CPU.
    static let nowhere: Int32 = -1

    // MARK: Identity

    /// Unlike a thread id or a slot, never used twice.
    let serial: UInt32
    let tid: Int32
    let knownSince: Int64
    /// Serial of the machine it belongs to.
    var machine: UInt32
    /// `vcpu_id` of its `kvm` events; -1 until one told.
    var kvmID: Int32 = -1
    /// The number in the thread's name (`CPU 3/KVM`); -1 when the name does not say.
    var namedNumber: Int32 = -1
    var comm: Comm
    private(set) var phase = Phase.live
    /// An event told something about this thread.
    private(set) var isSeen = false

    // MARK: State

    private(set) var state = VCPUState.unknown
    private(set) var since: Int64
    /// Up to here everything is booked: `since`, or the end of the last slice of ready time that was shared out.
    private(set) var settled: Int64
    private var times: [10 of Int64] = .init(repeating: 0)
    /// `kvm` events tell guest code from hypervisor code for this vCPU.
    private(set) var knowsGuestMode: Bool
    private var outside: VCPUState
    private var sleepMeaning: VCPUState
    private var guestMode = GuestMode.unknown
    /// Host CPU on which its thread is.
    private(set) var cpu = VCPU.nowhere
    private(set) var lastCPU = VCPU.nowhere
    /// Host CPU for which it waits, and its place in that CPU's list.
    var waitCPU = VCPU.nowhere
    var waitPosition = 0

    // MARK: Totals

    private(set) var preemptions: UInt64 = 0
    private(set) var wakeups: UInt64 = 0
    private(set) var migrations: UInt64 = 0
    private(set) var worstPreemption: Int64 = 0
    private(set) var worstPreemptionAt: Int64 = 0
    private(set) var exits = ExitTable()
    private(set) var culprits = CulpritTable()
    /// Row of `exits` for the exit that is being handled.
    private(set) var currentExit = ExitTable.noRow
    private var readyInterval: UInt32 = 0
    private var containment = Containment()

    init(serial: UInt32, tid: Int32, machine: UInt32, comm: Comm, since: Int64, knowsGuestMode: Bool) {
        self.serial = serial
        self.tid = tid
        self.machine = machine
        self.comm = comm
        knownSince = since
        self.since = since
        settled = since
        self.knowsGuestMode = knowsGuestMode
        (outside, sleepMeaning) = Self.assumption(knowsGuestMode)
    }

    /// What to assume of a thread of which no exit is known.
    ///
    /// A thread that comes onto a CPU comes out of the host kernel's scheduler: hypervisor. Why it slept is known only
    /// after an exit. Without `kvm` events nothing can ever tell, so sleep is `blocked` and CPU time `on_cpu`.
    private static func assumption(_ knowsGuestMode: Bool) -> (outside: VCPUState, sleepMeaning: VCPUState) {
        knowsGuestMode ? (.hypervisor, .unknown) : (.onCPU, .blocked)
    }

    /// The number inside the guest; -1 until known.
    ///
    /// The thread's name goes first: QEMU names its threads by CPU index, which is how a Linux guest counts, but gives
    /// KVM the APIC id (`kvm_arch_vcpu_id`), which skips numbers when the cores of a socket are no power of two.
    var number: Int32 { namedNumber >= 0 ? namedNumber : kvmID }

    // MARK: Inputs from kvm events

    /// `kvm_entry`. Guest code executes from here on.
    mutating func entered(on cpu: Int32, at time: Int64) -> Anomaly? {
        let anomaly: Anomaly? = guestMode == .inside ? .entryWithoutExit : nil
        guestMode = .inside
        place(on: cpu)
        move(to: .running, at: time)
        currentExit = ExitTable.noRow
        outside = .hypervisor
        sleepMeaning = .unknown
        return anomaly
    }

    /// `kvm_exit`. After HLT the thread polls for a while before it sleeps (`kvm_vcpu_halt`). Without scheduler events the
    /// end of the polling cannot be seen; as most halts do sleep, all of it then counts as halted.
    mutating func exited(
        _ exit: ExitCode, on cpu: Int32, at time: Int64, knowsScheduling: Bool
    ) -> Anomaly? {
        let anomaly: Anomaly? = guestMode == .outside ? .exitWithoutEntry : nil
        guestMode = .outside
        place(on: cpu)
        let isHalt = exit.isHalt
        outside = isHalt && knowsScheduling ? .polling : .hypervisor
        sleepMeaning = isHalt ? .halted : .blocked
        move(to: isHalt && !knowsScheduling ? .halted : outside, at: time)
        currentExit = exits.count(exit)
        return anomaly
    }

    /// An exit of a vCPU whose guest mode cannot be followed because entries are not traced: only counted.
    mutating func countedExit(_ exit: ExitCode) { _ = exits.count(exit) }

    /// `kvm_userspace_exit`: `KVM_RUN` returns to the VMM. When it returns because of HLT (`KVM_EXIT_HLT`: QEMU with
    /// `kernel_irqchip=off`), the VMM is the one that sleeps for the guest; otherwise it sleeps for its own reasons.
    mutating func returnedToUserspace(isHalt: Bool, on cpu: Int32, at time: Int64) {
        guestMode = .outside
        place(on: cpu)
        outside = .userspace
        sleepMeaning = isHalt ? .halted : .blocked
        move(to: .userspace, at: time)
    }

    /// `kvm_vcpu_wakeup`, where no scheduler events show the end of a halt: whether the thread slept or only polled is
    /// told afterwards, for the whole of the open interval.
    mutating func haltEnded(waited: Bool, on cpu: Int32, at time: Int64) {
        place(on: cpu)
        guard state == .halted else { return }
        if !waited { state = .polling }
        move(to: .hypervisor, at: time)
    }

    // MARK: Inputs from the scheduler

    /// `sched_switch` away from this thread, which is still runnable or went to sleep.
    mutating func switchedOut(isRunnable: Bool, on cpu: Int32, at time: Int64) {
        place(on: cpu)
        self.cpu = Self.nowhere
        // KVM can write kvm_exit after it enabled preemption again (`svm_handle_exit` in Linux 6.1): a thread may lose
        // its CPU between leaving the guest and saying so. `guestMode` stays `inside`; that late kvm_exit is no anomaly.
        if isRunnable {
            preemptions &+= 1
            readyInterval &+= 1
            move(to: .preempted, at: time)
        } else {
            move(to: sleepMeaning, at: time)
            if state == .halted, outside == .polling { outside = .hypervisor }
        }
    }

    /// Back on a CPU: it goes on with what it did outside of the guest.
    mutating func switchedIn(on cpu: Int32, at time: Int64) {
        place(on: cpu)
        move(to: outside, at: time)
    }

    mutating func woken(at time: Int64) {
        isSeen = true
        wakeups &+= 1
        readyInterval &+= 1
        move(to: .waking, at: time)
    }

    /// An event with this thread as the current one proves that it is on a CPU, though no switch said so.
    mutating func found(on cpu: Int32, at time: Int64) {
        place(on: cpu)
        if !state.occupiesCPU { move(to: knowsGuestMode ? .unknown : .onCPU, at: time) }
    }

    /// Another thread was seen on its CPU, and without scheduler events nothing says when or why it left.
    mutating func lostSight() { cpu = Self.nowhere }

    /// `occupant` had the CPU for which this vCPU waited, from `settled` until `time`.
    mutating func shared(until time: Int64, with occupant: Occupant) {
        guard time > settled else { return }
        culprits.add(time - settled, of: occupant, interval: readyInterval)
        settled = time
    }

    // MARK: Knowledge

    /// Events were lost from `time` on: nothing is certain until the next one tells.
    mutating func lost(at time: Int64) {
        move(to: .unknown, at: time)
        forget()
    }

    /// `kvm` events began to tell, or the machine turned out to be an emulated one.
    mutating func setKnowsGuestMode(_ knows: Bool) {
        guard knows != knowsGuestMode else { return }
        knowsGuestMode = knows
        (outside, sleepMeaning) = Self.assumption(knows)
    }

    /// Its thread ended.
    mutating func retire(at time: Int64) {
        close(at: time)
        state = .unknown
        forget()
        phase = .retired
    }

    /// It is no longer listed.
    mutating func free() {
        phase = .free
        exits = ExitTable()
        culprits = CulpritTable()
    }

    /// A guest event of this vCPU. Returns how many were proved by now to lie outside of guest mode.
    mutating func guestEvent(at time: Int64, boundNanoseconds: Int64) -> UInt64 {
        switch state {
        case .running, .onCPU, .unknown: containment.settle(at: time)
        case .hypervisor, .userspace, .polling, .preempted, .waking, .halted, .blocked:
            containment.outside(at: time, boundNanoseconds: boundNanoseconds)
        }
    }

    private mutating func forget() {
        cpu = Self.nowhere
        guestMode = .unknown
        currentExit = ExitTable.noRow
        (outside, sleepMeaning) = Self.assumption(knowsGuestMode)
    }

    private mutating func place(on cpu: Int32) {
        isSeen = true
        guard cpu != self.cpu else { return }
        if lastCPU != cpu, lastCPU != Self.nowhere { migrations &+= 1 }
        self.cpu = cpu
        lastCPU = cpu
    }

    private mutating func move(to next: VCPUState, at time: Int64) {
        // Not to know goes on: it began when knowledge ended.
        if case (.unknown, .unknown) = (next, state) { return }
        close(at: time)
        if case .running = next { containment.entered(at: since) }
        state = next
    }

    /// Books the open interval, and opens the next one.
    private mutating func close(at time: Int64) {
        let end = max(time, settled)
        let elapsed = end - since
        times[Int(state.rawValue)] += elapsed
        switch state {
        case .running: containment.leftGuest(at: end)
        case .hypervisor, .userspace, .polling: exits.add(elapsed, to: currentExit)
        case .preempted:
            if elapsed > worstPreemption {
                worstPreemption = elapsed
                worstPreemptionAt = since
            }
        case .waking, .halted, .blocked, .onCPU, .unknown: break
        }
        since = end
        settled = end
    }

    // MARK: Figures, the open interval included

    func openTime(until now: Int64) -> Int64 { phase == .live ? max(0, now - since) : 0 }

    func times(until now: Int64) -> StateTimes {
        var result = StateTimes()
        for state in VCPUState.allCases { result[state] = times[Int(state.rawValue)] }
        result[state] += openTime(until: now)
        return result
    }

    func exits(until now: Int64) -> ExitTable {
        var table = exits
        switch state {
        case .hypervisor, .userspace, .polling: table.add(openTime(until: now), to: currentExit)
        case .running, .preempted, .waking, .halted, .blocked, .onCPU, .unknown: break
        }
        return table
    }

    func culprits(until now: Int64, occupant: Occupant) -> CulpritTable {
        guard state.isReady, now > settled else { return culprits }
        var table = culprits
        table.add(now - settled, of: occupant, interval: readyInterval)
        return table
    }

    func worstPreemption(until now: Int64) -> (length: Int64, start: Int64) {
        let open = openTime(until: now)
        return state == .preempted && open > worstPreemption ? (open, since) : (worstPreemption, worstPreemptionAt)
    }
}
