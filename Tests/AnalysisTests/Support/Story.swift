import Analysis
import Testing
import TraceModel

/// Something that happens to a host, on one of its CPUs, or inside the guest linked to it.
enum Happening {
    /// `sched_switch` from one thread to another; `state` 0 is R, 1 is S, 2 is D, 0x100 is R+, 0x10 is X.
    case switched(Int32, Int32, state: Int64 = 0)
    case waking(Int32, on: Int = 0)
    case wakeup(Int32, on: Int = 0)
    case wakeupNew(Int32, on: Int = 0)
    case migrated(Int32, to: Int)
    case ended(Int32)
    case executed(Int32)
    case entry(Int32, vcpu: Int64 = 0)
    case exit(Int32, Int64, isa: Int64 = 1, vcpu: Int64 = 0)
    case userspaceExit(Int32, reason: Int64 = 2, errno: Int64 = 0)
    case vcpuWakeup(Int32, waited: Bool)
    /// `sched_waking` out of an interrupt handler, whoever is current.
    case wakingInInterrupt(Int32, on: Int = 0)
    /// `sched_wakeup` out of an interrupt handler: on the CPU where the thread slept.
    case wakeupInInterrupt(Int32, on: Int = 0)
    /// `kvm_nested_vmexit_inject`: a nested guest's exit goes to the hypervisor inside.
    case nestedInjected(Int32, Int64, isa: Int64 = 2)
    /// `kvm_wfx_arm64`.
    case waitTrapped(Int32, isWFE: Bool)
    /// `kvm_apic_accept_irq`, for the vCPU that KVM gives this number.
    case accepted(vcpu: Int64, vector: Int64)
    /// `kvm_inj_virq`.
    case injected(Int32, vector: Int64)
    /// `kvm_halt_poll_ns`.
    case haltPoll(Int32, new: Int64)
    /// Some event that the analysis has no use for.
    case other(Int32)
    /// Events of this CPU are missing; the gap lies before its next event, or is seen at once when `atEnd`.
    case lost(atEnd: Bool = false)
    /// `sched_switch` in the guest with source id 1, whose CPU the step names.
    case guestSwitched(Int32, Int32)
    /// The same, from a thread that is dead.
    case guestDied(Int32, Int32)
    /// `sched_wakeup_new` in the guest.
    case guestBorn(Int32)
    case guestLost
    /// `irq_handler_entry` of that name, `hrtimer_expire_entry`, `reschedule_entry`, `sched_migrate_task` and
    /// `sched_process_exit` in the guest.
    case guestDevice(String)
    case guestTimer
    /// `hrtimer_start`, and `cpu_idle` with that state.
    case guestTimerStarted
    case guestIdle(Int64)
    case guestIPI
    case guestMigrated(Int32)
    case guestEnded(Int32)
    /// The guest's agent sampled this much steal time of the step's CPU.
    case stolen(UInt64)
    case identified(VMFacts)
    case linked(pid: Int32)
    case guestGone
    /// The guest's trace ends then; told at once, of a time that may be to come.
    case guestEnds
    /// These threads of the host were found to be gone; told at once, of a time that may be to come.
    case gone([Int32])
    /// Nothing happens until then.
    case time
}

/// One line of a story: CPU, time, what happens.
typealias Step = (cpu: Int, at: Int64, happening: Happening)

/// VMX exit reasons used in stories.
let hlt: Int64 = 12
let externalInterrupt: Int64 = 1
let ept: Int64 = 48

/// Writes steps as events, the way a kernel with these formats would.
struct EventWriter {
    let table: FormatTable
    let guestTable = KernelFormats.table(KernelFormats.guest)
    /// The thread on each CPU, which is who a wake-up is recorded under.
    private var current: [Int: Int32] = [:]

    init(_ formats: [EventFormat], without: Set<String>) {
        table = KernelFormats.table(formats, without: without)
    }

    func analyzer(start: Int64) -> Analyzer {
        var analyzer = Analyzer(start: HostTime(nanoseconds: start))
        analyzer.bind(.host, name: "host", formats: table)
        analyzer.bind(SourceID(1), name: "guest", formats: guestTable)
        return analyzer
    }

    /// Says who is on a CPU, for stories that do not tell every switch.
    mutating func setCurrent(_ tid: Int32, on cpu: Int) { current[cpu] = tid }

