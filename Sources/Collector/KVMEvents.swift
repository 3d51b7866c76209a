import TraceModel

/// The host's `kvm` events that say something about clocks, bound to the formats of one kernel.
struct KVMEvents {
    /// KVM gave a vCPU another TSC offset (`kvm_vcpu_write_tsc_offset`, arch/x86/kvm/x86.c).
    struct OffsetChange: Codable {
        /// The thread that did it: the vCPU's own, or one of its VMM.
        var tid: Int32
        var vcpu: Int
        var previous: Int64
        var next: Int64
        var ticks: TraceTicks
    }

    private struct OffsetWrite {
        var type: UInt16
        var vcpu: IntegerField
        var previous: IntegerField
        var next: IntegerField
    }

    private var offsetWrite: OffsetWrite?
    private var masterClockType: UInt16?
    private var entryType: UInt16?
    private var exitType: UInt16?
    private var entryVCPU: IntegerField?
    private var exitVCPU: IntegerField?

    init(_ formats: FormatTable) {
        func field(_ name: String, of type: Int) -> IntegerField? {
            IntegerField(name, of: formats.formats[type], byteOrder: formats.byteOrder)
        }
        if let entry = formats.typeIndex(system: "kvm", name: "kvm_entry"),
            let exit = formats.typeIndex(system: "kvm", name: "kvm_exit")
        {
            (entryType, exitType) = (UInt16(entry), UInt16(exit))
            (entryVCPU, exitVCPU) = (field("vcpu_id", of: entry), field("vcpu_id", of: exit))
        }
        masterClockType = formats.typeIndex(system: "kvm", name: "kvm_update_master_clock").map { UInt16($0) }
        if let type = formats.typeIndex(system: "kvm", name: "kvm_write_tsc_offset"),
            let vcpu = field("vcpu_id", of: type), let previous = field("previous_tsc_offset", of: type),
            let next = field("next_tsc_offset", of: type)
        {
            offsetWrite = OffsetWrite(type: UInt16(type), vcpu: vcpu, previous: previous, next: next)
        }
    }

    /// KVM computed the clocks of a machine anew: which thread made it do so, and when.
    func masterClockUpdates(in batch: EventBatch) -> [(tid: Int32, ticks: TraceTicks)] {
        guard let masterClockType else { return [] }
        return batch.headers.filter { $0.typeIndex == masterClockType }.map { ($0.pid, $0.ticks) }
    }

    func offsetChanges(in batch: EventBatch) -> [OffsetChange] {
        guard let offsetWrite else { return [] }
        let records = batch.records.span.bytes
        var changes: [OffsetChange] = []
        for header in batch.headers where header.typeIndex == offsetWrite.type {
            guard let vcpu = offsetWrite.vcpu.value(in: records, of: header),
                let previous = offsetWrite.previous.value(in: records, of: header),
                let next = offsetWrite.next.value(in: records, of: header)
            else { continue }
            changes.append(
                OffsetChange(
                    tid: header.pid, vcpu: Int(clamping: vcpu), previous: previous, next: next, ticks: header.ticks))
        }
        return changes
    }
}

extension KVMEvents {
    /// Indices of the events with which a vCPU enters or leaves guest mode.
    func crossings(in batch: EventBatch) -> [Int] {
        guard let entryType, let exitType else { return [] }
        return batch.headers.indices.filter {
            batch.headers[$0].typeIndex == entryType || batch.headers[$0].typeIndex == exitType
        }
    }

    func crossing(
        _ header: EventHeader, in records: borrowing RawSpan
    ) -> (kind: GuestModeTracker.Event.Kind, vcpu: Int?) {
        let isEntry = header.typeIndex == entryType
        let number = (isEntry ? entryVCPU : exitVCPU)?.value(in: records, of: header)
        return (isEntry ? .entry : .exit, number.flatMap { Int(exactly: $0) })
    }
}
