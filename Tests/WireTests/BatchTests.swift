import Testing
import TraceModel
import Wire

struct BatchTests {
    /// The law of this room: what comes back is what went in, but for bytes that belong to no field.
    @discardableResult
    private func check(
        _ batch: EventBatch, _ formats: FormatTable, _ note: Comment? = nil,
        sourceLocation: SourceLocation = #_sourceLocation
    ) -> [UInt8] {
        var encoder = BatchEncoder(formats: formats)
        var decoder = BatchDecoder(formats: formats)
        let body = encoder.encode(batch)
        do throws(MessageError) {
            let decoded = try decoder.decode(body)
            let isEqual = decoded == batch.withoutPadding(formats: formats)
            #expect(isEqual, note ?? "", sourceLocation: sourceLocation)
        } catch {
            Issue.record("\(error)", sourceLocation: sourceLocation)
        }
        // Nothing of a batch is left in either of them.
        let isSame = encoder.encode(batch) == body
        #expect(isSame, note ?? "", sourceLocation: sourceLocation)
        return body
    }

    @Test(arguments: 0..<100)
    func `random batches of random formats come back`(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let formats = random.table(formats: 1 + random.below(40), fields: random.pick([3, 8, 30, 80]))
        check(random.batch(formats, events: random.pick([0, 1, 20, 300])), formats, "seed \(seed)")
    }

    @Test
    func `one encoder and one decoder serve many batches`() throws {
        var random = SeededRandom(seed: 11)
        let formats = random.table(formats: 12, fields: 9)
        var encoder = BatchEncoder(formats: formats)
        var decoder = BatchDecoder(formats: formats)
        for _ in 0..<100 {
            let batch = random.batch(formats, events: 50)
            let isEqual = try decoder.decode(encoder.encode(batch)) == batch.withoutPadding(formats: formats)
            #expect(isEqual)
        }
    }

    @Test
    func `the largest batch of each kind comes back`() {
        var random = SeededRandom(seed: 5)
        let formats = KernelFormats.table()
        var many = EventBatch(cpu: Limits.cpus - 1)
        for index in 0..<Limits.batchEvents {
            many.append(formats, type: 5 + index % 2, ticks: UInt64(index), pid: 1, body: [0, 0, 0, UInt8(index & 7)])
        }
        check(many, formats)
        var large = EventBatch(cpu: 0)
        large.append(formats, type: 8, ticks: .max, pid: .min, body: random.bytes(Limits.batchRecordBytes - 8))
        check(large, formats)
        check(EventBatch(cpu: 0), formats)
        var lossesOnly = EventBatch(cpu: 3)
        lossesOnly.losses = (0..<Limits.batchLosses).map { _ in LossMark(index: 0, place: .agent, count: .max) }
        check(lossesOnly, formats)
    }

    @Test
    func `more strings than the table numbers come back`() {
        let formats = KernelFormats.table()
        var batch = EventBatch(cpu: 0)
        // 5,000 names; each comes twice in a row and again much later.
        for index in (0..<5000).flatMap({ [$0, $0] }) + Array(0..<4000) {
            batch.append(
                formats, type: 1, ticks: UInt64(batch.headers.count), pid: 7,
                body: Array(Array("task\(index)".utf8) + [UInt8](repeating: 0, count: 16)).prefix(16)
                    + [1, 0, 0, 0, 120, 0, 0, 0, 2, 0, 0, 0])
        }
        check(batch, formats)
    }

    @Test(arguments: [1, 2, 4, 8])
    func `every width keeps its extremes, in both byte orders`(size: Int) {
        for order in [ByteOrder.little, .big] {
            let field = EventField(name: "v", type: "", offset: 8, size: size, isSigned: true, kind: .integer)
            let wide = EventField(name: "v", type: "", offset: 8, size: 8, isSigned: false, kind: .integer)
            let formats = FormatTable(
                byteOrder: order, longSize: 8,
                formats: [
                    EventFormat(kernelID: 1, system: "s", name: "narrow", fields: [field], text: ""),
                    EventFormat(kernelID: 2, system: "s", name: "wide", fields: [wide], text: ""),
                ])
            var batch = EventBatch(cpu: 0)
            let patterns: [UInt8] = [0, 0xff, 0x80, 0x7f, 0x01, 0xfe]
            for first in patterns {
                for last in patterns {
                    // The wide event shares the slot of the narrow one and makes its differences as large as can be.
                    for (type, count) in [(0, size), (1, 8)] {
                        var body = [UInt8](repeating: 0, count: count)
                        body[0] = first
                        body[count - 1] = last
                        batch.append(formats, type: type, ticks: UInt64(batch.headers.count), pid: 1, body: body)
                    }
                }
            }
            check(batch, formats)
        }
    }

