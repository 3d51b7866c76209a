package import TraceModel

/// Rebuilds batches from the bodies of batch messages; the mirror of `BatchEncoder`, which states the layout.
///
/// The body comes from a guest and is hostile until proven otherwise. Reading past its end gives zeros, and is found out
/// once per event; numbers are compared with what is there before they are used. Records are written through a span: where
/// the hot loop leaves its check out, the line above has just made it. What a body can make us allocate is bounded by
/// `Limits.batchEvents`, `Limits.batchLosses` and `Limits.batchRecordBytes`.
package struct BatchDecoder: Sendable {
    private var plan: BatchPlan
    /// Planned with the first batch: a kernel has thousands, and the events of files never come as a batch message.
    private var unplanned: [EventFormat]
    /// As in `BatchEncoder`.
    private var slots: [UInt64] = []
    /// By the number of the kind.
    private var kinds: [Kind] = []
    private var strings: [UInt64] = []
    /// The body and zeros behind it.
    private var padded: [UInt8] = []

    /// What the events of one kind have in common until one of them says otherwise.
    private struct Kind {
        /// A copy of it gets the rest set: its initializer would be a call, being another module's.
        var header = EventHeader(
            ticks: TraceTicks(0), offset: 0, length: 0, pid: 0, typeIndex: 0, flags: 0, preemptCount: 0)
        /// The first four bytes of a record, in memory order from the low byte up: kernel id, flags, preempt count.
        var common: UInt32 = 0
        var codeBytes = 0
        var firstField = 0
        var endField = 0
        var nextPIDSlot = 0
        var tailStart = 0
        var tailBytes = 0
    }

    /// What stands before the codes of an event.
    private struct Head {
        var kind: Int
        var step: UInt64
        var pid: Int32
        var input: BatchInput
    }

    package init(formats: FormatTable) {
        plan = BatchPlan(byteOrder: formats.byteOrder)
        unplanned = formats.formats
    }

    package mutating func append(_ format: EventFormat) { unplanned.append(format) }

    /// - Throws: `MessageError` when the body is no batch; nothing of it is used then.
    package mutating func decode(_ body: [UInt8]) throws(MessageError) -> EventBatch {
        if !unplanned.isEmpty {
            for format in unplanned { plan.append(format) }
            unplanned = []
        }
        var input = BatchInput()
        // An event's integers are read without a look at the end: it is looked at after each event, and before each string.
        padded.removeAll(keepingCapacity: true)
        padded.append(contentsOf: body)
        padded.append(contentsOf: repeatElement(0, count: BatchPlan.eventBytes))
        var whole: [UInt8] = []
        swap(&whole, &padded)
        defer { swap(&whole, &padded) }
        do throws(BatchDefect) {
            return try decode(whole.span.bytes, &input)
        } catch {
            throw MessageError(message: "batch", problem: error.rawValue, byte: min(input.at, body.count))
        }
    }

    private mutating func decode(_ body: borrowing RawSpan, _ input: inout BatchInput) throws(BatchDefect) -> EventBatch
    {
        let bodyBytes = body.byteCount - BatchPlan.eventBytes
        let recordBytes = input.bytes(4, body)
        let cpu = try input.varint(body)
        let eventCount = try input.varint(body)
        let lossCount = try input.varint(body)
        let ticks = try input.varint(body)
        guard input.isInside(body) else { throw .endsEarly }
        guard cpu < Limits.cpus else { throw .cpu }
        // An event takes at least two bytes here, and eight when it is rebuilt; a loss mark takes at least two.
        guard eventCount <= Limits.batchEvents, eventCount <= bodyBytes / 2 else { throw .eventCount }
        guard lossCount <= Limits.batchLosses, lossCount <= bodyBytes / 2 else { throw .lossCount }
        guard recordBytes <= Limits.batchRecordBytes, recordBytes >= 8 * eventCount else { throw .recordBytes }

        var batch = EventBatch(cpu: Int(cpu))
        try readLosses(Int(lossCount), before: eventCount, body, &input, into: &batch.losses)
        strings.removeAll(keepingCapacity: true)
        slots.resetZero(count: plan.slotCount)
        kinds.removeAll(keepingCapacity: true)
        kinds.append(contentsOf: repeatElement(Kind(), count: min(plan.events.count, Int(eventCount))))
        // Whole words are stored: the last one may touch bytes behind the last record.
        batch.records = [UInt8](repeating: 0, count: Int(recordBytes) + 8)
        let plan = plan
        batch.headers = try [EventHeader](capacity: Int(eventCount)) {
            (headers: inout OutputSpan<EventHeader>) throws(BatchDefect) in
            if plan.byteOrder == .little {
                try BatchDecoder.rebuild(
                    LittleRecords.self, Int(eventCount), firstTicks: ticks, body, &input, plan, &slots, &kinds,
                    &strings,
                    into: &batch.records, &headers)
            } else {
                try BatchDecoder.rebuild(
                    BigRecords.self, Int(eventCount), firstTicks: ticks, body, &input, plan, &slots, &kinds, &strings,
                    into: &batch.records, &headers)
            }
        }
        batch.records.removeLast(8)
        return batch
    }

    private func readLosses(
        _ count: Int, before eventCount: UInt64, _ body: borrowing RawSpan, _ input: inout BatchInput,
        into losses: inout [LossMark]
    ) throws(BatchDefect) {
        losses.reserveCapacity(count)
        var lastIndex: UInt64 = 0
        for _ in 0..<count {
            let index = try input.varint(body)
            let code = input.bytes(1, body)
            guard index >= lastIndex, index <= eventCount, let place = LossMark.Place(rawValue: UInt8(code & 0x7f))
            else {
                throw .lossMark
            }
            lastIndex = index
            let lost = code & 0x80 != 0 ? try input.varint(body) : nil
            losses.append(LossMark(index: Int(index), place: place, count: lost))
            guard input.isInside(body) else { throw .endsEarly }
        }
    }

    private static func rebuild<Order: RecordOrder>(
        _: Order.Type, _ count: Int, firstTicks: UInt64, _ body: borrowing RawSpan, _ outInput: inout BatchInput,
        _ plan: BatchPlan,
        _ slotArray: inout [UInt64], _ kindArray: inout [Kind], _ strings: inout [UInt64], into records: inout [UInt8],
        _ headers: inout OutputSpan<EventHeader>
    ) throws(BatchDefect) {
        let fields = plan.fields.span
        let recordBytes = records.count - 8
        var kinds = kindArray.mutableSpan
        var kindCount = 0
        var slots = slotArray.mutableSpan
        var recordSpan = records.mutableSpan
        var out = recordSpan.mutableBytes
        var ticks = firstTicks
        var pid: Int32 = 0
        var start = 0
        var input = outInput
        defer { outInput = input }
        for _ in 0..<count {
            // Nearly always the head, the ticks and the codes lie in eight bytes.
            let word = input.word(body)
            let width = word & 3
            var number = Int(truncatingIfNeeded: word &>> 3 & 31)
            var step: UInt64
            if word & 4 == 0, width < 3, number < kindCount, number < BatchPlan.largestShortKind {
                step = word &>> 8 & (0xffff_ffff &>> (24 &- 8 &* width))
                input.at &+= Int(truncatingIfNeeded: width) &+ 2
            } else {
                let head = try readHead(body, input, pid: pid, plan, &kinds, &kindCount)
                number = head.kind
                step = head.step
                pid = head.pid
                input = head.input
            }
            let kind = kinds[unchecked: number]
            let (nextTicks, overflow) = ticks.addingReportingOverflow(step)
            guard !overflow else { throw .ticks }
            ticks = nextTicks
            var header = kind.header
            let length = Int(truncatingIfNeeded: header.length)
            guard length <= recordBytes &- start else { throw .recordLength }
            header.ticks.rawValue = ticks
            header.offset = UInt32(truncatingIfNeeded: start)
            header.pid = pid
            headers.append(header)
            let pidBytes = UInt32(bitPattern: Order.isBig ? pid.byteSwapped : pid)
            let common = (UInt64(kind.common) | UInt64(pidBytes) &<< 32).littleEndian
            unsafe out.storeBytes(of: common, toUncheckedByteOffset: start, as: UInt64.self)

            var codes = input.bytes(kind.codeBytes, body)
            var index = kind.firstField
            while index < kind.endField {
                let field = fields[unchecked: index]
                let at = start &+ field.offset
                let code = codes & 3
                codes = codes &>> 2
                index &+= 1
                var value = slots[unchecked: field.readSlot]
                if field.isBlob {
                    if code == 0 {
                        guard value &>> 32 == UInt64(truncatingIfNeeded: field.size) else { throw .string }
                        out.copy(from: Int(truncatingIfNeeded: value & 0xffff_ffff), to: at, count: field.size)
                    } else {
                        input = try out.rebuild(string: code, at, field.size, &strings, body, input)
                    }
                    value = UInt64(truncatingIfNeeded: field.size) &<< 32 | UInt64(truncatingIfNeeded: at)
                } else {
                    let difference =
                        code < 3 ? input.bytes(Int(truncatingIfNeeded: code), body) : try input.varint(body)
                    value = value &+ UInt64(bitPattern: Varint.unzigzag(difference))
                    // Bytes behind the field become zero; the next field, if it begins there, overwrites them. The field
                    // ends within the record and the record before the last eight bytes.
                    let word = Order.isBig ? (value &<< field.shift).bigEndian : (value & field.mask).littleEndian
                    unsafe out.storeBytes(of: word, toUncheckedByteOffset: at, as: UInt64.self)
                }
                slots[unchecked: field.writeSlot] = value
            }
            if kind.tailBytes > 0 {
                input = try out.rebuild(tail: start &+ kind.tailStart, kind.tailBytes, &strings, body, input)
            }
            guard input.isInside(body) else { throw .endsEarly }
            if kind.nextPIDSlot != BatchPlan.noSlot { pid = Int32(truncatingIfNeeded: slots[kind.nextPIDSlot]) }
            start &+= length
        }
        guard start == recordBytes else { throw .recordBytes }
    }

    /// Any head, as far as the codes. It takes and returns the position: what is passed as `inout` lives in memory, and in
    /// the loop above that would cost more than the rest of its work.
    @inline(never)
    private static func readHead(
        _ body: borrowing RawSpan, _ start: BatchInput, pid: Int32, _ plan: BatchPlan, _ kinds: inout MutableSpan<Kind>,
        _ kindCount: inout Int
    ) throws(BatchDefect) -> Head {
        var input = start
        let first = input.bytes(1, body)
        var head = Head(kind: Int(first >> 3), step: 0, pid: pid, input: input)
        if head.kind == BatchPlan.largestShortKind {
            head.kind += Int(min(try input.varint(body), UInt64(Limits.batchEvents)))
        }
        let isNew = head.kind >= kindCount
        if isNew {
            let type = try input.varint(body)
            guard head.kind == kindCount, head.kind < kinds.count, type < plan.events.count else { throw .type }
            kinds[head.kind].header.typeIndex = UInt16(type)
            kindCount += 1
        }
        let width = Int(first & 3)
        head.step = width < 3 ? input.bytes(width + 1, body) : try input.varint(body)
        let details = first & 4 != 0 ? input.bytes(1, body) : 0
        guard !isNew || details & 6 == 6 else { throw .type }
        if details & 1 != 0 {
            head.pid = Int32(truncatingIfNeeded: Int64(pid) &+ Varint.unzigzag(try input.varint(body)))
        }
        var kind = kinds[head.kind]
        let event = plan.events[Int(kind.header.typeIndex)]
        if details & 2 != 0 {
            let flags = UInt32(truncatingIfNeeded: input.bytes(2, body))
            kind.header.flags = UInt8(flags & 0xff)
            kind.header.preemptCount = UInt8(flags >> 8)
            kind.common = UInt32(plan.byteOrder == .big ? event.kernelID.byteSwapped : event.kernelID) | flags << 16
        }
        if details & 4 != 0 {
            let length = try input.varint(body)
            guard length >= 8, length <= Limits.batchRecordBytes else { throw .recordLength }
            let cut = BatchPlan.cut(event, plan.fields.span, length: Int(length))
            kind.header.length = UInt32(length)
            kind.codeBytes = event.codeBytes
            kind.firstField = event.firstField
            kind.endField = event.firstField + cut.fieldCount
            kind.nextPIDSlot = event.nextPIDSlot
            kind.tailStart = cut.tailStart
            kind.tailBytes = cut.tailBytes
        }
        kinds[head.kind] = kind
        head.input = input
        return head
    }
}

