import Testing
import TraceModel
import Wire

/// Defects of our own must stop the program with a sentence before they write or read a byte outside of a buffer.
struct EncoderRuleTests {
    private static func batch() -> (EventBatch, FormatTable) {
        let formats = KernelFormats.table()
        var batch = EventBatch(cpu: 0)
        for index in 0..<3 { batch.append(formats, type: 5, ticks: UInt64(index), pid: 0, body: [1, 0, 0, 0]) }
        return (batch, formats)
    }

    @Test
    func `a record outside of its batch stops the encoder`() async {
        await #expect(processExitsWith: .failure) {
            var (batch, formats) = EncoderRuleTests.batch()
            batch.headers[2].offset += 1
            var encoder = BatchEncoder(formats: formats)
            _ = encoder.encode(batch)
        }
        await #expect(processExitsWith: .failure) {
            var (batch, formats) = EncoderRuleTests.batch()
            batch.headers[0].length = 7
            var encoder = BatchEncoder(formats: formats)
            _ = encoder.encode(batch)
        }
    }

    @Test
    func `records that overlap beyond the limit stop the encoder`() async {
        await #expect(processExitsWith: .failure) {
            let formats = KernelFormats.table()
            var batch = EventBatch(cpu: 0)
            batch.append(formats, type: 8, ticks: 0, pid: 0, body: [UInt8](repeating: 1, count: 60_000))
            for _ in 0..<100 { batch.headers.append(batch.headers[0]) }
            var encoder = BatchEncoder(formats: formats)
            _ = encoder.encode(batch)
        }
    }

    @Test
    func `a type that was never described stops the encoder`() async {
        await #expect(processExitsWith: .failure) {
            var (batch, formats) = EncoderRuleTests.batch()
            batch.headers[1].typeIndex = UInt16(formats.formats.count)
            var encoder = BatchEncoder(formats: formats)
            _ = encoder.encode(batch)
        }
    }

    @Test
    func `time that steps back stops the encoder`() async {
        await #expect(processExitsWith: .failure) {
            var (batch, formats) = EncoderRuleTests.batch()
            batch.headers[1].ticks.rawValue = 5
            var encoder = BatchEncoder(formats: formats)
            _ = encoder.encode(batch)
        }
    }

    @Test
    func `a CPU, a count or a loss mark beyond its limit stops the encoder`() async {
        await #expect(processExitsWith: .failure) {
            var (batch, formats) = EncoderRuleTests.batch()
            batch.cpu = Limits.cpus
            var encoder = BatchEncoder(formats: formats)
            _ = encoder.encode(batch)
        }
        await #expect(processExitsWith: .failure) {
            var (batch, formats) = EncoderRuleTests.batch()
            batch.headers += [EventHeader](repeating: batch.headers[2], count: Limits.batchEvents)
            var encoder = BatchEncoder(formats: formats)
            _ = encoder.encode(batch)
        }
        await #expect(processExitsWith: .failure) {
            var (batch, formats) = EncoderRuleTests.batch()
            batch.losses = [LossMark(index: 4, place: .agent, count: nil)]
            var encoder = BatchEncoder(formats: formats)
            _ = encoder.encode(batch)
        }
    }

    @Test
    func `a message larger than a frame stops the program`() async {
        await #expect(processExitsWith: .failure) {
            _ = Frame(type: 9, body: [UInt8](repeating: 0, count: Limits.frameBytes + 1)).bytes
        }
    }
}
