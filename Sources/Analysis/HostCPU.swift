import TraceModel

/// One CPU of the host: which thread is on it, who waits for it, and how its time was spent.
struct HostCPU: Sendable, Codable {
    struct Doubt: Sendable, Codable {
        let slot: Int32
        let serial: UInt32
        var nanoseconds: Int64
    }

    private static let noVCPU: Int32 = -1

    /// The thread on it; `Occupant.unknown` when that is not known.
    private(set) var occupant = Occupant.unknown
    /// Slot of the vCPU whose thread is on it; -1 when it is none.
    private(set) var vcpu = HostCPU.noVCPU
    /// Slots of the vCPUs that are ready and wait for this CPU. Their order means nothing.
    var waiting: [Int32] = []
    private(set) var switches: UInt64 = 0
    /// When its last event was; a loss lies after it.
    private(set) var lastEvent: Int64
    private(set) var isSeen = false
    /// The interrupt that the present thread last sent to a vCPU's APIC, until it wakes that one.
    private var sentVector: UInt8 = 0
    private var sentTo: Int32 = -1
    private var sentBy: Int32 = -1
    private var sentAt = Int64.min
    /// Slices of ready time behind its last event, closed by other CPUs' events while that was `doubtsSince`: whoever was
    /// blamed for them is believed to have had this CPU, and only its next event shows that nothing was lost meanwhile.
    private var doubts: [Doubt] = []
    private var doubtsSince = Int64.min
    /// Events were lost after the last one, and none has come since.
    private(set) var isInGap = false
    private var since: Int64
    private var busyNanoseconds: Int64 = 0
    private var unknownNanoseconds: Int64 = 0
    /// The occupant is known to stay until an event says otherwise: `sched_switch` is traced.
    private var isCertain = false

    init(start: Int64) {
        since = start
        lastEvent = start
    }

    var tid: Int32 { occupant.tid }

    /// `sched_switch` to `occupant`.
    mutating func switched(to occupant: Occupant, vcpu: Int32, at time: Int64) {
        switches &+= 1
        occupied(by: occupant, vcpu: vcpu, at: time, isCertain: true)
    }

    /// The current thread of an event shows who is on the CPU.
    mutating func occupied(by occupant: Occupant, vcpu: Int32, at time: Int64, isCertain: Bool) {
        settle(at: time)
        self.occupant = occupant
        self.vcpu = vcpu
        self.isCertain = isCertain
    }

    /// The thread on it turns out to be a vCPU's.
    mutating func recognized(vcpu: Int32, serial: UInt32) {
        self.vcpu = vcpu
        occupant.vcpuSerial = serial
    }

    /// The thread on it is no vCPU's any more.
    mutating func forgetVCPU() { vcpu = Self.noVCPU }

    /// The thread that leaves is called so; only a switch tells.
    mutating func name(_ comm: Comm) { occupant.comm = comm }

    /// `thread` put an interrupt into the APIC of the vCPU that KVM calls `kvmID`.
    mutating func accepted(_ vector: UInt8, for kvmID: Int32, by thread: Int32, at time: Int64) {
        sentVector = vector
        sentTo = kvmID
        sentBy = thread
        sentAt = max(time, lastEvent)
    }

    /// The vector with which `thread` wakes that vCPU: accepted by the event right before. The event names a number that every
    /// machine has, so that one which woke nobody must not be kept for another machine's wake-up.
    mutating func takeVector(for kvmID: Int32, by thread: Int32) -> UInt8? {
        guard sentTo == kvmID, sentBy == thread, kvmID >= 0, sentAt == lastEvent else { return nil }
        sentTo = -1
        return sentVector
    }

    mutating func sawEvent(at time: Int64) {
        isSeen = true
        if time > lastEvent { lastEvent = time }
    }

    /// A vCPU no longer waits for this CPU, and was told until `time` that `culprit` had it.
    mutating func doubt(_ slot: Int32, serial: UInt32, from start: Int64, until time: Int64) {
        let nanoseconds = time - max(start, lastEvent)
        guard nanoseconds > 0, occupant.tid != Occupant.unknownTID else { return }
        if doubtsSince != lastEvent {
            doubts.removeAll(keepingCapacity: true)
            doubtsSince = lastEvent
        }
        if let place = doubts.firstIndex(where: { $0.serial == serial }) {
            doubts[place].nanoseconds += nanoseconds
        } else {
            doubts.append(Doubt(slot: slot, serial: serial, nanoseconds: nanoseconds))
        }
    }

    /// What turned out to be wrong, now that events behind the last one are known to be missing.
    mutating func takeDoubts() -> [Doubt] {
        defer { doubtsSince = .min }
        return doubtsSince == lastEvent ? doubts : []
    }

    /// From its last event on, it is not known who is on it.
    mutating func lost(isOpen: Bool) {
        isInGap = isOpen
        settle(at: lastEvent)
        occupant = .unknown
        vcpu = Self.noVCPU
    }

    private mutating func settle(at time: Int64) {
        let elapsed = max(0, time - since)
        if !isCertain || tid == Occupant.unknownTID {
            unknownNanoseconds += elapsed
        } else if tid != 0 {
            busyNanoseconds += elapsed
        }
        since += elapsed
    }

    /// Busy and unknown time up to `now`; the rest of the time since the start, it was idle.
    func times(until now: Int64) -> (busy: Int64, unknown: Int64) {
        var settled = self
        settled.settle(at: now)
        return (settled.busyNanoseconds, settled.unknownNanoseconds)
    }
}