extension MutableRawSpan {
    /// Puts the string that a field's code announces at `at`, into `size` bytes that are zero.
    @inline(never)
    fileprivate mutating func rebuild(
        string code: UInt64, _ at: Int, _ size: Int, _ strings: inout [UInt64], _ body: borrowing RawSpan,
        _ start: BatchInput
    ) throws(BatchDefect) -> BatchInput {
        var input = start
        if code == 3 {
            try rebuild(newString: at, size, &strings, body, &input)
        } else {
            try rebuild(number: input.bytes(Int(code), body), at, size, strings)
        }
        return input
    }

    @inline(never)
    fileprivate mutating func rebuild(
        tail at: Int, _ size: Int, _ strings: inout [UInt64], _ body: borrowing RawSpan, _ start: BatchInput
    ) throws(BatchDefect) -> BatchInput {
        var input = start
        let number = try input.varint(body)
        if number == 0 {
            try rebuild(newString: at, size, &strings, body, &input)
        } else {
            try rebuild(number: number, at, size, strings)
        }
        return input
    }

    private mutating func rebuild(
        newString at: Int, _ size: Int, _ strings: inout [UInt64], _ body: borrowing RawSpan, _ input: inout BatchInput
    ) throws(BatchDefect) {
        let length = try input.varint(body)
        guard length <= size else { throw .string }
        let source = input.at
        let count = Int(length)
        guard input.skip(count, body) else { throw .endsEarly }
        var done = 0
        while count - done >= 8 {
            storeBytes(of: body.word(at: source + done).littleEndian, toByteOffset: at + done, as: UInt64.self)
            done += 8
        }
        while done < count {
            storeBytes(of: body.byte(at: source + done), toByteOffset: at + done, as: UInt8.self)
            done += 1
        }
        if strings.count < StringTable.maximum { strings.append(UInt64(size) << 32 | UInt64(at)) }
    }

    private mutating func rebuild(number: UInt64, _ at: Int, _ size: Int, _ strings: [UInt64]) throws(BatchDefect) {
        guard number >= 1, number <= strings.count else { throw .string }
        let known = strings[Int(number) - 1]
        guard known >> 32 == UInt64(size) else { throw .string }
        copy(from: Int(known & 0xffff_ffff), to: at, count: size)
    }

    @inline(__always)
    fileprivate mutating func copy(from source: Int, to target: Int, count: Int) {
        var done = 0
        while count &- done >= 16 {
            let words = unsafe bytes.unsafeLoadUnaligned(fromByteOffset: source &+ done, as: SIMD2<UInt64>.self)
            storeBytes(of: words, toByteOffset: target &+ done, as: SIMD2<UInt64>.self)
            done &+= 16
        }
        while done < count {
            storeBytes(of: bytes.byte(at: source &+ done), toByteOffset: target &+ done, as: UInt8.self)
            done &+= 1
        }
    }
}
