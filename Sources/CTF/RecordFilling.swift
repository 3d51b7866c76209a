import CBabeltrace2
import TraceModel

extension EventPlan {
    /// Appends the event's record to `batch`; false when it has no room for it. `thread` is -1 when nobody knows it.
    func append(
        _ event: OpaquePointer, at ticks: TraceTicks, thread: Int32, to batch: inout EventBatch
    ) -> Bool {
        let start = batch.records.count
        batch.records.append(contentsOf: template)
        if let payload = bt_event_borrow_payload_field_const(event) {
            batch.records.withUnsafeMutableBytes { records in
                fill(UnsafeMutableRawBufferPointer(rebasing: records[start...]), from: payload, thread: thread)
            }
            if hasDynamicFields { appendDynamic(payload, recordAt: start, to: &batch.records) }
        }
        let length = batch.records.count - start
        guard batch.records.count <= Limits.batchRecordBytes else {
            batch.records.removeLast(length)
            return false
        }
        batch.headers.append(
            EventHeader(
                ticks: ticks, offset: UInt32(start), length: UInt32(length), pid: thread, typeIndex: typeIndex,
                flags: 0,
                preemptCount: 0))
        return true
    }

    /// The value of a field outside of the record.
    func value(of source: Source, in event: OpaquePointer) -> Int64? {
        let (structure, index) =
            switch source {
            case .payload(let index): (bt_event_borrow_payload_field_const(event), index)
            case .commonContext(let index): (bt_event_borrow_common_context_field_const(event), index)
            case .specificContext(let index): (bt_event_borrow_specific_context_field_const(event), index)
            }
        guard let structure, let field = bt_field_structure_borrow_member_field_by_index_const(structure, index) else {
            return nil
        }
        return FieldValue.integer(field)
    }

    /// The fixed part. `record` begins at the record's start and is at least as long as the template.
    private func fill(_ record: UnsafeMutableRawBufferPointer, from payload: OpaquePointer, thread: Int32) {
        record.storeBytes(of: thread, toByteOffset: 4, as: Int32.self)
        for move in moves {
            guard let field = FieldValue.field(payload, move.path) else { continue }
            switch move.kind {
            case .unsigned:
                Self.store(bt_field_integer_unsigned_get_value(field), move.bytes, in: record, at: move.offset)
            case .signed:
                let value = UInt64(bitPattern: bt_field_integer_signed_get_value(field))
                Self.store(value, move.bytes, in: record, at: move.offset)
            case .vcpu:
                let number = bt_field_integer_unsigned_get_value(field)
                Self.store(
                    number < UInt64(Limits.vcpus) ? number : EventPlan.impossibleVCPU, 4, in: record, at: move.offset)
            case .bool: Self.store(bt_field_bool_get_value(field) == 0 ? 0 : 1, 1, in: record, at: move.offset)
            case .bitArray:
                Self.store(bt_field_bit_array_get_value_as_integer(field), 8, in: record, at: move.offset)
            case .single:
                let bits = bt_field_real_single_precision_get_value(field).bitPattern
                Self.store(UInt64(bits), 4, in: record, at: move.offset)
            case .double:
                Self.store(
                    bt_field_real_double_precision_get_value(field).bitPattern, 8, in: record, at: move.offset)
            case .comm:
                guard let text = bt_field_string_get_value(field) else { continue }
                // The last byte stays NUL, as in the kernel.
                let count = min(Int(bt_field_string_get_length(field)), 15)
                UnsafeMutableRawBufferPointer(rebasing: record[move.offset..<move.offset + count])
                    .copyMemory(from: UnsafeRawBufferPointer(start: text, count: count))
            case .array(let elementBytes, let isSigned):
                for index in 0..<move.bytes / elementBytes {
                    let value = FieldValue.element(field, UInt64(index), isSigned: isSigned)
                    Self.store(value, elementBytes, in: record, at: move.offset + index * elementBytes)
                }
            case .text, .sequence: break
            }
        }
    }

