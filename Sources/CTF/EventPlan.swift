import CBabeltrace2
import TraceModel

/// How to turn events of one CTF event class into records of one format.
///
/// Looked up for every event: a plan holds numbers only, and so do its moves, which lie in the catalog.
struct EventPlan {
    /// Where a value goes in the record, and what it is.
    struct Move {
        enum Kind {
            case unsigned, signed, bool, bitArray, single, double
            /// The number of a vCPU; see `impossibleVCPU`.
            case vcpu
            case comm
            case text
            /// Numbers: each of so many bytes in the record.
            case array(elementBytes: Int, isSigned: Bool)
            case sequence(elementBytes: Int, isSigned: Bool)
        }

        let kind: Kind
        let offset: Int
        let bytes: Int
        /// Index of the member in its structure.
        let member: UInt64
        /// Members from the payload down to that structure: a range of the catalog's `paths`, empty for the payload itself.
        var path: Range<Int>
    }

    let typeIndex: UInt16
    let kernelID: UInt16
    /// The record without texts and sequences.
    let fixedBytes: Int
    /// A range of the catalog's `moves`.
    let moves: Range<Int>
    /// Where the event itself tells the current thread, and its CPU.
    let thread: Source?
    let cpu: Source?
    /// Where it tells ftrace's flags: in exports of our own and in traces of perf.
    let flags: Source?

    /// Marks the number of a variant's option in a path.
    static let isOption = UInt64(1) << 63

    /// An integer outside of the record that says something about all events.
    struct Source {
        enum Scope { case payload, commonContext, specificContext }

        let scope: Scope
        let member: UInt64
        let isSigned: Bool
    }

    /// Stands for a vCPU number that cannot be one: lttng-modules before 2.13.10 take the tracepoint's `struct kvm_vcpu *`
    /// of Linux 6.0 and later for the number that `kvm_entry` had before, and write the low half of an address.
    static let impossibleVCPU = UInt64(UInt32.max)

    /// Fields of `perf data convert --to-ctf` and of ftrace's common part that say what the header says already.
    private static let ignored: Set<String> = [
        "perf_ip", "perf_tid", "perf_pid", "perf_id", "perf_stream_id", "perf_period", "perf_cpu",
        "perf_callchain",
        "perf_callchain_size", "perf_raw_len", "perf_raw_data", "common_type", "common_flags",
        "common_preempt_count",
        "common_pid",
    ]

    /// The class's event in ftrace's words: its name, its fields, and the moves that fill them.
    struct Shape {
        let event: KernelNames.Event
        var format = SyntheticFormat()
        /// With paths into `paths`.
        var moves: [Move] = []
        var paths: [UInt64] = []
        let thread: Source?
        let cpu: Source?
        let flags: Source?

        init(_ eventClass: OpaquePointer) {
            let name = bt_event_class_get_name(eventClass).map { String(cString: $0) }
            event = KernelNames.ftrace(name ?? "event_\(bt_event_class_get_id(eventClass))")
            let payload = bt_event_class_borrow_payload_field_class_const(eventClass)
            let common = bt_event_class_borrow_stream_class_const(eventClass).flatMap {
                bt_stream_class_borrow_event_common_context_field_class_const($0)
            }
            let specific = bt_event_class_borrow_specific_context_field_class_const(eventClass)
            func find(_ names: [String]) -> Source? {
                for name in names {
                    if let source = Self.source(name, in: specific, .specificContext) { return source }
                    if let source = Self.source(name, in: common, .commonContext) { return source }
                }
                return nil
            }
            // LTTng's contexts; then what `perf` and ftrace put into each event.
            thread =
                find(["tid", "vtid"])
                ?? Self.source("common_pid", in: payload, .payload)
                ?? Self.source("perf_tid", in: payload, .payload)
            cpu = find(["cpu_id"]) ?? Self.source("perf_cpu", in: payload, .payload)
            flags = find([CTFMark.flags]) ?? Self.source(CTFMark.flags, in: payload, .payload)
            if let payload { add(structure: payload, path: [], prefix: "") }
        }

