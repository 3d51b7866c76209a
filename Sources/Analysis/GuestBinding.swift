import TraceModel

/// What an event of a guest means to the analysis.
enum GuestEvent: UInt8, Sendable, Codable {
    case other
    case switched, migrated, ended, born
    /// The guest reports an interrupt: what ended its halt.
    case timer, ipi, device
    /// What its host has to see it do: see `Causality`.
    case timerStarted, idled
}

/// A guest's event types bound to their handlers. Events that it does not send are simply missed.
struct GuestBinding: Sendable, Codable {
    struct Switch: Sendable, Codable {
        let previousTID: IntegerField?
        let nextTID: IntegerField
        let nextComm: CommField?
        let previousState: IntegerField?
        let meaning: PreviousState
    }

    private(set) var events: [GuestEvent] = []
    private(set) var switched: Switch?
    private(set) var migratedTID: IntegerField?
    private(set) var endedTID: IntegerField?
    private(set) var bornTID: IntegerField?
    private(set) var idleState: IntegerField?
    /// `irq_handler_entry.name`, a `__data_loc` word.
    private(set) var handlerName: IntegerField?
    /// It is a host itself, and traces what its guests do.
    private(set) var tellsGuests = false

    init() {}

    init(_ table: FormatTable) {
        events = table.formats.map { format in
            let event = Self.event(format)
            return bind(event, format, table.byteOrder) ? event : .other
        }
        tellsGuests = table.formats.contains { $0.system == "kvm" && ($0.name == "kvm_entry" || $0.name == "kvm_exit") }
    }

    private static func event(_ format: EventFormat) -> GuestEvent {
        switch (format.system, format.name) {
        case ("sched", "sched_switch"): .switched
        case ("sched", "sched_migrate_task"): .migrated
        case ("sched", "sched_process_exit"): .ended
        case ("sched", "sched_wakeup_new"): .born
        case ("irq_vectors", "local_timer_entry"), ("timer", "hrtimer_expire_entry"): .timer
        case ("irq_vectors", "reschedule_entry"), ("irq_vectors", "call_function_entry"),
            ("irq_vectors", "call_function_single_entry"), ("ipi", "ipi_entry"):
            .ipi
        case ("irq", "irq_handler_entry"): .device
        case ("timer", "hrtimer_start"): .timerStarted
        case ("power", "cpu_idle"): .idled
        default: .other
        }
    }

    private mutating func bind(_ event: GuestEvent, _ format: EventFormat, _ byteOrder: ByteOrder) -> Bool {
        func field(_ name: String) -> IntegerField? { IntegerField(name, of: format, byteOrder: byteOrder) }
        switch event {
        case .other, .timer, .ipi, .timerStarted: return true
        case .idled:
            idleState = field("state")
            return idleState != nil
        case .switched:
            guard let next = field("next_pid") else { return false }
            switched = Switch(
                previousTID: field("prev_pid"), nextTID: next, nextComm: CommField("next_comm", of: format),
                previousState: field("prev_state"), meaning: PreviousState(formatText: format.text))
            return true
        case .migrated:
            migratedTID = field("pid")
            return migratedTID != nil
        case .ended:
            endedTID = field("pid")
            return endedTID != nil
        case .born:
            bornTID = field("pid")
            return bornTID != nil
        case .device:
            guard var name = format.field("name"), name.kind == .dynamic, name.size == 4 else { return false }
            // The word itself is an integer: length above, offset below.
            name.isSigned = false
            handlerName = IntegerField(name, byteOrder: byteOrder)
            return handlerName != nil
        }
    }

    /// What a device interrupt's handler is called tells what the device is.
    ///
    /// virtio names its vectors by queue (`virtio1-input.0`, `virtio0-req.0`, drivers/virtio/virtio_pci_common.c), other
    /// drivers by themselves; without message-signalled interrupts a virtio device is `virtioN` and tells nothing.
    func reason(of header: EventHeader, in records: borrowing RawSpan) -> WakeUps.Reason? {
        guard let word = handlerName?.value(in: records, of: header) else { return nil }
        let start = Int(word & 0xffff)
        let length = min(Int(word >> 16), 32)
        guard length > 0, start + length <= Int(header.length) else { return nil }
        var name: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
        withUnsafeMutableBytes(of: &name) { bytes in
            for index in 0..<length {
                bytes[index] = unsafe records.unsafeLoad(
                    fromByteOffset: Int(header.offset) + start + index, as: UInt8.self)
            }
        }
        return withUnsafeBytes(of: name) {
            HandlerName(bytes: UnsafeRawBufferPointer(rebasing: $0.prefix(length))).reason
        }
    }
}

/// The name of an interrupt handler, searched for words.
private struct HandlerName {
    let bytes: UnsafeRawBufferPointer

    var reason: WakeUps.Reason? {
        if contains("-req") || contains("nvme") || contains("ahci") || contains("ata_") || contains("scsi")
            || contains("-request")
        {
            return .disk
        }
        if contains("input") || contains("output") || hasPrefix("eth") || hasPrefix("ens") || hasPrefix("enp") {
            return .net
        }
        if contains("timer") { return .timer }
        return nil
    }

    private func hasPrefix(_ word: StaticString) -> Bool { matches(word, at: 0) }

    private func contains(_ word: StaticString) -> Bool { bytes.indices.contains { matches(word, at: $0) } }

    private func matches(_ word: StaticString, at start: Int) -> Bool {
        guard bytes.count - start >= word.utf8CodeUnitCount else { return false }
        for index in 0..<word.utf8CodeUnitCount where unsafe word.utf8Start[index] != bytes[start + index] {
            return false
        }
        return true
    }
}
