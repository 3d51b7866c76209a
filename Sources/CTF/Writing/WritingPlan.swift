import CBabeltrace2
import Glibc
import TraceModel

/// How events of one format become events of a CTF class with LTTng's names.
struct WritingPlan {
    /// The numbers of a sequence.
    struct Element {
        let bytes: Int
        let isSigned: Bool
        let isSwapped: Bool

        /// From the declaration: `__data_loc unsigned int[]`. What is not known is bytes.
        init(_ type: String, _ order: ByteOrder) {
            isSwapped = order != .native
            let name = type.split(separator: " ").dropFirst().joined(separator: " ")
            for bytes in [1, 2, 4, 8] {
                for isSigned in [false, true] where name == SyntheticFormat.typeName(bytes, isSigned) + "[]" {
                    self.bytes = bytes
                    self.isSigned = isSigned
                    return
                }
            }
            bytes = 1
            isSigned = false
        }
    }

    struct Move {
        enum Kind {
            case unsigned(IntegerField)
            case signed(IntegerField)
            /// A fixed array of characters.
            case text(offset: Int, size: Int)
            /// A `__data_loc` text; `base` is 0, or where the field ends for `__rel_loc`.
            case dynamicText(IntegerField, base: Int)
            /// Bytes that nothing more is known of, in the record or behind a location.
            case bytes(offset: Int, size: Int)
            /// Numbers behind a location; the member before them tells how many.
            case sequence(IntegerField, base: Int, lengthMember: UInt64, element: Element)
        }

        let member: UInt64
        let kind: Kind
    }

    let eventClass: OpaquePointer
    let moves: [Move]

    /// Adds the event class to the stream class.
    init(
        _ format: EventFormat, byteOrder: ByteOrder, traceClass: OpaquePointer, streamClass: OpaquePointer
    ) throws(CTFError) {
        let event = KernelNames.Event(system: format.system, name: format.name)
        let what = "describing the event \(format.fullName)"
        guard let eventClass = bt_event_class_create(streamClass) else { throw .library(what) }
        defer { bt_event_class_put_ref(eventClass) }
        guard bt_event_class_set_name(eventClass, KernelNames.lttng(event)).rawValue == 0,
            let payload = bt_field_class_structure_create(traceClass)
        else { throw .library(what) }
        defer { bt_field_class_put_ref(payload) }
        var members = Members(traceClass: traceClass, structure: payload, what: what)
        let names = format.fields.map(\.name)
        for field in format.fields {
            let name = KernelNames.identifier(KernelNames.lttngField(field.name, of: event, among: names))
            try members.add(field, name: name, byteOrder)
        }
        guard bt_event_class_set_payload_field_class(eventClass, payload).rawValue == 0 else { throw .library(what) }
        // The stream class keeps it.
        self.eventClass = eventClass
        moves = members.moves
    }

    /// The payload's members as they are added.
    private struct Members {
        let traceClass: OpaquePointer
        let structure: OpaquePointer
        let what: String
        var moves: [Move] = []
        private var names: Set<String> = []
        /// Unsigned integers by name: LTTng tells a sequence's length in one.
        private var lengths: [String: (member: UInt64, fieldClass: OpaquePointer)] = [:]
        private var count: UInt64 = 0

        init(traceClass: OpaquePointer, structure: OpaquePointer, what: String) {
            self.traceClass = traceClass
            self.structure = structure
            self.what = what
        }