    /// False when `happening` is no event of the guest.
    func appendGuestEvent(_ happening: Happening, to batch: inout EventBatch) -> Bool {
        switch happening {
        case .guestSwitched(let previous, let next):
            batch.append(
                "sched_switch", of: guestTable, pid: previous,
                ["prev_pid": Int64(previous), "next_pid": Int64(next)], comms: ["next_comm": "task-\(next)"])
        case .guestDied(let previous, let next):
            batch.append(
                "sched_switch", of: guestTable, pid: previous,
                ["prev_pid": Int64(previous), "next_pid": Int64(next), "prev_state": 0x10],
                comms: ["next_comm": "task-\(next)"])
        case .guestBorn(let tid): batch.append("sched_wakeup_new", of: guestTable, pid: 0, ["pid": Int64(tid)])
        case .guestDevice(let name):
            batch.append("irq_handler_entry", of: guestTable, pid: 0, ["irq": 24], dynamic: ["name": name])
        case .guestTimer: batch.append("hrtimer_expire_entry", of: guestTable, pid: 0)
        case .guestTimerStarted: batch.append("hrtimer_start", of: guestTable, pid: 0)
        case .guestIdle(let state): batch.append("cpu_idle", of: guestTable, pid: 0, ["state": state])
        case .guestIPI: batch.append("reschedule_entry", of: guestTable, pid: 0)
        case .guestMigrated(let tid):
            batch.append("sched_migrate_task", of: guestTable, pid: 0, ["pid": Int64(tid)])
        case .guestEnded(let tid): batch.append("sched_process_exit", of: guestTable, pid: tid, ["pid": Int64(tid)])
        default: false
        }
    }

    /// False when `happening` is no event of the host, or one that is not traced.
    mutating func appendHostEvent(_ happening: Happening, to batch: inout EventBatch) -> Bool {
        let cpu = batch.cpu
        func add(
            _ name: String, _ pid: Int32, _ integers: [String: Int64] = [:], comms: [String: String] = [:]
        ) -> Bool {
            batch.append(name, of: table, pid: pid, integers, comms: comms)
        }
        let here = current[cpu] ?? 0
        switch happening {
        case .switched(let previous, let next, let state):
            current[cpu] = next
            return add(
                "sched_switch", previous,
                ["prev_pid": Int64(previous), "next_pid": Int64(next), "prev_state": state],
                comms: ["prev_comm": Self.comm(previous, cpu), "next_comm": Self.comm(next, cpu)])
        case .waking(let tid, let target):
            return add("sched_waking", here, ["pid": Int64(tid), "target_cpu": Int64(target)])
        case .wakeup(let tid, let target):
            return add("sched_wakeup", here, ["pid": Int64(tid), "target_cpu": Int64(target)])
        case .wakeupNew(let tid, let target):
            return add("sched_wakeup_new", here, ["pid": Int64(tid), "target_cpu": Int64(target)])
        case .migrated(let tid, let to):
            return add("sched_migrate_task", here, ["pid": Int64(tid), "dest_cpu": Int64(to)])
        case .ended(let tid): return add("sched_process_exit", tid, ["pid": Int64(tid)])
        case .executed(let tid): return add("sched_process_exec", tid, ["pid": Int64(tid), "old_pid": Int64(tid)])
        case .entry(let tid, let vcpu): return add("kvm_entry", tid, ["vcpu_id": vcpu])
        case .exit(let tid, let reason, let isa, let vcpu):
            return add("kvm_exit", tid, ["exit_reason": reason, "isa": isa, "vcpu_id": vcpu])
        case .userspaceExit(let tid, let reason, let errno):
            return add("kvm_userspace_exit", tid, ["reason": reason, "errno": errno])
        case .vcpuWakeup(let tid, let waited): return add("kvm_vcpu_wakeup", tid, ["waited": waited ? 1 : 0])
        case .wakingInInterrupt(let tid, let target):
            return batch.append(
                "sched_waking", of: table, pid: here, ["pid": Int64(tid), "target_cpu": Int64(target)], flags: 0x08)
        case .wakeupInInterrupt(let tid, let target):
            return batch.append(
                "sched_wakeup", of: table, pid: here, ["pid": Int64(tid), "target_cpu": Int64(target)], flags: 0x08)
        case .nestedInjected(let tid, let code, let isa):
            return add("kvm_nested_vmexit_inject", tid, ["exit_code": code, "isa": isa])
        case .waitTrapped(let tid, let isWFE): return add("kvm_wfx_arm64", tid, ["is_wfe": isWFE ? 1 : 0])
        case .accepted(let vcpu, let vector):
            return add("kvm_apic_accept_irq", here, ["apicid": vcpu, "vec": vector])
                || add("kvm_apicv_accept_irq", here, ["apicid": vcpu, "vec": vector])
        case .injected(let tid, let vector): return add("kvm_inj_virq", tid, ["vector": vector])
        case .haltPoll(let tid, let new): return add("kvm_halt_poll_ns", tid, ["grow": 1, "new": new])
        case .other(let tid): return add("sched_wakeup", tid, ["pid": 9999])
        default: return false
        }
    }

