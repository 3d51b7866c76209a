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
    private(set) var times: [10 of Int64] = .init(repeating: 0)
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
    private(set) var ready = Distribution(.fine)
    private(set) var wakeUpLatency = Distribution(.fine)
    var wakeUps = WakeUps()
    var steal: StealAccount?
    /// KVM's limit for polling, from `kvm_halt_poll_ns`.
    var haltPollLimit: Int64?
    /// Events were lost while it was followed.
    private(set) var hasGaps = false
    /// Row of `exits` for the exit that is being handled, when it began, and its time on a CPU so far.
    private(set) var currentExit = ExitTable.noRow
    private var exitSince: Int64 = 0
    private var handling: Int64 = 0
    /// Time halted or polling since the guest asked for it, and what ends it when that is told first.
    private var halted: Int64 = 0
    private var wakeUpReason = WakeUps.Reason.unknown
    private var wakeUpVector: UInt8?
    /// The guest asked to sleep, and its thread has neither slept nor come back yet: it polls, unless KVM's limit for that is 0.
    private var isHaltOpen = false
    /// How long the present exit was handled can be told: what of a halt is sleep cannot, without scheduler events.
    private var knowsHandling = false
    private(set) var readyInterval: UInt32 = 0
    var containment = Containment()
    private(set) var unknownCause = UnknownCause.unheard
    var intervals = IntervalList(isOn: false)
    var causes = Causality.Pending()

    // MARK: The guest's tasks

    /// What it does while one guest task is current; at work as long as an agent tells of tasks.
    var overlay: Overlay
    var followsTasks = false
    /// `running` and `on_cpu` time of tasks that left.
    var guestRunning = GuestRunning()
    /// Whether its guest has the idle task current on it; nil when that is not known.
    var guestIsIdle: Bool?

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
        overlay = Overlay(since: since)
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
        let isPollEnd = isHaltOpen && state != .unknown
        move(to: .running, at: time)
        if isPollEnd { wakeUps.ended(by: .unknown, after: halted, slept: false) }
        if knowsHandling { exits.handled(currentExit, in: handling, since: exitSince) }
        currentExit = ExitTable.noRow
        outside = .hypervisor
        sleepMeaning = .unknown
        isHaltOpen = false
        return anomaly
    }

    /// `kvm_exit`. After HLT the thread polls for a while before it sleeps (`kvm_vcpu_halt`), unless its limit for that is
    /// known to be 0. Without scheduler events the end of the polling cannot be seen; as most halts do sleep, all of it then
    /// counts as halted.
    mutating func exited(
        _ exit: ExitCode, on cpu: Int32, at time: Int64, knowsScheduling: Bool
    ) -> Anomaly? {
        let anomaly: Anomaly? = guestMode == .outside ? .exitWithoutEntry : nil
        guestMode = .outside
        place(on: cpu)
        let isHalt = exit.isHalt
        outside = isHalt && knowsScheduling && haltPollLimit != 0 ? .polling : .hypervisor
        sleepMeaning = isHalt ? .halted : .blocked
        move(to: isHalt && !knowsScheduling ? .halted : outside, at: time)
        containment.leftGuest(at: since)
        currentExit = exits.count(exit)
        exitSince = since
        handling = 0
        isHaltOpen = isHalt && knowsScheduling
        knowsHandling = !isHalt || knowsScheduling
        halted = 0
        if isHalt { wakeUps.close() }
        return anomaly
    }

    /// The exit that looked like a halt is none: `kvm_nested_vmexit_inject` hands a nested guest's HLT over to the hypervisor
    /// in this guest, which goes on (`nested_vmx_vmexit`, `nested_svm_vmexit`); `kvm_wfx_arm64` tells that it was WFE, for
    /// which KVM only yields the CPU (`kvm_handle_wfx`). The open interval changes its name as a whole.
    mutating func haltRefused(on cpu: Int32, at time: Int64) {
        place(on: cpu)
        guard sleepMeaning == .halted else { return }
        if state == .polling || state == .halted { state = .hypervisor }
        if outside == .polling { outside = .hypervisor }
        sleepMeaning = .blocked
        isHaltOpen = false
        // Of a halt without scheduler events, all was hypervisor then.
        knowsHandling = true
    }

    /// `kvm_nested_vmexit_inject` of something else, while the thread polled for a nested guest that its own hypervisor lets
    /// halt: that is what ended the poll.
    mutating func haltInterrupted(on cpu: Int32, at time: Int64) {
        place(on: cpu)
        guard isHaltOpen, state == .polling || state == .hypervisor else { return }
        outside = .hypervisor
        move(to: .hypervisor, at: time)
        wakeUps.ended(by: .unknown, after: halted, slept: false)
        isHaltOpen = false
    }

    /// An exit of a vCPU whose guest mode cannot be followed because entries are not traced: only counted.
    mutating func countedExit(_ exit: ExitCode) { _ = exits.count(exit) }

    /// `kvm_userspace_exit`: `KVM_RUN` returns to the VMM. When it returns because of HLT (`KVM_EXIT_HLT`: QEMU with
    /// `kernel_irqchip=off`), the VMM is the one that sleeps for the guest; otherwise it sleeps for its own reasons.
    mutating func returnedToUserspace(isHalt: Bool, on cpu: Int32, at time: Int64) {
        guestMode = .outside
        place(on: cpu)
        outside = .userspace
        isHaltOpen = false
        sleepMeaning = isHalt ? .halted : .blocked
        move(to: .userspace, at: time)
    }

    /// `kvm_vcpu_wakeup`, where no scheduler events show the end of a halt: whether the thread slept or only polled is
    /// told afterwards, for the whole of the open interval.
    mutating func haltEnded(waited: Bool, on cpu: Int32, at time: Int64) {
        place(on: cpu)
        guard state == .halted else { return }
        if !waited { state = .polling }
        knowsHandling = !waited
        move(to: .hypervisor, at: time)
        if !waited { wakeUps.ended(by: .unknown, after: halted, slept: false) }
    }

    // MARK: Inputs from the scheduler

    /// `sched_switch` away from this thread, which is still runnable or went to sleep.
    ///
    /// KVM halts interruptibly (`kvm_vcpu_block`), and a VMM that sleeps for its guest waits so too: another sleep, for memory
    /// or a lock, is none that the guest asked for, whatever the last exit was.
    mutating func switchedOut(isRunnable: Bool, isInterruptible: Bool, on cpu: Int32, at time: Int64) {
        place(on: cpu)
        self.cpu = Self.nowhere
        // KVM can write kvm_exit after it enabled preemption again (`svm_handle_exit` in Linux 6.1): a thread may lose
        // its CPU between leaving the guest and saying so. `guestMode` stays `inside`; that late kvm_exit is no anomaly.
        if isRunnable {
            preemptions &+= 1
            readyInterval &+= 1
            move(to: .preempted, at: time)
        } else {
            move(to: isInterruptible ? sleepMeaning : .blocked, at: time, cause: .unexplainedSleep)
            if state == .halted, isHaltOpen {
                outside = .hypervisor
                isHaltOpen = false
            }
        }
    }

    /// Back on a CPU: it goes on with what it did outside of the guest.
    mutating func switchedIn(on cpu: Int32, at time: Int64) {
        place(on: cpu)
        move(to: outside, at: time)
    }

    /// `reason` is what the waker's context tells, `vector` the interrupt for which it woke; they count when the thread was halted.
    mutating func woken(by reason: WakeUps.Reason, vector: UInt8?, at time: Int64) {
        isSeen = true
        wakeups &+= 1
        readyInterval &+= 1
        wakeUpReason = reason
        wakeUpVector = vector
        move(to: .waking, at: time)
    }

    /// An event with this thread as the current one proves that it is on a CPU, though no switch said so.
    mutating func found(on cpu: Int32, at time: Int64) {
        place(on: cpu)
        if !state.occupiesCPU { move(to: knowsGuestMode ? .unknown : .onCPU, at: time, cause: .unseenArrival) }
    }

    /// Another thread was seen on its CPU, and without scheduler events nothing says when or why it left.
    mutating func lostSight() { cpu = Self.nowhere }

    /// `occupant` had the CPU for which this vCPU waited, from `settled` until `time`.
    mutating func shared(until time: Int64, with occupant: Occupant) {
        guard time > settled else { return }
        culprits.add(time - settled, of: occupant, interval: readyInterval)
        if intervals.isOn { intervals.close(state, settled, time, .culprit(occupant), waitCPU: waitCPU) }
        settled = time
    }

    /// `occupant` was blamed for time in which nobody knows who had the CPU.
    mutating func takeBack(_ nanoseconds: Int64, from occupant: Occupant) {
        culprits.takeBack(nanoseconds, from: occupant, interval: readyInterval)
    }

    // MARK: Knowledge

    /// Events were lost from `time` on: nothing is certain until the next one tells.
    mutating func lost(at time: Int64) {
        hasGaps = true
        move(to: .unknown, at: time, cause: .lost)
        containment.forget()
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
        close(at: time, isNextKnown: false)
        state = .unknown
        unknownCause = .retired
        forget()
        phase = .retired
        exits.seal()
        ready.seal()
        wakeUpLatency.seal()
    }

    /// It is no longer listed.
    mutating func free() {
        phase = .free
        exits = ExitTable()
        culprits = CulpritTable()
    }

    private mutating func forget() {
        cpu = Self.nowhere
        guestMode = .unknown
        isHaltOpen = false
        halted = 0
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

    /// `cause` is why `next` is unknown, if it is. Inlined, because every caller knows something of `next`.
    @inline(__always)
    private mutating func move(to next: VCPUState, at time: Int64, cause: UnknownCause = .unheard) {
        // Not to know goes on: it began when knowledge ended.
        if case (.unknown, .unknown) = (next, state) { return }
        close(at: time, isNextKnown: next != .unknown)
        if case .running = next { containment.entered(at: since) }
        state = next
        if case .unknown = next { unknownCause = cause }
        if intervals.isOn { intervals.opened(on: next.occupiesCPU ? cpu : Self.nowhere) }
    }

    /// Books the open interval, and opens the next one.
    @inline(__always)
    private mutating func close(at time: Int64, isNextKnown: Bool) {
        let end = max(time, settled)
        let elapsed = end - since
        if intervals.isOn { listInterval(until: end) }
        times[Int(state.rawValue)] += elapsed
        switch state {
        case .running: containment.leftGuest(at: end)
        case .hypervisor, .userspace, .polling:
            exits.add(elapsed, to: currentExit)
            handling &+= elapsed
            if state == .polling { halted &+= elapsed }
        case .preempted, .waking, .halted: waited(elapsed, isNextKnown: isNextKnown)
        case .blocked, .onCPU, .unknown: break
        }
        if followsTasks { overlay.left(state, at: end, exit: exits.exit(of: currentExit)) }
        since = end
        settled = end
    }

    @inline(never)
    private mutating func listInterval(until end: Int64) {
        intervals.close(state, settled, end, intervalDetail, waitCPU: waitCPU)
    }

    /// An interval off the CPU ends, and its length means something if it is known what came next.
    @inline(never)
    private mutating func waited(_ elapsed: Int64, isNextKnown: Bool) {
        if case .preempted = state, elapsed > worstPreemption {
            (worstPreemption, worstPreemptionAt) = (elapsed, since)
        }
        if case .halted = state { halted &+= elapsed }
        guard isNextKnown else { return }
        if state.isReady { ready.add(elapsed, since: since) }
        if case .waking = state { wakeUpLatency.add(elapsed, since: since) }
        if case .halted = state {
            wakeUps.ended(by: wakeUpReason, after: halted, slept: true, vector: wakeUpVector)
            (wakeUpReason, wakeUpVector) = (.unknown, nil)
            halted = 0
        }
    }
}
