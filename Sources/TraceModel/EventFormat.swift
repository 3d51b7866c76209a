/// How a kernel lays out one kind of event, as its tracefs `format` file states it.
///
/// Offsets count from the start of the record, so that they include the eight common bytes (`common_type`,
/// `common_flags`, `common_preempt_count`, `common_pid`). Only offsets and sizes are trusted, never the C type.
package struct EventFormat: Hashable, Sendable {
    /// The kernel's number for this event (`ID:`), unique in one boot only.
    package var kernelID: UInt16
    package var system: String
    package var name: String
    /// Event fields in the file's order, without the `common_` ones.
    package var fields: [EventField]
    /// The whole `format` file: exporters need it, and its `print fmt` holds the symbol tables (exit reasons, flags).
    package var text: String

    package init(kernelID: UInt16, system: String, name: String, fields: [EventField], text: String) {
        self.kernelID = kernelID
        self.system = system
        self.name = name
        self.fields = fields
        self.text = text
    }

    /// `system:name`, as users type it.
    package var fullName: String { "\(system):\(name)" }

    /// Bytes up to the end of the last field: what a record must at least hold. Never below the eight common bytes.
    package var minimumLength: Int { fields.reduce(8) { max($0, $1.offset + $1.size) } }

    package func field(_ name: String) -> EventField? { fields.first { $0.name == name } }
}

/// One field of an event.
package struct EventField: Hashable, Sendable {
    package enum Kind: Hashable, Sendable {
        /// An integer of 1, 2, 4 or 8 bytes.
        case integer
        /// A fixed array of characters, NUL-padded (`char comm[16]`).
        case text
        /// `__data_loc`: a 32-bit word; low 16 bits = offset from the record's start, high 16 bits = length.
        case dynamic
        /// `__rel_loc`: the same word, offset counted from the end of this field.
        case relativeDynamic
        /// Anything else (arrays of numbers, structures): opaque bytes.
        case bytes
    }

    package var name: String
    /// The declaration without the name, for display and export only.
    package var type: String
    package var offset: Int
    /// Bytes; 0 for an array that reaches to the end of the record (`char buf[]` of `ftrace:print`).
    package var size: Int
    package var isSigned: Bool
    package var kind: Kind

    package init(name: String, type: String, offset: Int, size: Int, isSigned: Bool, kind: Kind) {
        self.name = name
        self.type = type
        self.offset = offset
        self.size = size
        self.isSigned = isSigned
        self.kind = kind
    }
}

package enum ByteOrder: UInt8, Sendable, Hashable, Codable {
    case little = 0
    case big = 1

    /// The order of the machine this program runs on.
    package static var native: ByteOrder { UInt16(1).littleEndian == 1 ? .little : .big }
}

/// The event formats of one source. An event's `typeIndex` is its place here; places never change in a session.
package struct FormatTable: Hashable, Sendable {
    package let byteOrder: ByteOrder
    /// Bytes of a kernel `long`: 4 or 8. It decides the width of the sub-buffer header's commit word.
    package let longSize: Int
    package private(set) var formats: [EventFormat] = []
    private var indexByKernelID: [UInt16: UInt16] = [:]

    package init(byteOrder: ByteOrder, longSize: Int, formats: [EventFormat] = []) {
        self.byteOrder = byteOrder
        self.longSize = longSize
        for format in formats { _ = append(format) }
    }

    /// Adds a format and returns its type index; a kernel id that is there already keeps its index and its format.
    @discardableResult
    package mutating func append(_ format: EventFormat) -> Int {
        if let known = indexByKernelID[format.kernelID] { return Int(known) }
        indexByKernelID[format.kernelID] = UInt16(formats.count)
        formats.append(format)
        return formats.count - 1
    }

    package func typeIndex(ofKernelID id: UInt16) -> Int? { indexByKernelID[id].map(Int.init) }

    package func typeIndex(system: String, name: String) -> Int? {
        formats.firstIndex { $0.system == system && $0.name == name }
    }
}

/// A field bound to its place, ready for the hot path: two additions, one comparison, one load.
package struct IntegerField: Hashable, Sendable, Codable {
    @usableFromInline let offset: Int32
    @usableFromInline let size: UInt8
    @usableFromInline let isSigned: Bool
    @usableFromInline let isSwapped: Bool

    /// Nil when the field is no integer of 1, 2, 4 or 8 bytes.
    package init?(_ field: EventField, byteOrder: ByteOrder) {
        guard [1, 2, 4, 8].contains(field.size), field.offset >= 0, field.offset < 1 << 16 else { return nil }
        self.offset = Int32(field.offset)
        self.size = UInt8(field.size)
        self.isSigned = field.isSigned
        self.isSwapped = byteOrder != .native
    }

    /// Binds `name` of `format`; nil when the kernel's event has no such integer field.
    package init?(_ name: String, of format: EventFormat, byteOrder: ByteOrder) {
        guard let field = format.field(name) else { return nil }
        self.init(field, byteOrder: byteOrder)
    }

    /// The value, sign- or zero-extended; an unsigned 64-bit value keeps its bit pattern. Nil when the record is too short.
    @inlinable
    @inline(__always)
    package func value(in records: borrowing RawSpan, of header: EventHeader) -> Int64? {
        guard Int(offset) + Int(size) <= Int(header.length) else { return nil }
        let at = Int(header.offset) + Int(offset)
        switch size {
        case 4:
            let raw = unsafe records.unsafeLoadUnaligned(fromByteOffset: at, as: UInt32.self)
            let value = isSwapped ? raw.byteSwapped : raw
            return isSigned ? Int64(Int32(bitPattern: value)) : Int64(value)
        case 8:
            let raw = unsafe records.unsafeLoadUnaligned(fromByteOffset: at, as: UInt64.self)
            return Int64(bitPattern: isSwapped ? raw.byteSwapped : raw)
        case 2:
            let raw = unsafe records.unsafeLoadUnaligned(fromByteOffset: at, as: UInt16.self)
            let value = isSwapped ? raw.byteSwapped : raw
            return isSigned ? Int64(Int16(bitPattern: value)) : Int64(value)
        default:
            let raw = unsafe records.unsafeLoadUnaligned(fromByteOffset: at, as: UInt8.self)
            return isSigned ? Int64(Int8(bitPattern: raw)) : Int64(raw)
        }
    }
}

/// A task name bound to its place in a record.
package struct CommField: Hashable, Sendable, Codable {
    @usableFromInline let offset: Int32

    /// Nil unless the field is a character array of at least sixteen bytes (`TASK_COMM_LEN`, include/linux/sched.h).
    package init?(_ name: String, of format: EventFormat) {
        guard let field = format.field(name), field.kind == .text, field.size >= 16,
            (0..<1 << 16).contains(field.offset)
        else { return nil }
        self.offset = Int32(field.offset)
    }

    @inlinable
    package func value(in records: borrowing RawSpan, of header: EventHeader) -> Comm? {
        guard Int(offset) + 16 <= Int(header.length) else { return nil }
        let at = Int(header.offset) + Int(offset)
        return Comm(
            first: unsafe records.unsafeLoadUnaligned(fromByteOffset: at, as: UInt64.self),
            last: unsafe records.unsafeLoadUnaligned(fromByteOffset: at + 8, as: UInt64.self))
    }
}