    /// Texts and sequences, behind the fixed part; each one's place and length go into its `__data_loc` word.
    private func appendDynamic(_ payload: OpaquePointer, recordAt start: Int, to records: inout [UInt8]) {
        for move in moves {
            switch move.kind {
            case .text, .sequence: break
            default: continue
            }
            guard let field = FieldValue.field(payload, move.path) else { continue }
            let from = records.count
            switch move.kind {
            case .text:
                guard let text = bt_field_string_get_value(field) else { continue }
                let count = min(Int(clamping: bt_field_string_get_length(field)), Limits.dynamicFieldBytes - 1)
                records.append(contentsOf: UnsafeRawBufferPointer(start: text, count: count))
                records.append(0)
            case .sequence(let elementBytes, let isSigned):
                let count = min(
                    Int(clamping: bt_field_array_get_length(field)), Limits.dynamicFieldBytes / elementBytes)
                for index in 0..<count {
                    let value = FieldValue.element(field, UInt64(index), isSigned: isSigned)
                    for byte in 0..<elementBytes {
                        let shift = UInt64(ByteOrder.native == .little ? byte : elementBytes - 1 - byte) * 8
                        records.append(UInt8(truncatingIfNeeded: value >> shift))
                    }
                }
            default: continue
            }
            // Bounded by `Limits`: the fields of a record together stay below 64 KiB.
            let location = UInt32(truncatingIfNeeded: records.count - from) << 16 | UInt32(from - start) & 0xffff
            records.withUnsafeMutableBytes {
                $0.storeBytes(of: location, toByteOffset: start + move.offset, as: UInt32.self)
            }
        }
    }

    @inline(__always)
    private static func store(
        _ value: UInt64, _ bytes: Int, in record: UnsafeMutableRawBufferPointer, at offset: Int
    ) {
        switch bytes {
        case 4: record.storeBytes(of: UInt32(truncatingIfNeeded: value), toByteOffset: offset, as: UInt32.self)
        case 8: record.storeBytes(of: value, toByteOffset: offset, as: UInt64.self)
        case 2: record.storeBytes(of: UInt16(truncatingIfNeeded: value), toByteOffset: offset, as: UInt16.self)
        default: record.storeBytes(of: UInt8(truncatingIfNeeded: value), toByteOffset: offset, as: UInt8.self)
        }
    }
}

/// Values of borrowed fields.
enum FieldValue {
    /// The field at the end of `path`, which the event class has: its fields have the structure of their class.
    @inline(__always)
    static func field(_ structure: OpaquePointer, _ path: [UInt64]) -> OpaquePointer? {
        var field: OpaquePointer? = structure
        for index in path {
            guard let here = field else { return nil }
            field = bt_field_structure_borrow_member_field_by_index_const(here, index)
        }
        return field
    }

    static func integer(_ field: OpaquePointer) -> Int64? {
        switch bt_field_get_class_type(field) {
        case BT_FIELD_CLASS_TYPE_UNSIGNED_INTEGER, BT_FIELD_CLASS_TYPE_UNSIGNED_ENUMERATION:
            Int64(bitPattern: bt_field_integer_unsigned_get_value(field))
        case BT_FIELD_CLASS_TYPE_SIGNED_INTEGER, BT_FIELD_CLASS_TYPE_SIGNED_ENUMERATION:
            bt_field_integer_signed_get_value(field)
        default: nil
        }
    }

    /// A number of an array, as a bit pattern.
    static func element(_ array: OpaquePointer, _ index: UInt64, isSigned: Bool) -> UInt64 {
        guard let field = bt_field_array_borrow_element_field_by_index_const(array, index) else { return 0 }
        return isSigned
            ? UInt64(bitPattern: bt_field_integer_signed_get_value(field)) : bt_field_integer_unsigned_get_value(field)
    }
}
