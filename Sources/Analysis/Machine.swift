import TraceModel

/// One virtual machine: a VMM process, or, until somebody tells whose it is, a single vCPU thread on its own.
struct Machine: Sendable, Codable {
    /// Unlike a process id or a slot, never used twice; never 0.
    let serial: UInt32
    private(set) var name: String
    /// Nil while it is a lone thread, and again when another process has got the id.
    var vmmPID: Int32?
    private(set) var vmm: String?
    /// The name that the agent inside goes by.
    var guestName: String?
    private(set) var uuid: String?
    /// It is translated in user space and causes no `kvm` events, whatever else runs on this host.
    private(set) var isEmulated = false
    /// The VMM process ended.
    var isGone = false
    /// Its vCPUs that are followed, and those that are listed: with the ones that ended.
    var liveVCPUs = 0
    var listedVCPUs = 0
    /// What the interrupt vectors of its guest mean.
    var vectors = LearnedVectors()
    /// Names of the VMM's own threads that serve devices: QEMU's I/O threads and thread pool, Firecracker's and Cloud
    /// Hypervisor's main and queue threads, and the VMM's main thread wherever threads have no names of their own.
    static let deviceThreads = [
        "IO iothread", "worker", "iou-", "qemu-", "firecracker", "cloud-hyperviso", "_disk", "vmm",
    ].map { Comm($0) }
    /// vhost's worker (drivers/vhost/vhost.c), Cloud Hypervisor's queue threads.
    static let networkThreads = ["vhost-", "_net"].map { Comm($0) }

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

    var displayName: String { guestName ?? name }

    /// Only a vCPU thread is known of it.
    var isProvisional: Bool { vmmPID == nil && !isGone && vmm == nil }

    /// Whether `facts` can be about this machine: they may have become more, they cannot have become others.
    func matches(_ facts: VMFacts) -> Bool {
        if let uuid, let other = facts.uuid { return uuid == other }
        return name == facts.name
    }
}
