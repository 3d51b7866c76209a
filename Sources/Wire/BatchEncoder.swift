package import TraceModel

/// Turns batches into the bodies of batch messages: a sixth to a quarter of the ring buffer's bytes.
///
/// Layout (varints are LEB128; "signed" means zigzag):
/// ```
/// bytes of all records (4 bytes)
/// varints: cpu, number of events, number of loss marks, ticks of the first event
/// per loss mark: varint index, place (1 byte, bit 7 = a count follows), [varint count]
/// per event:
///   bits 0–1: bytes of the ticks less one, 3 = a varint | bit 2: details | bits 3–7: kind, 31 = 31 and a varint more
///   [varint type index]                                    the first event of a kind: one more than those before
///   ticks since the event before
///   [details: bit 0 = pid, bit 1 = flags, bit 2 = length]  the first event of a kind has flags and length
///     [signed varint pid difference]                       predicted: the task that runs on this CPU
///     [flags, preempt count (1 byte each)]                 predicted: those of the last event of this kind
///     [varint length]                                      the same
///   codes, two bits for each field of the format           ⌈fields / 4⌉ bytes, the first field lowest
///   per field: as many bytes of a signed difference as its code says, 3 = a varint; for a string as many bytes of a
///     number, 0 = the predicted string, 3 = a new string
///   [varint number of the tail's string, or 0 and a new one]   see BatchPlan.cut
/// new string: varint length, bytes. Zeros at its end are not sent: the size of its field brings them back. The first 2,048
///   are numbered from 1; a number stands for a string of the same size.
/// ```
/// Kinds are the types of this batch, numbered in the order in which they appear: a session may have thousands of types,
/// and a batch seldom has more than the 31 whose number fits the first byte. Widths stand before what they measure, because
/// a reader that must look at each byte to find the next one waits for memory at every step.
///
/// The output is written through a bounds-checked span: a wrong bound would stop the program and corrupt nothing.
package struct BatchEncoder: Sendable {
    private var plan: BatchPlan
    private var strings = StringTable()
    /// Integers: the value that the next field with this slot is compared with. Blobs: where the last one lies in the
    /// records (low half) and its size (high half).
    private var slots: [UInt64] = []
    /// By type index: one more than the number of the kind in this batch, or 0.
    private var numbers: [UInt16] = []
    private var kinds: [Kind] = []
    /// Grown as needed and kept, so that a steady state allocates the result only.
    private var scratch = [UInt8](repeating: 0, count: 64 << 10)

    package init(formats: FormatTable) { plan = BatchPlan(formats: formats) }

    package mutating func append(_ format: EventFormat) { plan.append(format) }

    /// Batch frames for `batch`: one, or in the rare case that it would be longer than a frame may be, several.
    package mutating func frames(for batch: EventBatch) -> [Frame] {
        let body = encode(batch)
        if body.count <= Limits.frameBytes { return [Message.batch(body).frame] }
        let middle = batch.headers.count / 2
        var halves = (EventBatch(cpu: batch.cpu), EventBatch(cpu: batch.cpu))
        halves.0.headers = Array(batch.headers[..<middle])
        halves.1.headers = Array(batch.headers[middle...])
        halves.0.records = batch.records
        halves.1.records = batch.records
        halves.0.losses = batch.losses.filter { $0.index < middle }
        halves.1.losses = batch.losses.filter { $0.index >= middle }.map {
            LossMark(index: $0.index - middle, place: $0.place, count: $0.count)
        }
        return frames(for: halves.0) + frames(for: halves.1)
    }

    /// The encoded batch. A batch that breaks a rule of `EventBatch` or a limit is a defect of ours and stops the program.
    package mutating func encode(_ batch: EventBatch) -> [UInt8] {
        batch.checkLimits()
        strings.removeAll()
        slots.resetZero(count: plan.slotCount)
        numbers.resetZero(count: plan.events.count)
        kinds.removeAll(keepingCapacity: true)
        let prefix = BatchEncoder.prefix(of: batch)
        if scratch.count < prefix.count { scratch = [UInt8](repeating: 0, count: prefix.count) }
        scratch.replaceSubrange(0..<prefix.count, with: prefix)
        var state = State(at: prefix.count, ticks: batch.headers.first?.ticks.rawValue ?? 0)
        var next = 0
        while true {
            if plan.byteOrder == .little {
                next = BatchEncoder.encode(
                    LittleRecords.self, batch.headers.span, from: next, records: batch.records.span.bytes, plan, &slots,
                    &numbers, &kinds, &strings, &scratch, &state)
            } else {
                next = BatchEncoder.encode(
                    BigRecords.self, batch.headers.span, from: next, records: batch.records.span.bytes, plan, &slots,
                    &numbers, &kinds, &strings, &scratch, &state)
            }
            if next == batch.headers.count { break }
            let needed = Int(batch.headers[next].length) + BatchPlan.eventBytes
            scratch.append(contentsOf: repeatElement(0, count: scratch.count + needed))
        }
        precondition(state.recordBytes <= Limits.batchRecordBytes, "the records of a batch overlap")
        for byte in 0..<4 { scratch[byte] = UInt8(truncatingIfNeeded: state.recordBytes >> (8 * byte)) }
        return Array(scratch[..<state.at])
    }

    private static func prefix(of batch: EventBatch) -> [UInt8] {
        var prefix = BodyWriter()
        // Patched when the sum is known.
        for _ in 0..<4 { prefix.put(byte: 0) }
        prefix.put(batch.cpu)
        prefix.put(batch.headers.count)
        prefix.put(batch.losses.count)
        prefix.put(batch.headers.first?.ticks.rawValue ?? 0)
        for loss in batch.losses {
            prefix.put(loss.index)
            prefix.put(byte: loss.place.rawValue | (loss.count == nil ? 0 : 0x80))
            if let count = loss.count { prefix.put(count) }
        }
        return prefix.bytes
    }

    /// What the events of one kind have in common until one of them differs.
    fileprivate struct Kind {
        var length: UInt32 = 0
        var flags: UInt16 = 0
        var codeBytes = 0
        /// Codes come in at the top, the last one highest.
        var codeShift: UInt64 = 0
        var firstField = 0
        var endField = 0
        var nextPIDSlot = 0
        var tailStart = 0
        var tailBytes = 0

        mutating func set(length: UInt32, event: BatchPlan.Event, _ plan: BatchPlan) {
            let cut = BatchPlan.cut(event, plan.fields.span, length: Int(length))
            self.length = length
            codeBytes = event.codeBytes
            firstField = event.firstField
            endField = event.firstField + cut.fieldCount
            codeShift = UInt64(64 - 2 * cut.fieldCount)
            nextPIDSlot = event.nextPIDSlot
            tailStart = cut.tailStart
            tailBytes = cut.tailBytes
        }
    }

    /// What is carried from event to event.
    private struct State {
        var at: Int
        var ticks: UInt64
        var pid: Int32 = 0
        var recordBytes = 0
    }

    /// Encodes from event `first` on, and returns the first one for which `scratch` might not have the room.
    ///
    /// What the loop hands to functions that are not inlined goes and comes back by value: a variable that is passed as
    /// `inout` lives in memory, and that would cost more than the rest of the work.
    private static func encode<Order: RecordOrder>(
        _: Order.Type, _ headers: borrowing Span<EventHeader>, from first: Int, records: borrowing RawSpan,
        _ plan: BatchPlan, _ slotArray: inout [UInt64], _ numberArray: inout [UInt16], _ kinds: inout [Kind],
        _ strings: inout StringTable, _ scratch: inout [UInt8], _ outState: inout State
    ) -> Int {
        let fields = plan.fields.span
        var numbers = numberArray.mutableSpan
        var slots = slotArray.mutableSpan
        var outSpan = scratch.mutableSpan
        var out = outSpan.mutableBytes
        var state = outState
        defer { outState = state }
        for index in first..<headers.count {
            let header = headers[unchecked: index]
            let start = Int(truncatingIfNeeded: header.offset)
            let length = Int(truncatingIfNeeded: header.length)
            let type = Int(truncatingIfNeeded: header.typeIndex)
            precondition(type < numbers.count, "an event has a type that was never described")
            precondition(
                length >= 8 && start &+ length <= records.byteCount,
                "an event's record lies outside of its batch, or lacks the eight common bytes")
            precondition(
                header.ticks.rawValue >= state.ticks, "the events of a batch are not in the order of their ticks")
            // Room for all that is stored for this event, so that the stores below need not look.
            guard out.byteCount &- state.at >= BatchPlan.eventBytes &+ length else { return index }
            state.recordBytes &+= length
            let number = Int(truncatingIfNeeded: numbers[unchecked: type]) &- 1
            let flags = UInt16(header.flags) | UInt16(header.preemptCount) &<< 8
            let step = header.ticks.rawValue &- state.ticks
            state.ticks = header.ticks.rawValue
            let kind: Kind
            if number >= 0, number < BatchPlan.largestShortKind, step <= 0xff_ffff, header.pid == state.pid,
                kinds[number].length == header.length, kinds[number].flags == flags
            {
                kind = kinds[number]
                let width = (step > 0xff ? 1 : 0) &+ (step > 0xffff ? 1 : 0)
                let head = UInt64(truncatingIfNeeded: width | number &<< 3) | step &<< 8
                unsafe out.storeBytes(of: head.littleEndian, toUncheckedByteOffset: state.at, as: UInt64.self)
                state.at &+= width &+ 2
            } else {
                state.at = out.putHead(
                    header, flags: flags, step: step, lastPID: state.pid, plan, &numbers, &kinds, at: state.at)
                state.pid = header.pid
                kind = kinds[Int(numbers[type]) - 1]
            }
            let codesAt = state.at
            state.at &+= kind.codeBytes
            var codes: UInt64 = 0
            var fieldIndex = kind.firstField
            while fieldIndex < kind.endField {
                let field = fields[unchecked: fieldIndex]
                fieldIndex &+= 1
                let predicted = slots[unchecked: field.readSlot]
                codes = codes &>> 2
                if field.isBlob {
                    let at = start &+ field.offset
                    let size = UInt64(truncatingIfNeeded: field.size)
                    slots[unchecked: field.writeSlot] = size &<< 32 | UInt64(truncatingIfNeeded: at)
                    let last = Int(truncatingIfNeeded: predicted & 0xffff_ffff)
                    if predicted &>> 32 != size || !records.areEqual(at, last, count: field.size) {
                        let (code, next) = out.put(string: records, at, field.size, &strings, at: state.at)
                        codes |= code &<< 62
                        state.at = next
                    }
                } else {
                    // The eight bytes that end with the field: at least as many common bytes precede it.
                    let word = records.word(atUnchecked: start &+ field.end &- 8)
                    let top = Order.isBig ? word.byteSwapped &<< field.shift : word
                    let value = Int64(bitPattern: top) &>> Int64(truncatingIfNeeded: field.shift)
                    slots[unchecked: field.writeSlot] = UInt64(bitPattern: value)
                    let difference = Varint.zigzag(value &- Int64(bitPattern: predicted))
                    if difference <= 0xffff {
                        let bytes = UInt16(truncatingIfNeeded: difference).littleEndian
                        unsafe out.storeBytes(of: bytes, toUncheckedByteOffset: state.at, as: UInt16.self)
                        let code = (difference != 0 ? 1 : 0) &+ (difference > 0xff ? 1 : 0)
                        state.at &+= code
                        codes |= UInt64(truncatingIfNeeded: code) &<< 62
                    } else {
                        state.at = out.put(difference, at: state.at)
                        codes |= 3 &<< 62
                    }
                }
            }
            codes = codes &>> kind.codeShift
            if kind.codeBytes == 1 {
                out.put(byte: UInt8(truncatingIfNeeded: codes), at: codesAt)
            } else {
                out.put(codes: codes, bytes: kind.codeBytes, at: codesAt)
            }
            if kind.tailBytes > 0 {
                state.at = out.put(tail: records, start &+ kind.tailStart, kind.tailBytes, &strings, at: state.at)
            }
            if kind.nextPIDSlot != BatchPlan.noSlot {
                state.pid = Int32(truncatingIfNeeded: slots[unchecked: kind.nextPIDSlot])
            }
        }
        return headers.count
    }
}