        mutating func add(_ field: EventField, name: String, _ order: ByteOrder) throws(CTFError) {
            // Twice the same name would be an error; the first counts, as in C.
            guard !names.contains(name) else { return }
            switch field.kind {
            case .integer:
                guard let bound = IntegerField(field, byteOrder: order) else { return }
                let fieldClass =
                    field.isSigned
                    ? bt_field_class_integer_signed_create(traceClass)
                    : bt_field_class_integer_unsigned_create(traceClass)
                guard let fieldClass else { throw .library(what) }
                bt_field_class_integer_set_field_value_range(fieldClass, UInt64(field.size * 8))
                try append(name, fieldClass, field.isSigned ? .signed(bound) : .unsigned(bound))
            case .text:
                try append(
                    name, bt_field_class_string_create(traceClass), .text(offset: field.offset, size: field.size))
            case .dynamic, .relativeDynamic:
                guard let location = IntegerField(field, byteOrder: order) else { return }
                let base = field.kind == .relativeDynamic ? field.offset + field.size : 0
                if field.type.contains("char") {
                    try append(name, bt_field_class_string_create(traceClass), .dynamicText(location, base: base))
                } else {
                    try addSequence(name, location, base: base, Element(field.type, order))
                }
            case .bytes:
                guard field.size > 0, let element = byteClass() else { return }
                defer { bt_field_class_put_ref(element) }
                try append(
                    name, bt_field_class_array_static_create(traceClass, element, UInt64(field.size)),
                    .bytes(offset: field.offset, size: field.size))
            }
        }

        /// Numbers, and how many they are in a member before them, as LTTng does.
        private mutating func addSequence(
            _ name: String, _ location: IntegerField, base: Int, _ element: Element
        ) throws(CTFError) {
            let elementClass =
                element.isSigned
                ? bt_field_class_integer_signed_create(traceClass) : bt_field_class_integer_unsigned_create(traceClass)
            guard let elementClass else { throw .library(what) }
            defer { bt_field_class_put_ref(elementClass) }
            bt_field_class_integer_set_field_value_range(elementClass, UInt64(element.bytes * 8))
            if lengths["_\(name)_length"] == nil {
                guard let length = bt_field_class_integer_unsigned_create(traceClass) else { throw .library(what) }
                defer { bt_field_class_put_ref(length) }
                bt_field_class_integer_set_field_value_range(length, 32)
                try append("_\(name)_length", length)
            }
            guard let length = lengths["_\(name)_length"] else { return }
            try append(
                name, bt_field_class_array_dynamic_create(traceClass, elementClass, length.fieldClass),
                .sequence(location, base: base, lengthMember: length.member, element: element))
        }

        private func byteClass() -> OpaquePointer? {
            guard let element = bt_field_class_integer_unsigned_create(traceClass) else { return nil }
            bt_field_class_integer_set_field_value_range(element, 8)
            return element
        }

        /// Takes the field class over.
        private mutating func append(_ name: String, _ fieldClass: OpaquePointer?, _ kind: Move.Kind) throws(CTFError) {
            guard let fieldClass else { throw .library(what) }
            defer { bt_field_class_put_ref(fieldClass) }
            moves.append(Move(member: count, kind: kind))
            try append(name, fieldClass)
        }

        private mutating func append(_ name: String, _ fieldClass: OpaquePointer) throws(CTFError) {
            guard bt_field_class_structure_append_member(structure, name, fieldClass).rawValue == 0 else {
                throw .library(what)
            }
            // The structure keeps it.
            if bt_field_class_get_type(fieldClass) == BT_FIELD_CLASS_TYPE_UNSIGNED_INTEGER {
                lengths[name] = (count, fieldClass)
            }
            names.insert(name)
            count += 1
        }
    }

    // MARK: Events

    /// The event as a message of this packet, its fields filled from the record; nil when the library cannot make one.
    func message(
        of header: EventHeader, in records: UnsafeRawBufferPointer, _ iterator: OpaquePointer,
        _ packet: OpaquePointer?, time: UInt64
    ) -> OpaquePointer? {
        guard
            let message = bt_message_event_create_with_packet_and_default_clock_snapshot(
                iterator, eventClass, packet, time),
            let event = bt_message_event_borrow_event(message)
        else { return nil }
        if let context = bt_event_borrow_common_context_field(event),
            let tid = bt_field_structure_borrow_member_field_by_index(context, 0),
            let flags = bt_field_structure_borrow_member_field_by_index(context, 1)
        {
            bt_field_integer_signed_set_value(tid, Int64(header.pid))
            bt_field_integer_unsigned_set_value(flags, UInt64(header.flags))
        }
        if let payload = bt_event_borrow_payload_field(event) { fill(payload, header, in: records) }
        return message
    }