    @Test
    func `time may jump, and stand still`() {
        let formats = KernelFormats.table()
        var batch = EventBatch(cpu: 0)
        let times: [UInt64] = [
            0, 0, 0xff, 0x1fe, 0x2ff, 0x1_0300, 0x2_0300, 0x102_0300, 0x302_0300, 1 << 40, .max - 1, .max, .max,
        ]
        for ticks in times {
            batch.append(formats, type: 5, ticks: ticks, pid: 0, body: [1, 0, 0, 0])
        }
        check(batch, formats)
    }

    @Test
    func `a record may be shorter or longer than its format says, and loses nothing`() throws {
        let formats = KernelFormats.table()
        for type in formats.formats.indices {
            var batch = EventBatch(cpu: 0)
            for length in 0..<120 {
                batch.append(
                    formats, type: type, ticks: UInt64(length), pid: 1, body: (0..<length).map { UInt8($0 + 100) })
            }
            check(batch, formats)
            let kept = batch.withoutPadding(formats: formats)
            for header in kept.headers where Int(header.length) < formats.formats[type].minimumLength {
                let range = Int(header.offset)..<Int(header.offset + header.length)
                // kvm_exit has holes; whatever lies before the end of its last whole field is a hole too.
                let changed = zip(kept.records[range], batch.records[range]).filter { $0 != $1 }.count
                #expect(changed == 0 || formats.formats[type].system == "kvm")
            }
        }
    }

    @Test
    func `every event may be followed by a loss`() {
        let formats = KernelFormats.table()
        var batch = EventBatch(cpu: 0)
        for index in 0..<Limits.batchEvents {
            batch.append(formats, type: 5, ticks: UInt64(index), pid: 0, body: [1, 0, 0, 0])
            batch.losses.append(LossMark(index: index, place: .malformed, count: 1))
        }
        batch.losses += Array(
            repeating: LossMark(index: Limits.batchEvents, place: .ringBuffer, count: nil), count: 132)
        check(batch, formats)
    }

    @Test
    func `a loss keeps its place, kind and count`() throws {
        let formats = KernelFormats.table()
        var batch = EventBatch(cpu: 2)
        for index in 0..<3 {
            batch.append(formats, type: 5, ticks: UInt64(index), pid: 0, body: [1, 0, 0, 0])
        }
        batch.losses = [
            LossMark(index: 0, place: .ringBuffer, count: nil), LossMark(index: 0, place: .agent, count: 0),
            LossMark(index: 1, place: .malformed, count: .max),
            LossMark(index: 3, place: .ringBuffer, count: 6_643_079),
        ]
        check(batch, formats)
    }

    @Test
    func `formats that are appended later are the same as formats from the start`() throws {
        var random = SeededRandom(seed: 21)
        let formats = random.table(formats: 10, fields: 6)
        var encoder = BatchEncoder(formats: FormatTable(byteOrder: formats.byteOrder, longSize: 8))
        var decoder = BatchDecoder(formats: FormatTable(byteOrder: formats.byteOrder, longSize: 8))
        for format in formats.formats {
            encoder.append(format)
            decoder.append(format)
            // A format told twice keeps its index and takes none.
            decoder.append(format)
        }
        let batch = random.batch(formats, events: 100)
        #expect(try decoder.decode(encoder.encode(batch)) == batch.withoutPadding(formats: formats))
    }