    static func comm(_ tid: Int32, _ cpu: Int) -> String { tid == 0 ? "swapper/\(cpu)" : "thread-\(tid)" }
}

extension Analyzer {
    /// Tells what is no event; false when `happening` is one.
    mutating func tell(_ happening: Happening, at time: Int64) -> Bool {
        switch happening {
        case .identified(let facts):
            advance(to: HostTime(nanoseconds: time))
            identify(facts)
        case .linked(let pid): link(SourceID(1), vmmPID: pid)
        case .guestGone: sourceGone(SourceID(1), at: HostTime(nanoseconds: time))
        case .guestEnds: sourceEnds(SourceID(1), at: HostTime(nanoseconds: time))
        case .gone(let threads): threadsEnded(threads, by: HostTime(nanoseconds: time))
        case .time: advance(to: HostTime(nanoseconds: time))
        default: return false
        }
        return true
    }
}

/// Tells a story to an analyzer, one event after the other, and writes down every state that each vCPU goes through.
struct Teller {
    var analyzer: Analyzer
    var boundNanoseconds: Int64 = 0
    private var writer: EventWriter
    /// By thread id: the states in order, each with the time since when it holds.
    private var states: [Int32: [(state: VCPUState, since: Int64)]] = [:]
    private var pendingLoss: Set<Int> = []

    init(
        start: Int64 = 0, _ formats: [EventFormat] = KernelFormats.sched + KernelFormats.kvm,
        without: Set<String> = []
    ) {
        writer = EventWriter(formats, without: without)
        analyzer = writer.analyzer(start: start)
    }

    var table: FormatTable { writer.table }

    mutating func tell(_ steps: [Step]) {
        for step in steps {
            tell(step)
            note()
        }
    }

    private mutating func tell(_ step: Step) {
        if case .stolen(let nanoseconds) = step.happening {
            return analyzer.sampleSteal(
                SourceID(1), [.init(cpu: step.cpu, nanoseconds: nanoseconds)], at: HostTime(nanoseconds: step.at))
        }
        if analyzer.tell(step.happening, at: step.at) { return }
        var batch = EventBatch(cpu: step.cpu)
        switch step.happening {
        case .lost(let atEnd):
            guard atEnd else {
                pendingLoss.insert(step.cpu)
                return
            }
            batch.losses = [LossMark(index: 0, place: .ringBuffer, count: 7)]
            apply(batch, at: step.at, source: .host)
        case .guestLost:
            batch.losses = [LossMark(index: 0, place: .ringBuffer, count: nil)]
            apply(batch, at: step.at, source: SourceID(1))
        default:
            if writer.appendGuestEvent(step.happening, to: &batch) {
                apply(batch, at: step.at, source: SourceID(1))
            } else if writer.appendHostEvent(step.happening, to: &batch) {
                if pendingLoss.remove(step.cpu) != nil {
                    batch.losses = [LossMark(index: 0, place: .ringBuffer, count: nil)]
                }
                apply(batch, at: step.at, source: .host)
            }
        }
    }

    private mutating func apply(_ batch: EventBatch, at time: Int64, source: SourceID) {
        analyzer.apply(
            batch, times: batch.headers.map { _ in HostTime(nanoseconds: time) }, range: 0..<batch.headers.count,
            source: source, boundNanoseconds: boundNanoseconds)
    }

    private mutating func note() {
        for vcpu in analyzer.snapshot().guests.flatMap(\.vcpus) {
            guard let tid = vcpu.hostTID else { continue }
            let entry = (state: vcpu.state.state, since: vcpu.sinceNanoseconds)
            var list = states[tid] ?? []
            if let last = list.last, last == entry { continue }
            // An interval of length zero is none.
            while let last = list.last, last.since >= entry.since { list.removeLast() }
            if list.last?.state != entry.state { list.append(entry) }
            states[tid] = list
        }
    }

    /// `unknown 0, running 5` — each state with the time at which it began.
    func story(of tid: Int32) -> String {
        (states[tid] ?? []).map { "\($0.state.label) \($0.since)" }.joined(separator: ", ")
    }

    func vcpu(_ tid: Int32) throws -> Snapshot.VCPU {
        try #require(analyzer.snapshot().guests.flatMap(\.vcpus).last { $0.hostTID == tid })
    }
}

