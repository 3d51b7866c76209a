package import TraceModel

/// The intervals of the vCPUs' states one by one, for whoever asks for them.
///
/// A list and not a callback: the analysis stays a value that can be copied, compared and written into a checkpoint, and no
/// foreign code runs in the middle of an event. Whoever listens takes what has closed after every batch or so, which bounds
/// the list. While nobody listens it costs one comparison an interval.
///
/// Closed intervals are final, as the totals are. Those of one vCPU come in order and tile its life: from the time at which
/// it became known, or the list began, to the beginning of its open interval. A loss that comes to light late shortens the
/// open interval, never a closed one; the culprit of a ready one is who was believed to have the CPU when it closed. Those
/// of different vCPUs come in no order.
extension Analyzer {
    /// Intervals are listed from here on: the open ones whole, but for what was already shared out to culprits.
    package mutating func listIntervals() {
        guard !listsIntervals else { return }
        own()
        listsIntervals = true
        for slot in vcpus.indices where vcpus[slot].phase == .live { beginList(of: slot) }
    }

    /// Those that closed since the last call.
    package mutating func takeIntervals() -> [StateInterval] {
        guard listsIntervals else { return [] }
        own()
        var taken = retiredIntervals
        retiredIntervals.removeAll(keepingCapacity: true)
        for slot in vcpus.indices where vcpus[slot].phase == .live && !vcpus[slot].intervals.closed.isEmpty {
            taken.append(takeClosed(of: slot))
        }
        return named(taken)
    }

    /// Those that go on, as if they ended with the time analyzed so far; of a ready vCPU its present culprit's slice.
    /// Together with all that were taken they cover the life of every vCPU, and add up to its times.
    package func openIntervals() -> [StateInterval] {
        named(
            vcpus.filter { $0.phase == .live && $0.settled < now }.map { vcpu in
                vcpu.openInterval(until: now, culprit: culprit(ofQueue: vcpu.waitCPU))
            })
    }

    mutating func beginList(of slot: Int) {
        vcpus[slot].intervals = IntervalList(isOn: true)
        guard let guest = guests.indices.last(where: { guests[$0].cpus.contains { $0.vcpu == Int32(slot) } }),
            let cpu = guests[guest].cpus.firstIndex(where: { $0.vcpu == Int32(slot) })
        else { return vcpus[slot].intervals.opened(on: vcpus[slot].cpu) }
        listTask(guest, cpu)
        vcpus[slot].intervals.opened(on: vcpus[slot].cpu)
    }

    /// The task that the guest has current on `cpu` is the one that whatever happens next to that vCPU happens to.
    mutating func listTask(_ guest: Int, _ cpu: Int) {
        guard listsIntervals, guests[guest].cpus[cpu].vcpu >= 0 else { return }
        let task = guests[guest].cpus[cpu]
        vcpus[Int(task.vcpu)].intervals.task = task.isKnown ? IntervalList.Task(tid: task.tid, comm: task.comm) : nil
    }

    /// A vCPU that ends may soon be listed no more: its intervals are kept apart until somebody takes them.
    mutating func keepIntervals(ofRetired slot: Int) {
        guard listsIntervals else { return }
        retiredIntervals.append(takeClosed(of: slot))
    }

    private mutating func takeClosed(of slot: Int) -> OwnedIntervals {
        let owned = OwnedIntervals(owner: vcpus[slot].intervalOwner, intervals: vcpus[slot].intervals.closed)
        vcpus[slot].intervals.closed = []
        return owned
    }

