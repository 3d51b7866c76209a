import CBabeltrace2
import TraceModel

extension EventPlan.Move {
    /// Puts the field into the record. A text or a sequence goes behind the first `length` bytes, as far as there is room, and
    /// its place into the `__data_loc` word; returned is how many bytes it takes there.
    ///
    /// `record` has room for the fixed part, in which `offset` and `bytes` lie, and for `room` bytes behind `length`.
    @inline(__always)
    func copy(
        _ field: OpaquePointer, to record: UnsafeMutableRawPointer, behind length: Int, room: Int
    ) -> Int {
        switch kind {
        case .unsigned:
            Self.store(bt_field_integer_unsigned_get_value(field), bytes, at: record + offset)
        case .signed:
            Self.store(
                UInt64(bitPattern: bt_field_integer_signed_get_value(field)), bytes, at: record + offset)
        case .comm:
            guard let text = bt_field_string_get_value(field) else { return 0 }
            // The last byte stays NUL, as in the kernel.
            let count = min(Int(clamping: bt_field_string_get_length(field)), 15)
            (record + offset).copyMemory(from: text, byteCount: count)
        case .vcpu:
            let number = bt_field_integer_unsigned_get_value(field)
            Self.store(
                number < UInt64(Limits.vcpus) ? number : EventPlan.impossibleVCPU, 4, at: record + offset)
        case .text:
            guard let text = bt_field_string_get_value(field), room > 0 else { return 0 }
            let count = min(
                Int(clamping: bt_field_string_get_length(field)), Limits.dynamicFieldBytes - 1, room - 1)
            (record + length).copyMemory(from: text, byteCount: count)
            record.storeBytes(of: 0, toByteOffset: length + count, as: UInt8.self)
            return place(count + 1, behind: length, record)
        case .bool: Self.store(bt_field_bool_get_value(field) == 0 ? 0 : 1, 1, at: record + offset)
        case .bitArray:
            Self.store(bt_field_bit_array_get_value_as_integer(field), 8, at: record + offset)
        case .single:
            Self.store(
                UInt64(bt_field_real_single_precision_get_value(field).bitPattern), 4, at: record + offset)
        case .double:
            Self.store(bt_field_real_double_precision_get_value(field).bitPattern, 8, at: record + offset)
        case .array(let elementBytes, let isSigned):
            Self.store(field, bytes / elementBytes, elementBytes, isSigned, at: record + offset)
        case .sequence(let elementBytes, let isSigned):
            let most = min(room, Limits.dynamicFieldBytes) / elementBytes
            let count = min(Int(clamping: bt_field_array_get_length(field)), most)
            Self.store(field, count, elementBytes, isSigned, at: record + length)
            return place(count * elementBytes, behind: length, record)
        }
        return 0
    }

    private func place(_ count: Int, behind length: Int, _ record: UnsafeMutableRawPointer) -> Int {
        let location = UInt32(truncatingIfNeeded: count) << 16 | UInt32(truncatingIfNeeded: length)
        record.storeBytes(of: location, toByteOffset: offset, as: UInt32.self)
        return count
    }

    /// The first numbers of an array.
    private static func store(
        _ array: OpaquePointer, _ count: Int, _ bytes: Int, _ isSigned: Bool,
        at place: UnsafeMutableRawPointer
    ) {
        for index in 0..<count {
            guard let field = bt_field_array_borrow_element_field_by_index_const(array, UInt64(index))
            else { return }
            let value =
                isSigned
                ? UInt64(bitPattern: bt_field_integer_signed_get_value(field))
                : bt_field_integer_unsigned_get_value(field)
            store(value, bytes, at: place + index * bytes)
        }
    }

    @inline(__always)
    private static func store(_ value: UInt64, _ bytes: Int, at place: UnsafeMutableRawPointer) {
        switch bytes {
        case 4: place.storeBytes(of: UInt32(truncatingIfNeeded: value), as: UInt32.self)
        case 8: place.storeBytes(of: value, as: UInt64.self)
        case 2: place.storeBytes(of: UInt16(truncatingIfNeeded: value), as: UInt16.self)
        default: place.storeBytes(of: UInt8(truncatingIfNeeded: value), as: UInt8.self)
        }
    }
}

extension EventPlan.Source {
    /// The number in an event of the plan's class; nil when the event has no such part.
    @inline(__always)
    func value(in event: OpaquePointer) -> Int64? {
        let structure =
            switch scope {
            case .payload: bt_event_borrow_payload_field_const(event)
            case .commonContext: bt_event_borrow_common_context_field_const(event)
            case .specificContext: bt_event_borrow_specific_context_field_const(event)
            }
        guard let structure,
            let field = bt_field_structure_borrow_member_field_by_index_const(structure, member)
        else {
            return nil
        }
        return isSigned
            ? bt_field_integer_signed_get_value(field)
            : Int64(bitPattern: bt_field_integer_unsigned_get_value(field))
    }
}
