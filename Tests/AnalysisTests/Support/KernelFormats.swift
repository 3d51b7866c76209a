import TraceModel

/// Event formats with fields and offsets as in the format files of Linux 6.18 (x86-64), written out by hand.
enum KernelFormats {
    static let sched = [
        switched, wake("sched_waking", 375), wake("sched_wakeup", 374), wake("sched_wakeup_new", 373), migrated,
        processExit,
    ]
    static let kvm = [
        entry, exit, userspaceExit, vcpuWakeup, haltPoll, accepted, acceptedWithAPICv, injected, nestedInjected,
    ]

    static func table(_ formats: [EventFormat], without names: Set<String> = []) -> FormatTable {
        FormatTable(
            byteOrder: .native, longSize: 8,
            formats: formats.filter { !names.contains($0.name) && !names.contains($0.system) })
    }

    static let switched = EventFormat(
        kernelID: 372, system: "sched", name: "sched_switch",
        fields: [
            comm("prev_comm", 8), integer("prev_pid", 24), integer("prev_prio", 28),
            integer("prev_state", 32, size: 8), comm("next_comm", 40), integer("next_pid", 56),
            integer("next_prio", 60),
        ],
        text: """
            print fmt: "prev_state=%s%s", (REC->prev_state & ((((0x00000000 | 0x00000040) + 1) << 1) - 1)) ? \
            __print_flags(REC->prev_state & ((((0x00000000 | 0x00000040) + 1) << 1) - 1), "|", { 0x00000001, "S" }, \
            { 0x00000002, "D" }, { 0x00000004, "T" }, { 0x00000008, "t" }, { 0x00000010, "X" }, { 0x00000020, "Z" }, \
            { 0x00000040, "P" }, { 0x00000080, "I" }) : "R", REC->prev_state & 0x100 ? "+" : ""
            """)

    static func wake(_ name: String, _ id: UInt16) -> EventFormat {
        EventFormat(
            kernelID: id, system: "sched", name: name,
            fields: [comm("comm", 8), integer("pid", 24), integer("prio", 28), integer("target_cpu", 32)], text: "")
    }

    static let migrated = EventFormat(
        kernelID: 371, system: "sched", name: "sched_migrate_task",
        fields: [
            EventField(
                name: "comm", type: "__data_loc char[]", offset: 8, size: 4, isSigned: false, kind: .dynamic),
            integer("pid", 12), integer("prio", 16), integer("orig_cpu", 20), integer("dest_cpu", 24),
        ], text: "")

    static let processExit = EventFormat(
        kernelID: 369, system: "sched", name: "sched_process_exit",
        fields: [comm("comm", 8), integer("pid", 24), integer("prio", 28)], text: "")

    static let processExec = EventFormat(
        kernelID: 365, system: "sched", name: "sched_process_exec",
        fields: [integer("pid", 12), integer("old_pid", 16)], text: "")

    static let entry = EventFormat(
        kernelID: 115, system: "kvm", name: "kvm_entry",
        fields: [unsigned("vcpu_id", 8), unsigned("rip", 16, size: 8)], text: "")

    static let exit = EventFormat(
        kernelID: 103, system: "kvm", name: "kvm_exit",
        fields: [
            unsigned("exit_reason", 8), unsigned("guest_rip", 16, size: 8), unsigned("isa", 24),
            unsigned("vcpu_id", 56),
        ], text: "")

    static let userspaceExit = EventFormat(
        kernelID: 42, system: "kvm", name: "kvm_userspace_exit",
        fields: [unsigned("reason", 8), integer("errno", 12)], text: "")

    static let vcpuWakeup = EventFormat(
        kernelID: 41, system: "kvm", name: "kvm_vcpu_wakeup",
        fields: [unsigned("ns", 8, size: 8), unsigned("waited", 16, size: 1), unsigned("valid", 17, size: 1)],
        text: "")

    static let haltPoll = EventFormat(
        kernelID: 40, system: "kvm", name: "kvm_halt_poll_ns",
        fields: [
            unsigned("grow", 8, size: 1), unsigned("vcpu_id", 12), unsigned("new", 16), unsigned("old", 20),
        ], text: "")

    static let accepted = EventFormat(
        kernelID: 97, system: "kvm", name: "kvm_apic_accept_irq",
        fields: [
            unsigned("apicid", 8), unsigned("dm", 12, size: 2), unsigned("tm", 14, size: 2),
            unsigned("vec", 16, size: 1),
        ], text: "")

    /// The same where the processor delivers interrupts itself.
    static let acceptedWithAPICv = EventFormat(
        kernelID: 96, system: "kvm", name: "kvm_apicv_accept_irq", fields: accepted.fields, text: "")

    static let injected = EventFormat(
        kernelID: 98, system: "kvm", name: "kvm_inj_virq",
        fields: [unsigned("vector", 8, size: 1), unsigned("soft", 9, size: 1), unsigned("reinjected", 10, size: 1)],
        text: "")