    private func fill(_ payload: OpaquePointer, _ header: EventHeader, in records: UnsafeRawBufferPointer) {
        let record = UnsafeRawBufferPointer(
            rebasing: records[Int(header.offset)..<Int(header.offset) + Int(header.length)])
        let span = RawSpan(_unsafeBytes: records)
        for move in moves {
            guard let field = bt_field_structure_borrow_member_field_by_index(payload, move.member) else { continue }
            switch move.kind {
            case .unsigned(let bound):
                bt_field_integer_unsigned_set_value(
                    field, UInt64(bitPattern: bound.value(in: span, of: header) ?? 0))
            case .signed(let bound): bt_field_integer_signed_set_value(field, bound.value(in: span, of: header) ?? 0)
            case .text(let offset, let size):
                // A size of 0 means: to the end of the record.
                let end = size == 0 ? record.count : min(offset + size, record.count)
                Self.set(field, text: record, from: offset, to: end)
            case .dynamicText(let location, let base):
                let place = Self.place(location.value(in: span, of: header), base, record.count)
                Self.set(field, text: record, from: place.lowerBound, to: place.upperBound)
            case .bytes(let offset, let size):
                for index in 0..<size {
                    let byte = offset + index < record.count ? record[offset + index] : 0
                    guard let element = bt_field_array_borrow_element_field_by_index(field, UInt64(index)) else {
                        break
                    }
                    bt_field_integer_unsigned_set_value(element, UInt64(byte))
                }
            case .sequence(let location, let base, let lengthMember, let element):
                let place = Self.place(location.value(in: span, of: header), base, record.count)
                let count = place.count / element.bytes
                if let length = bt_field_structure_borrow_member_field_by_index(payload, lengthMember) {
                    bt_field_integer_unsigned_set_value(length, UInt64(count))
                }
                guard bt_field_array_dynamic_set_length(field, UInt64(count)).rawValue == 0 else { continue }
                for index in 0..<count {
                    Self.set(field, UInt64(index), element, record, at: place.lowerBound + index * element.bytes)
                }
            }
        }
    }

    /// What a location word points to, as far as the record has it.
    private static func place(_ word: Int64?, _ base: Int, _ length: Int) -> Range<Int> {
        guard let word else { return 0..<0 }
        let start = min(Int(word & 0xffff) + base, length)
        return start..<min(start + Int(word >> 16 & 0xffff), length)
    }

    private static func set(
        _ array: OpaquePointer, _ index: UInt64, _ element: Element, _ record: UnsafeRawBufferPointer, at offset: Int
    ) {
        guard let field = bt_field_array_borrow_element_field_by_index(array, index) else { return }
        func value<Number: FixedWidthInteger>(_: Number.Type) -> Number {
            let raw = record.loadUnaligned(fromByteOffset: offset, as: Number.self)
            return element.isSwapped ? raw.byteSwapped : raw
        }
        switch (element.bytes, element.isSigned) {
        case (1, false): bt_field_integer_unsigned_set_value(field, UInt64(value(UInt8.self)))
        case (2, false): bt_field_integer_unsigned_set_value(field, UInt64(value(UInt16.self)))
        case (4, false): bt_field_integer_unsigned_set_value(field, UInt64(value(UInt32.self)))
        case (_, false): bt_field_integer_unsigned_set_value(field, value(UInt64.self))
        case (1, true): bt_field_integer_signed_set_value(field, Int64(value(Int8.self)))
        case (2, true): bt_field_integer_signed_set_value(field, Int64(value(Int16.self)))
        case (4, true): bt_field_integer_signed_set_value(field, Int64(value(Int32.self)))
        case (_, true): bt_field_integer_signed_set_value(field, value(Int64.self))
        }
    }

    /// Up to the first NUL.
    private static func set(
        _ field: OpaquePointer, text record: UnsafeRawBufferPointer, from start: Int, to end: Int
    ) {
        bt_field_string_clear(field)
        guard start < end, let base = record.baseAddress else { return }
        let text = base + start
        let length = memchr(text, 0, end - start).map { UnsafeRawPointer($0) - text } ?? end - start
        _ = bt_field_string_append_with_length(
            field, text.assumingMemoryBound(to: CChar.self), UInt64(length))
    }
}