        /// An integer member; nil when there is none of that name.
        private static func source(
            _ name: String, in structure: OpaquePointer?, _ scope: Source.Scope
        ) -> Source? {
            guard let structure else { return nil }
            for index in 0..<bt_field_class_structure_get_member_count(structure) {
                guard let member = bt_field_class_structure_borrow_member_by_index_const(structure, index),
                    String(cString: bt_field_class_structure_member_get_name(member)) == name,
                    let fieldClass = bt_field_class_structure_member_borrow_field_class_const(member),
                    case .integer(_, let isSigned)? = FieldShape(fieldClass)?.shape,
                    FieldShape(fieldClass)?.isNumber == true
                else { continue }
                return Source(scope: scope, member: index, isSigned: isSigned)
            }
            return nil
        }

        private mutating func add(structure: OpaquePointer, path: [UInt64], prefix: String) {
            var members: [(name: String, fieldClass: OpaquePointer)] = []
            for index in 0..<bt_field_class_structure_get_member_count(structure) {
                guard let member = bt_field_class_structure_borrow_member_by_index_const(structure, index),
                    let fieldClass = bt_field_class_structure_member_borrow_field_class_const(member)
                else { return }
                members.append(
                    (String(cString: bt_field_class_structure_member_get_name(member)), fieldClass))
            }
            let names = members.map(\.name)
            for (index, member) in members.enumerated() {
                if path.isEmpty, EventPlan.ignored.contains(member.name) { continue }
                let renamed = KernelNames.ftraceField(member.name, of: event, among: names)
                add(
                    member.fieldClass, path: path + [UInt64(index)],
                    name: prefix + KernelNames.identifier(renamed))
            }
        }

        /// The structures that a variant may be (LTTng's headers of packets), one beside the other; those that an event's is
        /// not stay zero.
        private mutating func add(variant: OpaquePointer, path: [UInt64], name: String) {
            for index in 0..<bt_field_class_variant_get_option_count(variant)
            where path.count < Limits.nestedFields {
                guard let option = bt_field_class_variant_borrow_option_by_index_const(variant, index),
                    let fieldClass = bt_field_class_variant_option_borrow_field_class_const(option),
                    bt_field_class_get_type(fieldClass) == BT_FIELD_CLASS_TYPE_STRUCTURE
                else { continue }
                let label =
                    bt_field_class_variant_option_get_name(option).map { String(cString: $0) } ?? "\(index)"
                add(
                    structure: fieldClass, path: path + [index | EventPlan.isOption],
                    prefix: name + "_" + KernelNames.identifier(label) + "_")
            }
        }

        /// What a record cannot hold (options, nested arrays) is left out; everything else is a field.
        private mutating func add(_ fieldClass: OpaquePointer, path: [UInt64], name: String) {
            if bt_field_class_type_is(bt_field_class_get_type(fieldClass), BT_FIELD_CLASS_TYPE_VARIANT)
                != 0
            {
                return add(variant: fieldClass, path: path, name: name)
            }
            if bt_field_class_get_type(fieldClass) == BT_FIELD_CLASS_TYPE_STRUCTURE {
                guard path.count < Limits.nestedFields else { return }
                add(structure: fieldClass, path: path, prefix: name + "_")
                return
            }
            guard let field = FieldShape(fieldClass, name: name),
                format.fields.count < Limits.eventFields,
                format.fixedBytes + field.bytes <= Limits.fixedRecordBytes
            else { return }
            format.add(name, field.shape)
            guard let placed = format.fields.last else { return }
            var kind = field.kind
            if event.system == "kvm", name == "vcpu_id", case .unsigned = kind, placed.size == 4 {
                kind = .vcpu
            }
            guard let member = path.last else { return }
            paths += path.dropLast()
            moves.append(
                Move(
                    kind: kind, offset: placed.offset, bytes: placed.size, member: member,
                    path: paths.count - path.count + 1..<paths.count))
        }
    }

    init(_ shape: Shape, typeIndex: Int, kernelID: UInt16, moves: Range<Int>) {
        self.typeIndex = UInt16(typeIndex)
        self.kernelID = kernelID
        self.moves = moves
        fixedBytes = shape.format.fixedBytes
        thread = shape.thread
        cpu = shape.cpu
        flags = shape.flags
    }
}

