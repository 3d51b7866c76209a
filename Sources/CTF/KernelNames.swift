/// Names of LTTng's kernel events and fields, put into the words of ftrace, and back.
///
/// LTTng names a tracepoint after the kernel's own with a prefix of the subsystem where that has none, calls a thread's id
/// `tid` (the kernel's trace events call it `pid`), and cannot state the system, which is found from the name. Sources:
/// lttng-modules 2.13 (include/instrumentation/events/*.h) and Linux 6.18 (include/trace/events/*.h). Names with a colon
/// (`perf data convert --to-ctf`, LTTng-UST) bring their system along.
enum KernelNames {
    struct Event: Hashable {
        var system: String
        var name: String
    }

    /// LTTng's name begins with the first; ftrace's has the second there, and its system is the third. First match wins.
    private static let prefixes: [(lttng: String, ftrace: String, system: String)] = [
        ("kvm_x86_", "kvm_", "kvm"), ("kvm_mmu_", "kvm_mmu_", "kvmmmu"), ("kvm_", "kvm_", "kvm"),
        ("sched_", "sched_", "sched"), ("irq_handler_", "irq_handler_", "irq"), ("irq_softirq_", "softirq_", "irq"),
        ("irq_tasklet_", "tasklet_", "irq"), ("timer_hrtimer_", "hrtimer_", "timer"),
        ("timer_itimer_", "itimer_", "timer"), ("timer_", "timer_", "timer"),
        ("syscall_entry_", "sys_enter_", "syscalls"), ("syscall_exit_", "sys_exit_", "syscalls"),
        ("compat_syscall_entry_", "compat_sys_enter_", "syscalls"),
        ("compat_syscall_exit_", "compat_sys_exit_", "syscalls"), ("power_", "", "power"), ("rpm_", "rpm_", "rpm"),
        ("net_", "net_", "net"), ("netif_", "netif_", "net"), ("napi_", "napi_", "napi"), ("skb_", "", "skb"),
        ("sock_", "sock_", "sock"), ("block_", "block_", "block"), ("writeback_", "writeback_", "writeback"),
        ("workqueue_", "workqueue_", "workqueue"), ("signal_", "signal_", "signal"), ("kmem_", "", "kmem"),
        ("mm_vmscan_", "mm_vmscan_", "vmscan"), ("module_", "module_", "module"), ("rcu_", "rcu_", "rcu"),
        ("random_", "", "random"), ("regulator_", "regulator_", "regulator"), ("scsi_", "scsi_", "scsi"),
        ("x86_irq_vectors_", "", "irq_vectors"), ("x86_exceptions_", "", "exceptions"),
        ("vmsync_", "vmsync_", "vmsync"),
    ]

    /// The kernel's names, where the prefix alone does not lead to them.
    private static let exceptions: [(lttng: String, event: Event)] = [
        ("skb_copy_datagram_iovec", Event(system: "skb", name: "skb_copy_datagram_iovec")),
        ("skb_kfree", Event(system: "skb", name: "kfree_skb")),
        ("skb_consume", Event(system: "skb", name: "consume_skb")),
        ("timer_itimer_state", Event(system: "timer", name: "itimer_state")),
        ("timer_itimer_expire", Event(system: "timer", name: "itimer_expire")),
    ]

    /// KVM's events of include/trace/events/kvm.h; LTTng prefixes those of arch/x86/kvm/trace.h with `kvm_x86_`.
    private static let machineIndependent: Set<String> = [
        "kvm_userspace_exit", "kvm_vcpu_wakeup", "kvm_set_irq", "kvm_ioapic_set_irq", "kvm_ioapic_delayed_eoi_inj",
        "kvm_msi_set_irq", "kvm_ack_irq", "kvm_mmio", "kvm_iocsr", "kvm_fpu", "kvm_age_page", "kvm_age_hva",
        "kvm_test_age_hva", "kvm_unmap_hva_range", "kvm_set_spte_hva", "kvm_try_async_get_page",
        "kvm_async_pf_doublefault", "kvm_async_pf_not_present", "kvm_async_pf_ready", "kvm_async_pf_completed",
        "kvm_halt_poll_ns", "kvm_dirty_ring_push", "kvm_dirty_ring_reset", "kvm_dirty_ring_exit",
    ]

    /// The event in ftrace's words.
    static func ftrace(_ name: String) -> Event {
        if let colon = name.firstIndex(of: ":") {
            let system = identifier(name[..<colon])
            return Event(system: system, name: identifier(name[name.index(after: colon)...]))
        }
        if let known = exceptions.first(where: { $0.lttng == name }) { return known.event }
        if let prefix = prefixes.first(where: { name.hasPrefix($0.lttng) && name.count > $0.lttng.count }) {
            return Event(system: prefix.system, name: identifier(prefix.ftrace + name.dropFirst(prefix.lttng.count)))
        }
        return Event(system: "lttng", name: identifier(name[...]))
    }

    /// The event in LTTng's words, which are what Trace Compass's kernel analyses look for.
    static func lttng(_ event: Event) -> String {
        if let known = exceptions.first(where: { $0.event == event }) { return known.lttng }
        if event.system == "kvm", event.name.hasPrefix("kvm_"), !machineIndependent.contains(event.name) {
            return "kvm_x86_" + event.name.dropFirst("kvm_".count)
        }
        let candidates = prefixes.filter {
            $0.system == event.system && event.name.hasPrefix($0.ftrace) && $0.lttng != "kvm_x86_"
        }
        guard let best = candidates.max(by: { $0.ftrace.count < $1.ftrace.count }) else {
            return event.system == "lttng" ? event.name : "\(event.system)_\(event.name)"
        }
        return best.lttng + event.name.dropFirst(best.ftrace.count)
    }

    /// A field of an event in ftrace's words. `all` are the event's fields in LTTng's.
    static func ftraceField(_ name: String, of event: Event, among all: [String]) -> String {
        guard renamesThreads(event) else { return name }
        if let stem = stem(name, "tid") { return stem + "pid" }
        // LTTng's `parent_pid` is the kernel's thread group; the kernel's `parent_pid` is LTTng's `parent_tid`.
        if let stem = stem(name, "pid"), all.contains(stem + "tid") { return stem + "tgid" }
        return name
    }

    /// A field of an event in LTTng's words. `all` are the event's fields in ftrace's.
    static func lttngField(_ name: String, of event: Event, among all: [String]) -> String {
        guard renamesThreads(event) else { return name }
        if let stem = stem(name, "pid") { return stem + "tid" }
        if let stem = stem(name, "tgid"), all.contains(stem + "pid") { return stem + "pid" }
        return name
    }

    private static func renamesThreads(_ event: Event) -> Bool { event.system == "sched" }

    /// What stands before `word`, when `name` is `word` or ends with `_word`.
    private static func stem(_ name: String, _ word: String) -> Substring? {
        guard name == word || name.hasSuffix("_" + word) else { return nil }
        return name.dropLast(word.count)
    }

    /// `text` as a C identifier: other characters become `_`, because names end up in format files and on screens.
    static func identifier(_ text: some StringProtocol) -> String {
        var result = ""
        for scalar in text.unicodeScalars.prefix(200) {
            let isPlain = scalar.isASCII && (scalar.properties.isAlphabetic || ("0"..."9").contains(scalar))
            result.unicodeScalars.append(isPlain || scalar == "_" ? scalar : "_")
        }
        guard let first = result.unicodeScalars.first else { return "_" }
        return ("0"..."9").contains(first) ? "_" + result : result
    }
}