extension EventBatch {
    fileprivate func checkLimits() {
        precondition(cpu >= 0 && cpu < Limits.cpus, "a batch names CPU \(cpu), beyond the limit")
        precondition(headers.count <= Limits.batchEvents, "a batch holds more events than a frame may")
        precondition(records.count <= Limits.batchRecordBytes, "a batch holds more record bytes than a frame may")
        precondition(losses.count <= Limits.batchLosses, "a batch holds more loss marks than a frame may")
        var lastIndex = 0
        for loss in losses {
            precondition(
                loss.index >= lastIndex && loss.index <= headers.count,
                "the loss marks of a batch are out of order, or lie behind its last event")
            lastIndex = loss.index
        }
    }
}

/// Each of these returns where the next byte goes.
extension MutableRawSpan {
    @inline(__always)
    fileprivate mutating func put(byte: UInt8, at: Int) { storeBytes(of: byte, toByteOffset: at, as: UInt8.self) }

    @inline(__always)
    fileprivate mutating func put(_ value: UInt64, at: Int) -> Int {
        guard value >= 0x80 else {
            put(byte: UInt8(truncatingIfNeeded: value), at: at)
            return at &+ 1
        }
        guard value < 1 << 56 else { return put(long: value, at: at) }
        let width = Varint.width(value)
        storeBytes(of: Varint.spread(value, width: width).littleEndian, toByteOffset: at, as: UInt64.self)
        return at &+ width
    }

