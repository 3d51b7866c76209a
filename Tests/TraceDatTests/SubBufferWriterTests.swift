import Decoding
import RecordingSupport
import Testing
import TraceDat
import TraceFiles
import TraceModel

/// Sub-buffers that are built from events give the same events again.
struct SubBufferWriterTests {
    /// A format without fields: any record of eight bytes and more is one of its events.
    private static func formats(_ order: ByteOrder, longSize: Int) -> FormatTable {
        FormatTable(
            byteOrder: order, longSize: longSize,
            formats: [EventFormat(kernelID: 77, system: "test", name: "event", fields: [], text: "")])
    }

    @Test(arguments: [ByteOrder.little, .big], [4, 8])
    func `random events and losses come back byte for byte`(order: ByteOrder, longSize: Int) throws {
        for seed in UInt64(1)...20 {
            var random = SeededRandom(seed: seed)
            let batches = (0..<5).map { _ in Self.batch(order, &random) }
            try check(batches, order, longSize: longSize, subBufferBytes: 4096, "seed \(seed)")
        }
    }

    /// Times that need extensions, repeat and jump; records of all lengths; losses of known and unknown size.
    private static func batch(_ order: ByteOrder, _ random: inout SeededRandom) -> EventBatch {
        var batch = EventBatch(cpu: 3)
        var ticks = UInt64(random.below(1 << 40))
        for index in 0..<random.below(400) {
            let jump = [0, 5, 1000, 1 << 27, 1 << 40, 1 << 58][
                random.below(100) < 90 ? random.below(3) : random.below(6)]
            ticks &+= UInt64(random.below(jump + 1))
            if random.below(20) == 0 {
                batch.losses.append(
                    LossMark(
                        index: index, place: .ringBuffer,
                        count: random.below(3) == 0 ? nil : UInt64(1 + random.below(1000))))
            }
            let length = random.below(10) == 0 ? 9 + random.below(1500) : 8 + 4 * random.below(27)
            var record = (0..<length).map { _ in UInt8(random.below(256)) }
            let pid = UInt32(random.below(100_000))
            func put(_ value: some FixedWidthInteger, at place: Int) {
                withUnsafeBytes(of: order == .little ? value.littleEndian : value.bigEndian) {
                    record.replaceSubrange(place..<place + $0.count, with: $0)
                }
            }
            put(UInt16(77), at: 0)
            put(pid, at: 4)
            batch.headers.append(
                EventHeader(
                    ticks: TraceTicks(ticks), offset: UInt32(batch.records.count), length: UInt32(length),
                    pid: Int32(pid), typeIndex: 0, flags: record[2], preemptCount: record[3]))
            batch.records += record
        }
        return batch
    }

    @Test(arguments: Samples.all)
    func `a real recording comes back byte for byte`(name: String) throws {
        let source = try TraceDatSource(opening: Samples.path(name))
        var batches: [EventBatch] = []
        _ = try source.readAll { batches.append($0) }
        for cpu in Set(batches.map(\.cpu)) {
            try check(
                batches.filter { $0.cpu == cpu }, source.file.byteOrder, longSize: source.file.longSize,
                subBufferBytes: source.file.subBufferBytes, "\(name), CPU \(cpu)", formats: source.file.formats)
        }
    }

    private func check(
        _ batches: [EventBatch], _ order: ByteOrder, longSize: Int, subBufferBytes: Int, _ label: String,
        formats: FormatTable? = nil
    ) throws {
        var writer = SubBufferWriter(subBufferBytes: subBufferBytes, longSize: longSize, byteOrder: order)
        var pages: [UInt8] = []
        var expected = EventBatch(cpu: batches.first?.cpu ?? 0)
        var last = TraceTicks(0)
        for var batch in batches {
            // Batches of one CPU ascend.
            let start = last
            batch.headers = batch.headers.map {
                var header = $0
                if formats == nil { header.ticks.rawValue &+= start.rawValue }
                return header
            }
            last = batch.headers.last?.ticks ?? last
            writer.append(batch, to: &pages)
            for loss in batch.losses {
                expected.losses.append(
                    LossMark(index: expected.headers.count + loss.index, place: loss.place, count: loss.count))
            }
            for header in batch.headers {
                var moved = header
                moved.offset &+= UInt32(expected.records.count)
                expected.headers.append(moved)
            }
            expected.records += batch.records
        }
        writer.finish(to: &pages)
        #expect(writer.refused == 0)
        #expect(pages.count % subBufferBytes == 0)
        var decoder = SubBufferDecoder(formats: formats ?? Self.formats(order, longSize: longSize))
        var anomalies = AnomalyCounts()
        var decoded = EventBatch(cpu: expected.cpu)
        for start in stride(from: 0, to: pages.count, by: subBufferBytes) {
            decoder.decode(
                pages.span.bytes.extracting(start..<start + subBufferBytes), cpu: expected.cpu, into: &decoded,
                anomalies: &anomalies)
        }
        #expect(anomalies.nonZero.isEmpty, "\(label): \(anomalies.nonZero)")
        #expect(decoded.headers == expected.headers, "\(label)")
        #expect(decoded.records == expected.records, "\(label)")
        // Marks of one place are summed up; where one of them has no number, the sum has none.
        #expect(decoded.losses == expected.losses.summed, "\(label)")
    }
}

extension [LossMark] {
    fileprivate var summed: [LossMark] {
        reduce(into: []) { result, mark in
            guard let last = result.last, last.index == mark.index else { return result.append(mark) }
            result[result.count - 1].count = last.count.flatMap { known in mark.count.map { known + $0 } }
        }
    }
}
