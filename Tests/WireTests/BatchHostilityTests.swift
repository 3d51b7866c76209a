import Testing
import TraceModel
import Wire

/// Bodies that no encoder made. A release build counts: there the decoder's loads have no checks but its own.
struct BatchHostilityTests {
    /// Decodes, or throws with a place inside of the body; what is decoded keeps to the limits and to EventBatch's rules.
    private func check(
        _ body: [UInt8], _ decoder: inout BatchDecoder, types: Int, _ note: @autoclosure () -> Comment = "",
        sourceLocation: SourceLocation = #_sourceLocation
    ) -> Bool {
        let batch: EventBatch
        do throws(MessageError) {
            batch = try decoder.decode(body)
        } catch {
            #expect(error.byte <= body.count, note(), sourceLocation: sourceLocation)
            return false
        }
        var end: UInt32 = 0
        var ticks: UInt64 = 0
        var isWell =
            batch.cpu < Limits.cpus && batch.headers.count <= Limits.batchEvents
            && batch.losses.count <= Limits.batchLosses && batch.records.capacity <= Limits.batchRecordBytes + 4096
        for header in batch.headers {
            isWell =
                isWell && header.offset == end && header.length >= 8 && Int(header.typeIndex) < types
                && header.ticks.rawValue >= ticks
            end += header.length
            ticks = header.ticks.rawValue
        }
        var index = 0
        for loss in batch.losses {
            isWell = isWell && loss.index >= index && loss.index <= batch.headers.count
            index = loss.index
        }
        #expect(isWell && Int(end) == batch.records.count, note(), sourceLocation: sourceLocation)
        return true
    }

    @Test(arguments: 0..<8)
    func `every prefix of a batch is refused, and none stops the program`(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let formats = seed == 0 ? KernelFormats.table() : random.table(formats: 8, fields: 12)
        let batch = random.batch(formats, events: 60)
        var encoder = BatchEncoder(formats: formats)
        var decoder = BatchDecoder(formats: formats)
        let body = encoder.encode(batch)
        for count in 0..<body.count {
            #expect(!check(Array(body[..<count]), &decoder, types: formats.formats.count), "\(count) of \(body.count)")
        }
        #expect(check(body, &decoder, types: formats.formats.count))
        // As everywhere on the wire, what a later version appends is ignored.
        #expect(check(body + [0xff, 0xff], &decoder, types: formats.formats.count))
    }

    @Test(arguments: 0..<24)
    func `no mutation of a batch stops the program or breaks a rule of batches`(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let formats = seed % 4 == 0 ? KernelFormats.table() : random.table(formats: 1 + random.below(50), fields: 40)
        let batch = random.batch(formats, events: 1 + random.below(80))
        var encoder = BatchEncoder(formats: formats)
        var decoder = BatchDecoder(formats: formats)
        let original = encoder.encode(batch)
        for round in 0..<200 {
            var body = original
            for _ in 0..<1 + random.below(6) {
                let at = random.chance(30) ? random.below(min(12, body.count)) : random.below(body.count)
                switch random.below(5) {
                case 0: body[at] ^= 1 << UInt8(random.below(8))
                case 1: body[at] = random.pick([0, 0x7f, 0x80, 0xff, UInt8(random.below(256))])
                case 2: body.insert(contentsOf: random.bytes(1 + random.below(10)), at: at)
                case 3: if body.count > 20 { body.removeSubrange(at..<min(body.count, at + 1 + random.below(8))) }
                default: body.replaceSubrange(at..<min(body.count, at + 10), with: random.bytes(10))
                }
                if body.isEmpty { body = [0] }
            }
            _ = check(body, &decoder, types: formats.formats.count, "seed \(seed), round \(round)")
        }
    }

    @Test(arguments: 0..<16)
    func `random bytes are no batch`(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let formats = random.table(formats: 3, fields: 5)
        var decoder = BatchDecoder(formats: formats)
        for _ in 0..<500 {
            // Small numbers get further.
            let body = random.bytes(random.below(120)).map { random.chance(60) ? $0 & 7 : $0 }
            _ = check(body, &decoder, types: formats.formats.count)
        }
    }

