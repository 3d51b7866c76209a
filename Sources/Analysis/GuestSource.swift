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
        /// Slot of the vCPU that this is; -1 while not linked.
        var vcpu: Int32 = -1
    }

    let id: SourceID
    private(set) var name = ""
    private var switchType: UInt16?
    private var nextTID: IntegerField?
    private var nextComm: CommField?
    private(set) var cpus: [CPU] = []
    var names = TaskNames()
    /// Serial of the machine that this guest is; 0 while not linked.
    var machine: UInt32 = 0
    /// The VMM process it was linked to before that process was known as a machine.
    var awaitedPID: Int32?
    /// Which state of the identities `CPU.vcpu` was found in.
    var resolvedGeneration = UInt64.max

    init(id: SourceID) { self.id = id }

    mutating func bind(name: String, formats: FormatTable) {
        self.name = name
        switchType = nil
        guard let index = formats.typeIndex(system: "sched", name: "sched_switch"),
            let field = IntegerField("next_pid", of: formats.formats[index], byteOrder: formats.byteOrder)
        else { return }
        switchType = UInt16(index)
        nextTID = field
        nextComm = CommField("next_comm", of: formats.formats[index])
    }

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

    mutating func event(_ header: EventHeader, in records: borrowing RawSpan, on cpu: Int) {
        guard header.typeIndex == switchType, let tid = nextTID?.value(in: records, of: header) else { return }
        cpus[cpu].tid = Int32(truncatingIfNeeded: tid)
        cpus[cpu].comm = nextComm?.value(in: records, of: header) ?? Comm()
        cpus[cpu].isKnown = true
    }

    mutating func setVCPU(_ slot: Int32, of cpu: Int) { cpus[cpu].vcpu = slot }

    /// Events were lost: the task is unknown until the next switch.
    mutating func lost(on cpu: Int) { cpus[cpu].isKnown = false }

    func task(on cpu: Int) -> (tid: Int32, name: String)? {
        guard cpus.indices.contains(cpu), cpus[cpu].isKnown else { return nil }
        let tid = cpus[cpu].tid
        let comm = cpus[cpu].comm.isEmpty ? names[tid] : cpus[cpu].comm
        return (tid, comm.isEmpty ? "tid \(tid)" : comm.text)
    }

    var limit: String? {
        switchType == nil ? "no sched:sched_switch events from \(name): its tasks cannot be known" : nil
    }
}
