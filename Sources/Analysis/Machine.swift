import TraceModel

/// One virtual machine: a VMM process, or, until somebody tells whose it is, a single vCPU thread on its own.
struct Machine: Sendable, Codable {
    /// Unlike a process id or a slot, never used twice; never 0.
    let serial: UInt32
    private(set) var name: String
    /// Nil while it is a lone thread, and again when another process has got the id.
    var vmmPID: Int32?
    private(set) var vmm: String?
    private(set) var uuid: String?
    /// It is translated in user space and causes no `kvm` events, whatever else runs on this host.
    private(set) var isEmulated = false
    /// The VMM process ended.
    var isGone = false
    /// Its vCPUs that are followed, and those that are listed: with the ones that ended.
    var liveVCPUs = 0
    var listedVCPUs = 0

    /// A lone vCPU thread.
    init(serial: UInt32, thread: Int32) {
        self.serial = serial
        name = "thread \(thread)"
    }

    init(serial: UInt32, facts: VMFacts) {
        self.serial = serial
        name = facts.name
        update(facts)
    }

    mutating func update(_ facts: VMFacts) {
        name = facts.name
        vmmPID = facts.vmmPID
        vmm = facts.vmm
        uuid = facts.uuid ?? uuid
        isEmulated = facts.isEmulated
    }

    /// Only a vCPU thread is known of it.
    var isProvisional: Bool { vmmPID == nil && !isGone && vmm == nil }

    /// Whether `facts` can be about this machine: they may have become more, they cannot have become others.
    func matches(_ facts: VMFacts) -> Bool {
        if let uuid, let other = facts.uuid { return uuid == other }
        return name == facts.name
    }
}