    private mutating func put(long value: UInt64, at start: Int) -> Int {
        var at = start
        var rest = value
        while rest >= 0x80 {
            put(byte: UInt8(truncatingIfNeeded: rest) | 0x80, at: at)
            at += 1
            rest >>= 7
        }
        put(byte: UInt8(truncatingIfNeeded: rest), at: at)
        return at + 1
    }

    /// Any head, as far as the codes.
    @inline(never)
    fileprivate mutating func putHead(
        _ header: EventHeader, flags: UInt16, step: UInt64, lastPID: Int32, _ plan: BatchPlan,
        _ numbers: inout MutableSpan<UInt16>, _ kinds: inout [BatchEncoder.Kind], at start: Int
    ) -> Int {
        let type = Int(header.typeIndex)
        let isNew = numbers[type] == 0
        if isNew {
            kinds.append(BatchEncoder.Kind())
            numbers[type] = UInt16(kinds.count)
        }
        let number = Int(numbers[type]) - 1
        let hasPID = header.pid != lastPID
        let hasFlags = isNew || flags != kinds[number].flags
        let hasLength = isNew || header.length != kinds[number].length
        let width = step > 0xff_ffff ? 3 : (step > 0xff ? 1 : 0) + (step > 0xffff ? 1 : 0)
        let short = min(number, BatchPlan.largestShortKind)
        var at = start
        put(byte: UInt8(width | (hasPID || hasFlags || hasLength ? 4 : 0) | short << 3), at: at)
        at += 1
        if short == BatchPlan.largestShortKind { at = put(UInt64(number - short), at: at) }
        if isNew { at = put(UInt64(type), at: at) }
        if width < 3 {
            storeBytes(of: UInt32(truncatingIfNeeded: step).littleEndian, toByteOffset: at, as: UInt32.self)
            at += width + 1
        } else {
            at = put(step, at: at)
        }
        guard hasPID || hasFlags || hasLength else { return at }
        put(byte: (hasPID ? 1 : 0) | (hasFlags ? 2 : 0) | (hasLength ? 4 : 0), at: at)
        at += 1
        if hasPID { at = put(Varint.zigzag(Int64(header.pid) - Int64(lastPID)), at: at) }
        if hasFlags {
            storeBytes(of: flags.littleEndian, toByteOffset: at, as: UInt16.self)
            at += 2
            kinds[number].flags = flags
        }
        if hasLength {
            at = put(UInt64(header.length), at: at)
            kinds[number].set(length: header.length, event: plan.events[type], plan)
        }
        return at
    }