    @Test(arguments: [
        (
            "more record bytes than the limit", "01 00 08 00  00 00 00 00",
            "its records do not have the size that it claims"
        ),
        (
            "a CPU beyond the limit", "00 00 00 00  80 40 00 00 00",
            "its CPU is beyond the limit"
        ),
        (
            "more events than bytes", "00 00 01 00  00 80 20 00 00",
            "it claims more events than fit"
        ),
        (
            "more events than the limit", "ff ff 07 00  00 81 80 01 00 00",
            "it claims more events than fit"
        ),
        (
            "more losses than bytes", "00 00 00 00  00 00 7f 00",
            "it claims more loss marks than fit"
        ),
        (
            "an integer beyond 64 bits", "00 00 00 00  00 00 00 ff ff ff ff ff ff ff ff ff 02",
            "an integer is longer than 64 bits"
        ),
        (
            "records that no event fills", "08 00 00 00  00 00 00 00",
            "its records do not have the size that it claims"
        ),
        (
            "records that the events do not fill", "10 00 00 00  00 01 00 00  04 05 00 06 00 00 0c 00",
            "its records do not have the size that it claims"
        ),
        (
            "a loss behind the last event", "00 00 00 00  00 00 01 00  01 00",
            "a loss mark is out of order, or of an unknown kind"
        ),
        (
            "a loss of an unknown kind", "00 00 00 00  00 00 01 00  00 03",
            "a loss mark is out of order, or of an unknown kind"
        ),
        (
            "losses out of order", "10 00 00 00  00 02 02 00  01 00  00 00  00 00 00 00",
            "a loss mark is out of order, or of an unknown kind"
        ),
        (
            "a type that was never described", "0c 00 00 00  00 01 00 00  04 7f 00 06 00 00 0c 00",
            "an event's type was never described"
        ),
        (
            "a kind that skips a number", "0c 00 00 00  00 01 00 00  0c 05 00 06 00 00 0c 00",
            "an event's type was never described"
        ),
        (
            "a new kind without its length", "0c 00 00 00  00 01 00 00  04 05 00 02 00 00 0c 00",
            "an event's type was never described"
        ),
        (
            "a record shorter than its common part", "08 00 00 00  00 01 00 00  04 05 00 06 00 00 07 00",
            "a record is shorter than its common part, or reaches past the last one"
        ),
        (
            "a record that reaches past the last", "08 00 00 00  00 01 00 00  04 05 00 06 00 00 0c 00",
            "a record is shorter than its common part, or reaches past the last one"
        ),
        (
            "a time beyond 64 bits", "0c 00 00 00  00 01 00 ff ff ff ff ff ff ff ff ff 01  04 05 01 06 00 00 0c 00",
            "an event's time lies beyond 64 bits"
        ),
        (
            "an event that is not there", "18 00 00 00  00 02 00 00  04 05 00 06 00 00 0c 00",
            "it ends early"
        ),
    ])
    func `a body is refused that claims`(what: String, hex: String, problem: String) {
        var decoder = BatchDecoder(formats: KernelFormats.table())
        do throws(MessageError) {
            let batch = try decoder.decode(bytes(hex: hex))
            Issue.record("it gave \(batch)")
        } catch {
            #expect(error.problem == problem)
        }
    }

    @Test
    func `the same body without that claim is taken`() throws {
        var decoder = BatchDecoder(formats: KernelFormats.table())
        let batch = try decoder.decode(bytes(hex: "0c 00 00 00  00 01 00 00  04 05 00 06 00 00 0c 00"))
        #expect(batch.headers.count == 1 && batch.records == [223, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    }

    @Test
    func `a string that is not there, or has another size, is refused`() throws {
        let formats = KernelFormats.table()
        var decoder = BatchDecoder(formats: formats)
        // sched_waking (type 1): comm, then three integers, whose codes are 0. Head 4 = kind 0, details: flags and length.
        func body(_ code: UInt8, _ rest: String) -> [UInt8] {
            bytes(hex: "24 00 00 00  00 01 00 00  04 01 00 06 00 00 24") + [code] + bytes(hex: rest)
        }
        #expect(try decoder.decode(body(3, "02 68 69")).records[8..<11] == [0x68, 0x69, 0])
        #expect(throws: MessageError.self) { try decoder.decode(body(0, "")) }
        #expect(throws: MessageError.self) { try decoder.decode(body(1, "01")) }
        #expect(throws: MessageError.self) { try decoder.decode(body(1, "00")) }
        #expect(throws: MessageError.self) { try decoder.decode(body(2, "01 00")) }
        #expect(throws: MessageError.self) { try decoder.decode(body(3, "11" + String(repeating: " 41", count: 17))) }
        #expect(throws: MessageError.self) { try decoder.decode(body(3, "02 68")) }
    }

    @Test
    func `after a refused body the next one is decoded as if nothing had been`() throws {
        var random = SeededRandom(seed: 99)
        let formats = random.table(formats: 5, fields: 7)
        let batch = random.batch(formats, events: 40)
        var encoder = BatchEncoder(formats: formats)
        var decoder = BatchDecoder(formats: formats)
        let body = encoder.encode(batch)
        for count in stride(from: 1, to: body.count, by: 7) {
            #expect(throws: MessageError.self) { try decoder.decode(Array(body[..<count])) }
            #expect(try decoder.decode(body) == batch.withoutPadding(formats: formats))
        }
    }
}