/// What a field class is in a record; nil when a record cannot hold it.
struct FieldShape {
    let kind: EventPlan.Move.Kind
    let shape: SyntheticFormat.Shape

    /// An integer of CTF, not one that a bool or a bit array becomes.
    var isNumber: Bool {
        switch kind {
        case .unsigned, .signed: true
        default: false
        }
    }

    /// Bytes in the fixed part.
    var bytes: Int {
        switch shape {
        case .integer(let bytes, _): bytes
        case .comm: 16
        case .dynamic: 4
        case .array(let count, let bytes, _): count * bytes
        }
    }

    init?(_ fieldClass: OpaquePointer, name: String = "") {
        switch bt_field_class_get_type(fieldClass) {
        case BT_FIELD_CLASS_TYPE_UNSIGNED_INTEGER, BT_FIELD_CLASS_TYPE_UNSIGNED_ENUMERATION:
            kind = .unsigned
            shape = .integer(bytes: Self.integerBytes(fieldClass), isSigned: false)
        case BT_FIELD_CLASS_TYPE_SIGNED_INTEGER, BT_FIELD_CLASS_TYPE_SIGNED_ENUMERATION:
            kind = .signed
            shape = .integer(bytes: Self.integerBytes(fieldClass), isSigned: true)
        case BT_FIELD_CLASS_TYPE_BOOL:
            kind = .bool
            shape = .integer(bytes: 1, isSigned: false)
        case BT_FIELD_CLASS_TYPE_BIT_ARRAY:
            kind = .bitArray
            shape = .integer(bytes: 8, isSigned: false)
        // The bits of a floating-point number: a kernel's records have none, so that no format can say "double".
        case BT_FIELD_CLASS_TYPE_SINGLE_PRECISION_REAL:
            kind = .single
            shape = .array(count: 1, bytes: 4, isSigned: false)
        case BT_FIELD_CLASS_TYPE_DOUBLE_PRECISION_REAL:
            kind = .double
            shape = .array(count: 1, bytes: 8, isSigned: false)
        case BT_FIELD_CLASS_TYPE_STRING:
            let isComm = name == "comm" || name.hasSuffix("_comm")
            kind = isComm ? .comm : .text
            shape = isComm ? .comm : .dynamic(element: "char")
        case BT_FIELD_CLASS_TYPE_STATIC_ARRAY:
            guard let element = Self.element(fieldClass) else { return nil }
            let count = bt_field_class_array_static_get_length(fieldClass)
            guard count > 0, count <= UInt64(Limits.fixedRecordBytes / element.bytes) else { return nil }
            kind = .array(elementBytes: element.bytes, isSigned: element.isSigned)
            shape = .array(count: Int(count), bytes: element.bytes, isSigned: element.isSigned)
        case BT_FIELD_CLASS_TYPE_DYNAMIC_ARRAY_WITHOUT_LENGTH_FIELD,
            BT_FIELD_CLASS_TYPE_DYNAMIC_ARRAY_WITH_LENGTH_FIELD:
            guard let element = Self.element(fieldClass) else { return nil }
            kind = .sequence(elementBytes: element.bytes, isSigned: element.isSigned)
            shape = .dynamic(element: SyntheticFormat.typeName(element.bytes, element.isSigned))
        default: return nil
        }
    }

    /// An array's numbers; nil when they are none.
    private static func element(_ array: OpaquePointer) -> (bytes: Int, isSigned: Bool)? {
        guard let element = bt_field_class_array_borrow_element_field_class_const(array),
            let shape = FieldShape(element), shape.isNumber,
            case .integer(let bytes, let isSigned) = shape.shape
        else { return nil }
        return (bytes, isSigned)
    }

    /// 1, 2, 4 or 8: CTF's integers may have any number of bits.
    private static func integerBytes(_ integer: OpaquePointer) -> Int {
        switch bt_field_class_integer_get_field_value_range(integer) {
        case ...8: 1
        case ...16: 2
        case ...32: 4
        default: 8
        }
    }
}
