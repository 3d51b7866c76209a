import TraceModel

/// One guest's own events: which of its tasks is current on each of its CPUs. CPU n of a guest is vCPU n of its machine.
///
/// The guest is not trusted with more than its own rows: its times move no clock, its CPU numbers are bounded, and its
/// task names are bytes until somebody sanitizes them.
struct GuestSource: Sendable, Codable {
    struct CPU: Sendable, Codable {
        var tid: Int32 = 0
        var comm = Comm()
        /// A switch told, and nothing was lost since.
        var isKnown = false
        var isSeen = false
        /// The current task's place in `GuestSource.tasks`.
        var row = GuestTasks.unknownRow
        /// Since when it is current; what it got of a vCPU that is not known is counted from here.
        var since: Int64 = 0
        /// Slot of the vCPU that this is; -1 while not linked.
        var vcpu: Int32 = -1
    }

    let id: SourceID
    private(set) var name = ""
    private(set) var binding = GuestBinding()
    private(set) var cpus: [CPU] = []
    var tasks = GuestTasks()
    var migrations: UInt64 = 0
    /// Events of it were lost: which tasks were current meanwhile, nobody knows.
    var hasGaps = false
    var names = TaskNames()
    var causality = Causality()
    /// Serial of the machine that this guest is; 0 while not linked.
    var machine: UInt32 = 0
    /// The VMM process it was linked to before that process was known as a machine.
    var awaitedPID: Int32?
    /// Which state of the identities `CPU.vcpu` was found in.
    var resolvedGeneration = UInt64.max

    init(id: SourceID) { self.id = id }

    mutating func bind(name: String, formats: FormatTable) {
        self.name = name
        binding = GuestBinding(formats)
    }

    var tellsTasks: Bool { binding.switched != nil }

    /// Makes room for `cpu`; false when there can be no such CPU.
    mutating func see(_ cpu: Int) -> Bool {
        if cpu >= 0, cpu < cpus.count { return true }
        guard (0..<Limits.cpus).contains(cpu) else { return false }
        while cpus.count <= cpu {
            cpus.append(CPU())
            resolvedGeneration = UInt64.max
        }
        return true
    }

    mutating func setVCPU(_ slot: Int32, of cpu: Int) { cpus[cpu].vcpu = slot }

    /// The task on `cpu` before a switch, by kind.
    func kind(on cpu: Int) -> GuestRunning.Kind {
        switch cpus[cpu].row {
        case GuestTasks.unknownRow: .unknown
        case GuestTasks.idleRow: .idle
        default: .busy
        }
    }

    /// What a vCPU did while the task on `cpu` was current is that task's.
    mutating func give(_ piece: inout Overlay, toTaskOn cpu: Int) { tasks.add(&piece, to: cpus[cpu].row) }

    mutating func enter(_ cpu: Int, _ tid: Int32, _ comm: Comm, at time: Int64) {
        let comm = comm.isEmpty ? names[tid] : comm
        cpus[cpu].tid = tid
        cpus[cpu].comm = comm
        cpus[cpu].isKnown = true
        cpus[cpu].isSeen = true
        cpus[cpu].since = time
        cpus[cpu].row = tasks.enter(tid, comm, on: Int32(cpu), countsMigrations: binding.migratedTID == nil)
    }

    /// The task on `cpu` leaves, or is not known any more.
    mutating func forget(_ cpu: Int) {
        tasks.leave(cpus[cpu].row)
        cpus[cpu].row = GuestTasks.unknownRow
        cpus[cpu].isKnown = false
    }

    /// Where a task ran last; -1 when it never did.
    @inline(__always)
    func cpu(of tid: Int32) -> Int32 { tid == 0 ? -1 : tasks.cpu(of: tid) }

    func task(on cpu: Int) -> (tid: Int32, name: String)? {
        guard cpus.indices.contains(cpu), cpus[cpu].isKnown else { return nil }
        let tid = cpus[cpu].tid
        return (tid, cpus[cpu].comm.isEmpty ? "tid \(tid)" : cpus[cpu].comm.text)
    }

    var limits: [String] {
        var sentences: [String] = []
        if !tellsTasks { sentences.append("no sched:sched_switch events from \(name): its tasks cannot be known") }
        if binding.tellsGuests {
            sentences.append(
                "\(name) sends kvm events, of guests of its own: they are recorded and not analyzed; the host sees these "
                    + "guests as part of \(name)")
        }
        return sentences
    }
}