    private func named(_ lists: [OwnedIntervals]) -> [StateInterval] {
        guard !lists.isEmpty else { return [] }
        let names = CulpritNames(self, machines: [])
        var result: [StateInterval] = []
        result.reserveCapacity(lists.reduce(0) { $0 + $1.intervals.count })
        for list in lists {
            let owner = list.owner
            let guest = machines[owner.machine]?.displayName ?? "thread \(owner.tid)"
            for interval in list.intervals {
                result.append(
                    StateInterval(
                        guest: guest, vcpu: owner.number >= 0 ? Int(owner.number) : nil, hostTID: owner.tid,
                        state: interval.state, startNanoseconds: interval.start, endNanoseconds: interval.end,
                        detail: text(of: interval.detail, names),
                        hostCPU: interval.cpu == VCPU.nowhere ? nil : Int(interval.cpu),
                        guestTask: interval.task.map { $0.comm.isEmpty ? "tid \($0.tid)" : $0.comm.text },
                        guestTID: interval.task?.tid))
            }
        }
        return result
    }

    private func text(of detail: IntervalList.Detail, _ names: CulpritNames) -> String? {
        switch detail {
        case .none: nil
        case .exit(let exit): exitName(exit)
        case .culprit(let occupant): names.culprit(occupant, count: 0, nanoseconds: 0).label
        case .cause(let cause): cause.rawValue
        }
    }
}

/// Why the state of a vCPU is not known.
enum UnknownCause: String, Sendable, Codable {
    case unheard = "no event yet"
    case lost = "events lost"
    case unseenArrival = "came to its CPU unseen"
    case unexplainedSleep = "sleeps, and no exit told why"
    case retired = "thread ended"
}

/// Whose the intervals of a list are; a slot may have been given to another vCPU when somebody takes them.
struct IntervalOwner: Sendable, Codable {
    let machine: UInt32
    let tid: Int32
    let number: Int32
}

struct OwnedIntervals: Sendable, Codable {
    let owner: IntervalOwner
    let intervals: [IntervalList.Closed]
}

/// The closed intervals of one vCPU that nobody has taken yet, and what is to be told of the open one when it closes.
struct IntervalList: Sendable, Codable {
    enum Detail: Sendable, Codable {
        case none
        case exit(ExitCode)
        case culprit(Occupant)
        case cause(UnknownCause)
    }

    struct Task: Sendable, Codable {
        let tid: Int32
        let comm: Comm
    }

    struct Closed: Sendable, Codable {
        let start: Int64
        let end: Int64
        let state: VCPUState
        let detail: Detail
        let cpu: Int32
        let task: Task?
    }

    let isOn: Bool
    var closed: [Closed] = []
    /// The guest's current task.
    var task: Task?
    private var taskAtStart: Task?
    private var cpu = VCPU.nowhere

    init(isOn: Bool) { self.isOn = isOn }

    mutating func opened(on cpu: Int32) {
        self.cpu = cpu
        taskAtStart = task
    }

    /// `waitCPU` is that of a ready vCPU.
    func interval(_ state: VCPUState, _ start: Int64, _ end: Int64, _ detail: Detail, waitCPU: Int32) -> Closed {
        Closed(
            start: start, end: end, state: state, detail: detail, cpu: state.isReady ? waitCPU : cpu, task: taskAtStart)
    }

    mutating func close(_ state: VCPUState, _ start: Int64, _ end: Int64, _ detail: Detail, waitCPU: Int32) {
        guard end > start else { return }
        closed.append(interval(state, start, end, detail, waitCPU: waitCPU))
    }
}

extension VCPU {
    var intervalOwner: IntervalOwner { IntervalOwner(machine: machine, tid: tid, number: number) }

    func openInterval(until now: Int64, culprit: Occupant) -> OwnedIntervals {
        OwnedIntervals(
            owner: intervalOwner,
            intervals: [
                intervals.interval(
                    state, settled, now, state.isReady ? .culprit(culprit) : intervalDetail,
                    waitCPU: waitCPU)
            ])
    }

    /// Of the open interval. Ready time is listed slice by slice as it is shared out; nobody is known for the rest.
    var intervalDetail: IntervalList.Detail {
        switch state {
        case .hypervisor, .userspace, .polling, .halted, .blocked:
            exits.exit(of: currentExit).map { .exit($0) } ?? .none
        case .preempted, .waking: .culprit(.unknown)
        case .unknown: .cause(unknownCause)
        case .running, .onCPU: .none
        }
    }
}
