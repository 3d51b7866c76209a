import TraceModel

/// What an event of the host means to the analysis.
enum HostEvent: UInt8, Sendable, Codable {
    case other
    case switched, waking, wakeup, wakeupNew, migrated, processExit, processExec
    case entry, exit, userspaceExit, vcpuWakeup, haltPoll, interruptAccepted, interruptInjected
    case nestedExitInjected, waitTrapped
}

/// What the host's events can tell at all, given which of them are bound.
struct Knowledge: Equatable, Sendable, Codable {
    /// `kvm_entry` and `kvm_exit`: guest code can be told from hypervisor code.
    var guestMode = false
    /// `sched_switch`: it is known which thread has a CPU, and why one lost it.
    var scheduling = false
}

/// The host's event types bound to their handlers, with every field that a handler reads at its place.
///
/// An event that the kernel does not have, or that lacks a field without which it says nothing, stays unbound; the
/// sentences of `limits` say what cannot be known then.
struct HostBinding: Sendable, Codable {
    struct Switch: Sendable, Codable {
        let previousTID: IntegerField
        let previousState: IntegerField
        let nextTID: IntegerField
        let previousComm: CommField?
        let nextComm: CommField?
        let meaning: PreviousState
    }

    struct Wake: Sendable, Codable {
        let tid: IntegerField
        let targetCPU: IntegerField?
    }

    struct Migration: Sendable, Codable {
        let tid: IntegerField
        let destinationCPU: IntegerField
    }

    struct Exit: Sendable, Codable {
        /// `exit_reason`; on arm64 `ret`.
        let reason: IntegerField
        let isa: IntegerField?
        /// arm64's `esr_ec`.
        let exceptionClass: IntegerField?
        let vcpu: IntegerField?
    }

    /// A virtual interrupt reaches a vCPU's local APIC, which is named by its APIC id: KVM's number of the vCPU.
    struct Interrupt: Sendable, Codable {
        let kvmID: IntegerField
        let vector: IntegerField
    }

    /// `kvm_nested_vmexit_inject`.
    struct NestedExit: Sendable, Codable {
        let reason: IntegerField
        let isa: IntegerField?
    }

    struct UserspaceExit: Sendable, Codable {
        let reason: IntegerField?
        let error: IntegerField?
    }

    private(set) var events: [HostEvent] = []
    private(set) var switched: Switch?
    private(set) var waking: Wake?
    private(set) var wakeup: Wake?
    private(set) var wakeupNew: Wake?
    private(set) var migration: Migration?
    private(set) var processExit: IntegerField?
    private(set) var processExec: IntegerField?
    private(set) var entryVCPU: IntegerField?
    private(set) var exit: Exit?
    private(set) var userspaceExit = UserspaceExit(reason: nil, error: nil)
    private(set) var wakeupWaited: IntegerField?
    private(set) var haltPollLimit: IntegerField?
    private(set) var accepted: Interrupt?
    private(set) var injectedVector: IntegerField?
    private(set) var nestedExit: NestedExit?
    /// `kvm_wfx_arm64.is_wfe`.
    private(set) var waitIsWFE: IntegerField?
    private(set) var knowledge = Knowledge()
    /// Events that are there and lack a field that is needed.
    private(set) var unusable: [String] = []

    init() {}

    init(_ table: FormatTable) {
        events = table.formats.map { format in
            let event = Self.event(format)
            guard event != .other else { return .other }
            if bind(event, format, table.byteOrder) { return event }
            unusable.append(format.fullName)
            return .other
        }
        knowledge = Knowledge(
            guestMode: events.contains(.entry) && events.contains(.exit), scheduling: events.contains(.switched))
    }

    private static func event(_ format: EventFormat) -> HostEvent {
        switch (format.system, format.name) {
        case ("sched", "sched_switch"): .switched
        case ("sched", "sched_waking"): .waking
        case ("sched", "sched_wakeup"): .wakeup
        case ("sched", "sched_wakeup_new"): .wakeupNew
        case ("sched", "sched_migrate_task"): .migrated
        case ("sched", "sched_process_exit"): .processExit
        case ("sched", "sched_process_exec"): .processExec
        case ("kvm", "kvm_entry"): .entry
        case ("kvm", "kvm_exit"): .exit
        case ("kvm", "kvm_userspace_exit"): .userspaceExit
        case ("kvm", "kvm_vcpu_wakeup"): .vcpuWakeup
        case ("kvm", "kvm_halt_poll_ns"): .haltPoll
        // The first without, the second with APICv; `kvm_inj_virq` is silent with APICv.
        case ("kvm", "kvm_apic_accept_irq"), ("kvm", "kvm_apicv_accept_irq"): .interruptAccepted
        case ("kvm", "kvm_inj_virq"): .interruptInjected
        case ("kvm", "kvm_nested_vmexit_inject"): .nestedExitInjected
        case ("kvm", "kvm_wfx_arm64"): .waitTrapped
        default: .other
        }
    }