    fileprivate mutating func put(codes: UInt64, bytes: Int, at: Int) {
        for index in 0..<bytes { put(byte: UInt8(truncatingIfNeeded: codes >> UInt64(8 * index)), at: at + index) }
    }

    /// The code of a string that is not the predicted one, after its number or itself.
    @inline(never)
    fileprivate mutating func put(
        string records: borrowing RawSpan, _ start: Int, _ count: Int, _ strings: inout StringTable, at: Int
    ) -> (code: UInt64, next: Int) {
        let number = strings.number(of: records, at: start, count: count)
        if number == 0 { return (3, put(newString: records, start, count, at: at)) }
        storeBytes(of: UInt16(truncatingIfNeeded: number).littleEndian, toByteOffset: at, as: UInt16.self)
        return number > 0xff ? (2, at + 2) : (1, at + 1)
    }

    @inline(never)
    fileprivate mutating func put(
        tail records: borrowing RawSpan, _ start: Int, _ count: Int, _ strings: inout StringTable, at: Int
    ) -> Int {
        let number = strings.number(of: records, at: start, count: count)
        let next = put(UInt64(number), at: at)
        return number == 0 ? put(newString: records, start, count, at: next) : next
    }

    private mutating func put(newString records: borrowing RawSpan, _ start: Int, _ count: Int, at place: Int) -> Int {
        var length = count
        while length > 0, records.byte(at: start + length - 1) == 0 { length -= 1 }
        let at = put(UInt64(length), at: place)
        var done = 0
        while length - done >= 8 {
            storeBytes(of: records.word(at: start + done).littleEndian, toByteOffset: at + done, as: UInt64.self)
            done += 8
        }
        while done < length {
            put(byte: records.byte(at: start + done), at: at + done)
            done += 1
        }
        return at + length
    }
}

extension Array where Element: FixedWidthInteger {
    /// `count` zeros, in the storage that is already there.
    mutating func resetZero(count: Int) {
        removeAll(keepingCapacity: true)
        append(contentsOf: repeatElement(0, count: count))
    }
}
