import TraceModel

/// One event as a kernel wrote it: on which CPU, when, and with which thread as the current one.
struct Observation {
    var cpu: Int
    var at: Int64
    var current: Int32
    var happening: Happening
}

extension Happening {
    var isGuests: Bool {
        switch self {
        case .guestSwitched, .guestLost, .guestDevice, .guestTimer, .guestTimerStarted, .guestIdle, .guestIPI,
            .guestMigrated, .guestEnded, .guestDied, .guestBorn:
            true
        default: false
        }
    }
}

/// The states of one vCPU's thread, told event by event by the design's table, for the oracle.
struct ThreadStory {
    private struct Chapter {
        var at: Int64
        var state: VCPUState
        var exit: Int64?
        var exitNumber: Int?
        var queue: Int?
        /// The guest asked to sleep, and its thread has not slept yet.
        var isHalting: Bool
        /// Who woke it, of a thread that waits since.
        var waker: Int32?
    }

    let tid: Int32
    private var chapters: [Chapter]
    /// The CPU on which it is; nil when it is on none, or nobody knows on which.
    private var position: Int?
    private var lastCPU: Int?
    /// To what a switch-in returns it, and what a sleep would mean.
    private var outside = VCPUState.hypervisor
    private var sleep = VCPUState.unknown
    private var exit: Int64?
    private var exitNumber = 0
    private var isHalting = false
    private var pollLimit: Int64?
    private(set) var preemptions: UInt64 = 0
    private(set) var wakeups: UInt64 = 0
    private(set) var migrations: UInt64 = 0
    /// The last event of each CPU, and when it last had another thread: there, what it is to blame for is settled.
    private var lastEvents: [Int: Int64] = [:]
    private var lastTurns: [Int: Int64] = [:]
    private var hasOccupant: Set<Int> = []

    init(tid: Int32, start: Int64) {
        self.tid = tid
        chapters = [Chapter(at: start, state: .unknown, isHalting: false)]
    }

    private var state: VCPUState { chapters[chapters.count - 1].state }

    private mutating func begin(_ state: VCPUState, at time: Int64, queue: Int? = nil) {
        chapters.append(
            Chapter(
                at: time, state: state, exit: exit, exitNumber: exit == nil ? nil : exitNumber, queue: queue,
                isHalting: isHalting))
    }

    /// Events of `cpu` are missing since its last one. Only a thread that is known to be on another CPU cannot have been
    /// touched by what they told; and what other CPUs have settled meanwhile stays.
    mutating func lost(on cpu: Int) {
        hasOccupant.remove(cpu)
        if let position, position != cpu { return }
        loseSight(since: lastEvents[cpu])
    }

    private mutating func loseSight(since time: Int64?) {
        let open = chapters[chapters.count - 1]
        let settled = max(open.at, open.queue.flatMap { lastTurns[$0] } ?? .min)
        position = nil
        outside = .hypervisor
        sleep = .unknown
        exit = nil
        isHalting = false
        begin(.unknown, at: max(time ?? .min, settled))
    }

    /// What happened before anything is known of the thread.
    mutating func pass(_ step: Observation) {
        if case .lost = step.happening {
            hasOccupant.remove(step.cpu)
            return
        }
        if hasOccupant.insert(step.cpu).inserted { lastTurns[step.cpu] = step.at }
        if case .switched = step.happening { lastTurns[step.cpu] = step.at }
        lastEvents[step.cpu] = step.at
    }

    mutating func tell(_ step: Observation) {
        defer { pass(step) }
        if step.current == tid, position != step.cpu {
            // Nobody is on two CPUs: how it left the one where it was is missing there.
            if let position { loseSight(since: lastEvents[position]) }
            // It writes events, so it is here; since when, and doing what, no event told.
            arrive(on: step.cpu)
            begin(.unknown, at: step.at)
        }
        switch step.happening {
        case .switched(let previous, let next, let previousState):
            if previous == tid { switchedOut(step, previousState) }
            if next == tid {
                if let position { loseSight(since: lastEvents[position]) }
                arrive(on: step.cpu)
                begin(outside, at: step.at)
            }
        case .waking(tid, let target), .wakeup(tid, let target):
            if state.isReady {
                move(to: target, at: step.at)
            } else if position == nil {
                wakeups += 1
                begin(.waking, at: step.at, queue: target)
                chapters[chapters.count - 1].waker = step.current
            }
        case .migrated(tid, let target):
            if state.isReady { move(to: target, at: step.at) }
        case .entry(tid, _):
            outside = .hypervisor
            sleep = .unknown
            exit = nil
            isHalting = false
            begin(.running, at: step.at)
        case .exit(tid, let reason, let isa, _):
            let isHalt = isa == 2 ? reason == 0x78 : reason == 12
            outside = isHalt && pollLimit != 0 ? .polling : .hypervisor
            sleep = isHalt ? .halted : .blocked
            isHalting = isHalt
            exit = reason
            exitNumber += 1
            begin(outside, at: step.at)
        case .userspaceExit(tid, let reason, let errno):
            outside = .userspace
            isHalting = false
            sleep = reason == 5 && errno >= 0 ? .halted : .blocked
            begin(.userspace, at: step.at)
        case .haltPoll(tid, let new): pollLimit = new
        default: break
        }
    }

    private mutating func arrive(on cpu: Int) {
        if let lastCPU, lastCPU != cpu { migrations += 1 }
        position = cpu
        lastCPU = cpu
    }

    private mutating func move(to queue: Int, at time: Int64) {
        if chapters[chapters.count - 1].queue != queue { begin(state, at: time, queue: queue) }
    }

    private mutating func switchedOut(_ step: Observation, _ previousState: Int64) {
        position = nil
        if previousState == 0 || previousState & 0x100 != 0 {
            preemptions += 1
            begin(.preempted, at: step.at, queue: step.cpu)
        } else {
            // KVM halts interruptibly; who waits for memory or a lock does not halt, whatever the last exit was.
            begin(previousState & 1 == 0 ? .blocked : sleep, at: step.at)
            // After halted it is in the hypervisor until the next entry.
            if state == .halted {
                isHalting = false
                if outside == .polling { outside = .hypervisor }
            }
        }
    }

    func spans(until end: Int64) -> [Oracle.StateSpan] {
        chapters.indices.map { index in
            let chapter = chapters[index]
            let next = index + 1 < chapters.count ? chapters[index + 1].at : max(end, chapter.at)
            return Oracle.StateSpan(
                span: Oracle.Span(start: chapter.at, end: next), state: chapter.state, exit: chapter.exit,
                exitNumber: chapter.exitNumber, queue: chapter.queue, isHalting: chapter.isHalting, waker: chapter.waker
            )
        }
    }
}