    /// Returns whether the format has what its handler needs.
    private mutating func bind(_ event: HostEvent, _ format: EventFormat, _ byteOrder: ByteOrder) -> Bool {
        func field(_ name: String) -> IntegerField? { IntegerField(name, of: format, byteOrder: byteOrder) }
        func wake() -> Wake? { field("pid").map { Wake(tid: $0, targetCPU: field("target_cpu")) } }
        switch event {
        case .other: return false
        case .switched:
            guard let previous = field("prev_pid"), let state = field("prev_state"), let next = field("next_pid") else {
                return false
            }
            switched = Switch(
                previousTID: previous, previousState: state, nextTID: next,
                previousComm: CommField("prev_comm", of: format), nextComm: CommField("next_comm", of: format),
                meaning: PreviousState(formatText: format.text))
            return true
        case .waking:
            waking = wake()
            return waking != nil
        case .wakeup:
            wakeup = wake()
            return wakeup != nil
        case .wakeupNew:
            wakeupNew = wake()
            return wakeupNew != nil
        case .migrated:
            guard let tid = field("pid"), let destination = field("dest_cpu") else { return false }
            migration = Migration(tid: tid, destinationCPU: destination)
            return true
        case .processExit:
            processExit = field("pid")
            return processExit != nil
        case .processExec:
            processExec = field("old_pid") ?? field("pid")
            return processExec != nil
        case .entry:
            entryVCPU = field("vcpu_id")
            return true
        case .exit:
            guard let reason = field("exit_reason") ?? field("ret") else { return false }
            exit = Exit(
                reason: reason, isa: field("isa"), exceptionClass: field("esr_ec"), vcpu: field("vcpu_id"))
            return true
        case .userspaceExit:
            userspaceExit = UserspaceExit(reason: field("reason"), error: field("errno"))
            return true
        case .vcpuWakeup:
            wakeupWaited = field("waited")
            return wakeupWaited != nil
        case .haltPoll:
            haltPollLimit = field("new")
            return haltPollLimit != nil
        case .interruptAccepted:
            guard let kvmID = field("apicid"), let vector = field("vec") else { return false }
            accepted = Interrupt(kvmID: kvmID, vector: vector)
            return true
        case .interruptInjected:
            injectedVector = field("vector") ?? field("irq")
            return injectedVector != nil
        case .nestedExitInjected:
            nestedExit = field("exit_code").map { NestedExit(reason: $0, isa: field("isa")) }
            return nestedExit != nil
        case .waitTrapped:
            waitIsWFE = field("is_wfe")
            return waitIsWFE != nil
        }
    }

    // MARK: What cannot be known

    var limits: [String] {
        var sentences = unusable.map { "\($0) on the host lacks a field that the analysis needs; it is not used" }
        if !knowledge.guestMode {
            let missing = [
                events.contains(.entry) ? nil : "kvm:kvm_entry", events.contains(.exit) ? nil : "kvm:kvm_exit",
            ].compactMap(\.self).joined(separator: " and ")
            sentences.append(
                "no \(missing) events on the host: guest code, hypervisor and device emulation cannot be told apart "
                    + "(all on_cpu), nor a halted vCPU from a blocked one (both blocked)")
        } else if !events.contains(.userspaceExit) {
            sentences.append(
                "no kvm:kvm_userspace_exit events on the host: device emulation in the VMM counts as hypervisor")
        }
        if !knowledge.scheduling {
            sentences.append(
                "no sched:sched_switch events on the host: preemption and the load of host CPUs cannot be known; "
                    + "a vCPU's time off the CPU counts as hypervisor or userspace, and after HLT as halted")
        } else if !events.contains(.waking), !events.contains(.wakeup) {
            sentences.append(
                "no sched:sched_waking or sched:sched_wakeup events on the host: the wait of a woken vCPU for a CPU "
                    + "counts as halted or blocked")
        }
        if knowledge.scheduling, !events.contains(.migrated) {
            sentences.append(
                "no sched:sched_migrate_task events on the host: a vCPU that is moved to another CPU while it waits is taken "
                    + "to wait for the former, whose threads are blamed")
        }
        return sentences
    }
}
