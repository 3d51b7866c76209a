import TraceModel

/// Which host threads belong to the kernel.
///
/// Scheduler events do not say. The collector tells what it read in /proc when the session began; threads that were born
/// later are recognized by name. That is a heuristic: a user-space thread may call itself `kworker/0:1` too. It decides
/// only in which group a culprit is shown, never how much time it is given.
struct KernelThreads: Sendable, Codable {
    private var tids: Set<Int32> = []

    mutating func insert(_ tid: Int32) {
        if tids.count >= Limits.taskNames { tids.removeAll(keepingCapacity: true) }
        tids.insert(tid)
    }

    /// The thread ended; its id may be given to another one.
    mutating func remove(_ tid: Int32) { tids.remove(tid) }

    func contains(_ tid: Int32, name: String) -> Bool {
        tid == 0 || tids.contains(tid) || Self.prefixes.contains { name.hasPrefix($0) } || Self.names.contains(name)
    }

    /// From `kthread_create` and `alloc_workqueue` callers all over the kernel; the names of per-CPU threads (`x/0`).
    private static let prefixes = [
        "kworker/", "ksoftirqd/", "migration/", "cpuhp/", "irq/", "rcu_", "rcub/", "rcuc/", "rcuog/", "rcuop/",
        "rcuos/",
        "idle_inject/", "ktimers/", "kcompactd", "kswapd", "watchdog/", "vhost-", "kvm-pit/", "kvm-nx-lpage-re",
        "jbd2/",
        "xfsaild/", "btrfs-", "scsi_eh_", "scsi_tmf_", "nvme-", "md_", "dmcrypt_write/", "napi/",
    ]
    private static let names: Set<String> = [
        "kthreadd", "kauditd", "kdevtmpfs", "khugepaged", "khungtaskd", "ksmd", "oom_reaper", "pool_workqueue_",
        "watchdogd", "rcu_preempt", "rcu_sched", "damon",
    ]
}