/// Tells the steps and expects each thread's whole list of states; returns the teller for further questions.
@discardableResult
func check(
    _ steps: [Step], _ expected: [Int32: String], start: Int64 = 0, known: [Int32] = [31],
    formats: [EventFormat] = KernelFormats.sched + KernelFormats.kvm, without: Set<String> = [],
    sourceLocation: SourceLocation = #_sourceLocation
) -> Teller {
    var teller = Teller(start: start, formats, without: without)
    teller.tell([(0, start, .identified(machine(threads: known)))])
    teller.tell(steps)
    for (tid, story) in expected {
        #expect(teller.story(of: tid) == story, "thread \(tid)", sourceLocation: sourceLocation)
    }
    checkLaws(of: teller.analyzer, sourceLocation: sourceLocation)
    return teller
}

/// A machine whose threads are vCPU 0, 1, … in that order.
func machine(_ name: String = "web1", pid: Int32 = 29, threads: [Int32]) -> VMFacts {
    VMFacts(
        vmmPID: pid, vmm: "qemu", name: name,
        vcpuThreads: threads.enumerated().map { VMFacts.Thread(tid: $0.element, vcpu: $0.offset) })
}

extension Snapshot.Exit {
    /// Without the distribution.
    var sum: Snapshot.Exit { Snapshot.Exit(reason: reason, count: count, nanoseconds: nanoseconds) }
}

/// What must hold of every snapshot, whatever was told.
func checkLaws(of analyzer: Analyzer, sourceLocation: SourceLocation = #_sourceLocation) {
    let snapshot = analyzer.snapshot()
    let wall = snapshot.window.endNanoseconds - snapshot.window.startNanoseconds
    for cpu in snapshot.host.cpus {
        #expect(cpu.busyNanoseconds >= 0 && cpu.unknownNanoseconds >= 0, sourceLocation: sourceLocation)
        #expect(cpu.busyNanoseconds + cpu.unknownNanoseconds <= wall, sourceLocation: sourceLocation)
    }
    for vcpu in snapshot.guests.flatMap(\.vcpus) {
        for state in VCPUState.allCases { #expect(vcpu.times[state] >= 0, sourceLocation: sourceLocation) }
        #expect(vcpu.times.total <= wall, sourceLocation: sourceLocation)
        let ready = vcpu.times[.preempted] + vcpu.times[.waking]
        let blamed = vcpu.culprits.reduce(0) { $0 + $1.nanoseconds }
        #expect(blamed == ready, "culprits of \(vcpu.hostTID ?? 0)", sourceLocation: sourceLocation)
        let handling = vcpu.times[.hypervisor] + vcpu.times[.userspace] + vcpu.times[.polling]
        let handled = vcpu.exits.reduce(0) { $0 + $1.nanoseconds }
        #expect(handled <= handling, "exits of \(vcpu.hostTID ?? 0)", sourceLocation: sourceLocation)
        #expect(
            vcpu.exits.reduce(0) { $0 + $1.count } == vcpu.exitCount, sourceLocation: sourceLocation)
        for exit in vcpu.exits {
            #expect(exit.handling?.count ?? 0 <= exit.count, sourceLocation: sourceLocation)
            #expect(exit.handling?.totalNanoseconds ?? 0 <= exit.nanoseconds, sourceLocation: sourceLocation)
        }
        #expect(vcpu.ready?.totalNanoseconds ?? 0 <= ready, sourceLocation: sourceLocation)
        let wakeUps = vcpu.wakeUpReasons.reduce(0) { $0 + $1.count }
        #expect(wakeUps == vcpu.halts.polled + vcpu.halts.slept, sourceLocation: sourceLocation)
    }
    for guest in snapshot.guests {
        let ready = guest.vcpus.reduce(0) { $0 + $1.times[.preempted] + $1.times[.waking] }
        #expect(guest.takenBy.reduce(0) { $0 + $1.nanoseconds } == ready, sourceLocation: sourceLocation)
        #expect(guest.culprits.reduce(0) { $0 + $1.nanoseconds } == ready, sourceLocation: sourceLocation)
        for task in guest.tasks {
            for state in VCPUState.allCases { #expect(task.times[state] >= 0, sourceLocation: sourceLocation) }
            let robbed = task.robbedBy.reduce(0) { $0 + $1.nanoseconds }
            #expect(robbed <= task.robbedNanoseconds, sourceLocation: sourceLocation)
            #expect(task.worstRobbedNanoseconds <= task.robbedNanoseconds, sourceLocation: sourceLocation)
        }
    }
    for check in snapshot.health.checks {
        #expect(check.violations + check.excused <= check.checked, "\(check)", sourceLocation: sourceLocation)
    }
}