    static let nestedInjected = EventFormat(
        kernelID: 85, system: "kvm", name: "kvm_nested_vmexit_inject",
        fields: [
            unsigned("exit_code", 8), unsigned("exit_info1", 16, size: 8), unsigned("exit_info2", 24, size: 8),
            unsigned("exit_int_info", 32), unsigned("exit_int_info_err", 36), unsigned("isa", 40),
        ], text: "")

    /// What a guest with `-e sched -e irq -e timer -e power` tells.
    static let guest = [
        switched, migrated, processExit, wake("sched_wakeup_new", 373), irqHandler, hrtimer, reschedule, hrtimerStart,
        cpuIdle,
    ]

    static let irqHandler = EventFormat(
        kernelID: 150, system: "irq", name: "irq_handler_entry",
        fields: [
            integer("irq", 8),
            EventField(
                name: "name", type: "__data_loc char[]", offset: 12, size: 4, isSigned: false, kind: .dynamic),
        ], text: "")

    static let hrtimer = EventFormat(
        kernelID: 160, system: "timer", name: "hrtimer_expire_entry", fields: [unsigned("hrtimer", 8, size: 8)],
        text: "")

    static let hrtimerStart = EventFormat(
        kernelID: 161, system: "timer", name: "hrtimer_start", fields: [unsigned("hrtimer", 8, size: 8)], text: "")

    static let cpuIdle = EventFormat(
        kernelID: 180, system: "power", name: "cpu_idle", fields: [unsigned("state", 8), unsigned("cpu_id", 12)],
        text: "")

    static let reschedule = EventFormat(
        kernelID: 170, system: "irq_vectors", name: "reschedule_entry", fields: [integer("vector", 8)], text: "")

    /// arm64 (arch/arm64/kvm/trace_arm.h): neither knows a vCPU number.
    static let armEntry = EventFormat(
        kernelID: 115, system: "kvm", name: "kvm_entry", fields: [unsigned("vcpu_pc", 8, size: 8)], text: "")
    static let armExit = EventFormat(
        kernelID: 103, system: "kvm", name: "kvm_exit",
        fields: [integer("ret", 8), unsigned("esr_ec", 12), unsigned("vcpu_pc", 16, size: 8)], text: "")

    static let armWait = EventFormat(
        kernelID: 104, system: "kvm", name: "kvm_wfx_arm64",
        fields: [unsigned("vcpu_pc", 8, size: 8), unsigned("is_wfe", 16, size: 1)], text: "")

    static func integer(_ name: String, _ offset: Int, size: Int = 4) -> EventField {
        EventField(name: name, type: "int", offset: offset, size: size, isSigned: true, kind: .integer)
    }

    static func unsigned(_ name: String, _ offset: Int, size: Int = 4) -> EventField {
        EventField(name: name, type: "unsigned int", offset: offset, size: size, isSigned: false, kind: .integer)
    }

    static func comm(_ name: String, _ offset: Int) -> EventField {
        EventField(name: name, type: "char[16]", offset: offset, size: 16, isSigned: false, kind: .text)
    }
}

extension EventBatch {
    /// Appends an event of the named type; false when the table has no such type, as with an event that is not traced.
    @discardableResult
    mutating func append(
        _ name: String, of table: FormatTable, pid: Int32, _ integers: [String: Int64] = [:],
        comms: [String: String] = [:], flags: UInt8 = 0, dynamic: [String: String] = [:]
    ) -> Bool {
        guard let index = table.formats.firstIndex(where: { $0.name == name }) else { return false }
        let format = table.formats[index]
        var record = [UInt8](repeating: 0, count: (format.minimumLength + 7) & ~7)
        for field in format.fields {
            if let value = integers[field.name] {
                for byte in 0..<field.size {
                    record[field.offset + byte] = UInt8(truncatingIfNeeded: value >> (8 * byte))
                }
            }
            if let text = comms[field.name] {
                for (index, byte) in text.utf8.prefix(15).enumerated() { record[field.offset + index] = byte }
            }
        }
        for (name, text) in dynamic {
            guard let field = format.field(name) else { return false }
            let word = UInt32(record.count) | UInt32(text.utf8.count + 1) << 16
            for byte in 0..<4 { record[field.offset + byte] = UInt8(truncatingIfNeeded: word >> (8 * UInt32(byte))) }
            record += Array(text.utf8) + [UInt8](repeating: 0, count: 8 - text.utf8.count % 8)
        }
        headers.append(
            EventHeader(
                ticks: TraceTicks(0), offset: UInt32(records.count), length: UInt32(record.count), pid: pid,
                typeIndex: UInt16(index), flags: flags, preemptCount: 0))
        records += record
        return true
    }
}
