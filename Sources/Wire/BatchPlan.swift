package import TraceModel

/// How the events of one session are put on the wire: both sides derive the same plan from the same formats.
///
/// A record is taken apart into its fields and every field is compared with a *prediction*; only those that differ are
/// sent, as a difference. Predictions live in slots that the events of a batch share:
///
/// - a field reads and writes the slot of its name, so that `vec` of `softirq_exit` is predicted by the `softirq_entry`
///   before it, and `guest_rip` of `kvm_exit` predicts `rip` of `kvm_entry` (`guest_` is not part of a slot's name);
/// - `prev_X` is predicted by the last `next_X` of the same kind of event: on one CPU a switch begins where the one
///   before ended, so half of `sched_switch` costs nothing.
///
/// The slots are empty at the start of every batch. A frame therefore needs the formats and nothing else to be read, which
/// is what a session log wants that is cut anywhere.
///
/// Only offsets, sizes and names of fields decide, never their C types: two releases of Tandem that read a declaration
/// differently would otherwise garble each other's events.
struct BatchPlan: Sendable {
    /// Plain numbers in one array for all events, because an array per event is retained and released for every record.
    struct Field: Sendable {
        private var start: UInt32
        private var width: UInt32
        private var reads: UInt32
        private var writes: UInt32
        private var unused: UInt8
        let isBlob: Bool
        /// Of an integer, ones in as many low bits as it has.
        let mask: UInt64

        init(offset: Int, size: Int, readSlot: Int, writeSlot: Int, isBlob: Bool) {
            start = UInt32(offset)
            width = UInt32(size)
            reads = UInt32(readSlot)
            writes = UInt32(writeSlot)
            unused = isBlob ? 0 : UInt8(64 - 8 * size)
            mask = isBlob ? 0 : .max >> UInt64(64 - 8 * size)
            self.isBlob = isBlob
        }

        var offset: Int { Int(truncatingIfNeeded: start) }
        var size: Int { Int(truncatingIfNeeded: width) }
        var end: Int { offset &+ size }
        /// Slot whose value predicts this field.
        var readSlot: Int { Int(truncatingIfNeeded: reads) }
        /// Slot that this field's value goes to: `readSlot`, or for a `prev_` field `noSlot`.
        var writeSlot: Int { Int(truncatingIfNeeded: writes) }
        /// Of an integer, 64 less its width in bits.
        var shift: UInt64 { UInt64(truncatingIfNeeded: unused) }
    }

    struct Event: Sendable {
        var kernelID: UInt16
        /// Bytes behind the fixed part carry data (`__data_loc`, flexible arrays) and are not just alignment.
        var hasTail: Bool
        var firstField: Int
        var fieldCount: Int
        /// End of the last field: the part that is taken apart.
        var fixedLength: Int
        /// The slot that names the task that runs next on this CPU (`sched_switch.next_pid`), or `noSlot`.
        var nextPIDSlot: Int

        var fields: Range<Int> { firstField..<firstField + fieldCount }

        /// Whole bytes that hold two bits for every field.
        var codeBytes: Int
    }

    /// What a record of a given length is taken apart into.
    struct Cut {
        var fieldCount: Int
        /// Where the tail begins.
        var tailStart: Int
        /// Bytes that are sent as one string; the rest of the record is alignment.
        var tailBytes: Int
    }

    /// More fields than this and the rest of the record is one blob: two bits for each make 64.
    static let maximumFields = 32
    /// Kinds from this one on take more than five bits of an event's first byte.
    static let largestShortKind = 31
    /// Most bytes of an event beside its strings, were each of its varints as long as any: head and details 1 each, kind,
    /// type, ticks, pid and length 10, flags 2, codes 8, each field 10, the tail's number and length 10; and eight that the
    /// last load or store may touch behind it.
    static let eventBytes = 2 + 5 * 10 + 2 + 8 + 10 * maximumFields + 2 * 10 + 8
    /// A tail up to this long is alignment, and comes back as zeros.
    static let alignmentBytes = 7
    /// Written by fields whose value predicts nothing, and read by none.
    static let noSlot = 0

    let byteOrder: ByteOrder
    private(set) var events: [Event] = []
    private(set) var fields: [Field] = []
    private(set) var slotCount = 1
    private var slots: [String: Int] = [:]
    private var kernelIDs: Set<UInt16> = []

    init(byteOrder: ByteOrder) { self.byteOrder = byteOrder }

    init(formats: FormatTable) {
        self.init(byteOrder: formats.byteOrder)
        for format in formats.formats { append(format) }
    }

