import TraceModel

/// The events that a survey looks at, with their fields bound.
struct SurveyFields {
    enum Meaning: Hashable {
        case other, entry, exit, switched, process
        case vmsync(TraceSurvey.VMSync.Kind)
        case packet(isSent: Bool)
    }

    enum Field: Hashable {
        case vcpu, nextThread, statedumpThread, statedumpProcess, syncCount, syncVM
    }

    let formatCount: Int
    private(set) var meanings: [Meaning] = []
    /// By type index, because two events may have a field of one name at two places.
    private var fields: [[Field: IntegerField]] = []
    /// By type index, of the events that show packets.
    private(set) var packets: [Int: PacketFields] = [:]
    private(set) var nextComm: CommField?
    private var statedumpText: IntegerField?

    init(_ formats: [EventFormat]) {
        formatCount = formats.count
        for format in formats {
            let meaning = Self.meaning(format)
            meanings.append(meaning)
            var bound: [Field: IntegerField] = [:]
            func bind(_ field: Field, _ names: String...) {
                for name in names where bound[field] == nil {
                    bound[field] = IntegerField(name, of: format, byteOrder: .native)
                }
            }
            switch meaning {
            case .exit: bind(.vcpu, "vcpu_id")
            case .switched:
                bind(.nextThread, "next_pid")
                nextComm = CommField("next_comm", of: format)
            case .process:
                bind(.statedumpThread, "tid")
                bind(.statedumpProcess, "pid")
                if let name = format.field("name"), name.kind == .dynamic {
                    statedumpText = IntegerField(name, byteOrder: .native)
                }
            case .vmsync:
                bind(.syncCount, "cnt", "count")
                bind(.syncVM, "vm_uid", "uid")
            case .packet: packets[meanings.count - 1] = PacketFields(format)
            case .other, .entry: break
            }
            fields.append(bound)
        }
    }

    private static func meaning(_ format: EventFormat) -> Meaning {
        switch format.name {
        case "kvm_entry": .entry
        case "kvm_exit": .exit
        case "sched_switch": .switched
        case "lttng_statedump_process_state": .process
        case "vmsync_gh_guest": .vmsync(.guestSent)
        case "vmsync_gh_host": .vmsync(.hostReceived)
        case "vmsync_hg_host": .vmsync(.hostSent)
        case "vmsync_hg_guest": .vmsync(.guestReceived)
        // LTTng's names; ftrace's have no headers.
        case "net_dev_queue": .packet(isSent: true)
        case "net_if_receive_skb": .packet(isSent: false)
        default: .other
        }
    }

    func value(_ field: Field, _ records: borrowing RawSpan, _ header: EventHeader) -> Int64? {
        fields[Int(header.typeIndex)][field]?.value(in: records, of: header)
    }

    /// The statedump's `name`, through its `__data_loc` word.
    func statedumpName(_ records: borrowing RawSpan, _ header: EventHeader) -> Comm? {
        guard let word = statedumpText?.value(in: records, of: header) else { return nil }
        let start = Int(word & 0xffff)
        let length = min(Int(word >> 16 & 0xffff), 16)
        guard start + length <= Int(header.length) else { return nil }
        var bytes: [UInt8] = []
        for index in 0..<length {
            bytes.append(
                records.unsafeLoad(fromByteOffset: Int(header.offset) + start + index, as: UInt8.self))
        }
        return Comm(bytes: bytes)
    }
}