    @Test
    func `a hostile format stops nothing`() {
        let hostile = [
            (0, 8), (-5, 4), (.max, .max), (8, .max), (1 << 30, 4), (8, -4), (Limits.batchRecordBytes - 2, 4), (9, 4),
        ]
        let fields = hostile.map {
            EventField(name: "next_pid", type: "", offset: $0.0, size: $0.1, isSigned: false, kind: .integer)
        }
        let formats = FormatTable(
            byteOrder: .little, longSize: 8,
            formats: [EventFormat(kernelID: 9, system: "s", name: "hostile", fields: fields, text: "")])
        var batch = EventBatch(cpu: 0)
        batch.append(formats, type: 0, ticks: 5, pid: 6, body: [1, 2, 3, 4, 5, 6, 7, 8, 9])
        check(batch, formats)
    }

    // MARK: Size

    @Test
    func `a context switch of known tasks is a dozen bytes, and a repeated one fewer`() {
        let formats = KernelFormats.table()
        func record(_ previous: String, _ next: String, _ previousPID: UInt8, _ nextPID: UInt8) -> [UInt8] {
            func comm(_ name: String) -> [UInt8] {
                Array((Array(name.utf8) + [UInt8](repeating: 0, count: 16)).prefix(16))
            }
            return comm(previous) + [previousPID, 0, 0, 0, 120, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0] + comm(next)
                + [nextPID, 0, 0, 0, 120, 0, 0, 0]
        }
        var batch = EventBatch(cpu: 0)
        func grow(to count: Int) -> Int {
            while batch.headers.count < count {
                let isOdd = batch.headers.count % 2 == 1
                batch.append(
                    formats, type: 0, ticks: 1000 * UInt64(batch.headers.count), pid: isOdd ? 20 : 10,
                    body: isOdd ? record("worker", "qemu", 20, 10) : record("qemu", "worker", 10, 20))
            }
            return check(batch, formats).count
        }
        let ten = grow(to: 10)
        let thousand = grow(to: 1010)
        #expect((thousand - ten) / 1000 <= 8, "\(thousand - ten) bytes for 1,000 switches of 64 bytes")
    }

    @Test
    func `a batch that would exceed a frame is split, and its halves are the whole`() throws {
        // Two events share 31 slots, one of eight bytes and one of one: each difference takes ten bytes.
        func format(_ id: UInt16, width: Int) -> EventFormat {
            EventFormat(
                kernelID: id, system: "s", name: "e\(id)",
                fields: (0..<31).map {
                    EventField(
                        name: "f\($0)", type: "", offset: 8 + $0 * width, size: width, isSigned: false, kind: .integer)
                }, text: "")
        }
        let formats = FormatTable(byteOrder: .little, longSize: 8, formats: [format(1, width: 8), format(2, width: 1)])
        var random = SeededRandom(seed: 4)
        var batch = EventBatch(cpu: 1)
        while batch.records.count < Limits.batchRecordBytes - 300 {
            let isWide = batch.headers.count % 2 == 0
            batch.append(
                formats, type: isWide ? 0 : 1, ticks: UInt64(batch.headers.count), pid: 1,
                body: isWide ? (0..<31).flatMap { _ in random.bytes(7) + [0x80] } : random.bytes(31))
        }
        let count = batch.headers.count
        batch.losses = [0, count / 2 - 1, count / 2, count / 2 + 1, count].map {
            LossMark(index: $0, place: .ringBuffer, count: UInt64($0))
        }
        var encoder = BatchEncoder(formats: formats)
        var decoder = BatchDecoder(formats: formats)
        #expect(encoder.encode(batch).count > Limits.frameBytes)
        let frames = encoder.frames(for: batch)
        #expect(frames.count > 1)
        var joined = EventBatch(cpu: 1)
        for frame in frames {
            #expect(frame.body.count <= Limits.frameBytes && frame.isBatch)
            let part = try decoder.decode(frame.body)
            #expect(part.cpu == 1)
            joined.losses += part.losses.map {
                LossMark(index: $0.index + joined.headers.count, place: $0.place, count: $0.count)
            }
            for var header in part.headers {
                header.offset += UInt32(joined.records.count)
                joined.headers.append(header)
            }
            joined.records += part.records
        }
        #expect(joined == batch.withoutPadding(formats: formats))
    }
}