    /// A kernel id that is there already adds nothing, as in `FormatTable`: type indices are the same in both.
    mutating func append(_ format: EventFormat) {
        guard kernelIDs.insert(format.kernelID).inserted else { return }
        let firstField = fields.count
        var end = 8
        for field in BatchPlan.separateFields(of: format) {
            if fields.count - firstField == BatchPlan.maximumFields {
                // The last one becomes a blob up to the end of the fixed part.
                let start = fields[fields.count - 1].offset
                fields[fields.count - 1] = plan("rest of \(format.fullName)", start, field.end - start, of: format)
            } else {
                fields.append(plan(field.name, field.offset, field.size, of: format))
            }
            end = field.end
        }
        let nextPID = fields[firstField...].first { $0.offset == format.field("next_pid")?.offset && $0.size == 4 }
        events.append(
            Event(
                kernelID: format.kernelID,
                hasTail: format.fields.contains {
                    $0.kind == .dynamic || $0.kind == .relativeDynamic || $0.size == 0
                },
                firstField: firstField, fieldCount: fields.count - firstField, fixedLength: end,
                nextPIDSlot: nextPID?.writeSlot ?? BatchPlan.noSlot, codeBytes: (fields.count - firstField + 3) / 4))
    }

    /// The fields in ascending order that lie wholly behind the one before: a field inside of another one (a union, a
    /// hostile format) is covered already, and one beyond the largest record cannot exist.
    private static func separateFields(of format: EventFormat) -> [(name: String, offset: Int, size: Int, end: Int)] {
        var end = 8
        var separate: [(name: String, offset: Int, size: Int, end: Int)] = []
        let ordered = format.fields.enumerated().sorted {
            ($0.element.offset, $0.offset) < ($1.element.offset, $1.offset)
        }
        for (_, field) in ordered where field.size > 0 && field.offset >= end {
            let (fieldEnd, overflow) = field.offset.addingReportingOverflow(field.size)
            guard !overflow, fieldEnd <= Limits.batchRecordBytes else { continue }
            separate.append((field.name, field.offset, field.size, fieldEnd))
            end = fieldEnd
        }
        return separate
    }

    private mutating func plan(_ name: String, _ offset: Int, _ size: Int, of format: EventFormat) -> Field {
        let isBlob = ![1, 2, 4, 8].contains(size)
        let (read, write) = slotPair(name, in: format, isBlob: isBlob)
        return Field(
            offset: offset, size: size, readSlot: read, writeSlot: write, isBlob: isBlob)
    }

    private mutating func slotPair(_ name: String, in format: EventFormat, isBlob: Bool) -> (read: Int, write: Int) {
        if name.hasPrefix("prev_") {
            let next = "next_" + name.dropFirst("prev_".count)
            if format.field(next) != nil { return (slot(next, isBlob: isBlob), BatchPlan.noSlot) }
        }
        let own = slot(name.hasPrefix("guest_") ? String(name.dropFirst("guest_".count)) : name, isBlob: isBlob)
        return (own, own)
    }

    private mutating func slot(_ name: String, isBlob: Bool) -> Int {
        let key = isBlob ? "\(name)[]" : name
        if let known = slots[key] { return known }
        slots[key] = slotCount
        slotCount += 1
        return slotCount - 1
    }

    /// A record may be shorter than its format says: then the fields that fit are taken apart and the rest is its tail.
    @inline(__always)
    static func cut(_ event: Event, _ fields: borrowing Span<Field>, length: Int) -> Cut {
        guard length >= event.fixedLength else { return cutShort(event, fields, length: length) }
        let rest = length - event.fixedLength
        return Cut(
            fieldCount: event.fieldCount, tailStart: event.fixedLength,
            tailBytes: event.hasTail || rest > alignmentBytes ? rest : 0)
    }

    private static func cutShort(_ event: Event, _ fields: borrowing Span<Field>, length: Int) -> Cut {
        var cut = Cut(fieldCount: 0, tailStart: 8, tailBytes: 0)
        while cut.fieldCount < event.fieldCount {
            let end = fields[event.firstField + cut.fieldCount].end
            guard end <= length else { break }
            cut.tailStart = end
            cut.fieldCount += 1
        }
        cut.tailBytes = length - cut.tailStart
        return cut
    }
}

/// The byte order of the source's records, known when the hot loops are compiled.
protocol RecordOrder { static var isBig: Bool { get } }
enum LittleRecords: RecordOrder { static var isBig: Bool { false } }
enum BigRecords: RecordOrder { static var isBig: Bool { true } }

extension EventBatch {
    /// The batch as it comes back from the wire: bytes that belong to no field are zero.
    ///
    /// The kernel leaves alignment and holes of a record uninitialised; they carry nothing and are not sent.
    package func withoutPadding(formats: FormatTable) -> EventBatch {
        let plan = BatchPlan(formats: formats)
        var result = self
        result.records = []
        for (index, header) in headers.enumerated() {
            let event = plan.events[Int(header.typeIndex)]
            let source = Array(records[Int(header.offset)..<Int(header.offset) + Int(header.length)])
            let cut = BatchPlan.cut(event, plan.fields.span, length: source.count)
            var record = [UInt8](repeating: 0, count: source.count)
            record.replaceSubrange(..<8, with: source[..<8])
            for field in plan.fields[event.firstField..<event.firstField + cut.fieldCount] {
                record.replaceSubrange(field.offset..<field.end, with: source[field.offset..<field.end])
            }
            let tail = cut.tailStart..<cut.tailStart + cut.tailBytes
            record.replaceSubrange(tail, with: source[tail])
            result.headers[index].offset = UInt32(result.records.count)
            result.records.append(contentsOf: record)
        }
        return result
    }
}
