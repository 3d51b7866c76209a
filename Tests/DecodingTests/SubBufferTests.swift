import Decoding
import Testing
import TraceModel

/// Every item that a sub-buffer can hold, in pages written for it.
struct SubBufferTests {
    @Test
    func `a page as the kernel writes it, byte by byte`() {
        let page = hex(
            """
            page time 0x1000          : 00 10 00 00 00 00 00 00
            commit 32                 : 20 00 00 00 00 00 00 00
            delta 1, type_len 2       : 22 00 00 00
            type 5, flags 1, preempt 2: 05 00 01 02
            pid 100                   : 64 00 00 00
            delta 0x10, type_len 4    : 04 02 00 00
            type 9                    : 09 00 00 00
            pid -1                    : ff ff ff ff
            value                     : 01 02 03 04 05 06 07 08
            """)
        check(
            [page],
            events: [
                Event(ticks: 0x1001, pid: 100, type: 0, record: [5, 0, 1, 2, 100, 0, 0, 0]),
                Event(
                    ticks: 0x1011, pid: -1, type: 1,
                    record: [9, 0, 0, 0, 255, 255, 255, 255, 1, 2, 3, 4, 5, 6, 7, 8]),
            ])
        var batch = EventBatch(cpu: 3)
        var anomalies = AnomalyCounts()
        var decoder = SubBufferDecoder(formats: formats())
        decoder.decode(page.span.bytes, cpu: 3, into: &batch, anomalies: &anomalies)
        #expect(batch.headers.first?.flags == 1)
        #expect(batch.headers.first?.preemptCount == 2)

        var writer = PageWriter(ticks: 0x1000, size: page.count)
        writer.record(delta: 1, writer.event(5, pid: 100, flags: 1, preempt: 2))
        writer.record(delta: 0x10, writer.event(9, pid: -1, [1, 2, 3, 4, 5, 6, 7, 8]))
        #expect(writer.page() == page, "the writer of all other pages writes the same")
    }

    @Test(arguments: [ByteOrder.little, .big], [4, 8])
    func `all sources are read alike, whatever their byte order and word size`(order: ByteOrder, longSize: Int) {
        var writer = PageWriter(ticks: 0x1234_5678_9abc_def0, order: order, longSize: longSize, size: 256)
        let small = writer.event(5, pid: 0x0102_0304, flags: 7, preempt: 9)
        let large = writer.event(9, pid: -2, writer.bytes(UInt64(77)))
        writer.record(delta: 3, small)
        writer.timeExtend(1 << 40 | 5)
        writer.longRecord(delta: 4, large)
        writer.discarded(delta: 2, payloadBytes: 12)
        let start: UInt64 = 0x1234_5678_9abc_def0
        check(
            [writer.page(missed: .count(70_000))], formats(order, longSize: longSize),
            events: [
                Event(ticks: start + 3, pid: 0x0102_0304, type: 0, record: small),
                Event(ticks: start + 12 + (1 << 40), pid: -2, type: 1, record: large),
            ], losses: [LossMark(index: 0, place: .ringBuffer, count: 70_000)])
    }

    @Test
    func `a time extend moves the record after it`() {
        var writer = PageWriter(ticks: 100)
        let event = writer.event(5, pid: 1)
        writer.timeExtend(0x1_2345_6789_abcd)
        writer.record(delta: 1, event)
        check([writer.page()], events: [Event(ticks: 100 + 0x1_2345_6789_abcd + 1, pid: 1, type: 0, record: event)])
    }

    @Test(arguments: [
        // (time before, stamp as the clock read it)
        (UInt64(1000), UInt64(5000)),
        (0xf812_3456_789a_bcde, 0xf812_3456_789a_bcdf),
        // The low 59 bits wrap: the five above them count on.
        (0x0fff_ffff_ffff_fff0, 0x1000_0000_0000_0010),
        (0x07ff_ffff_ffff_fff0, 0x0800_0000_0000_0010),
    ])
    func `an absolute stamp sets the time, with the top bits of the time before`(before: UInt64, stamp: UInt64) {
        var writer = PageWriter(ticks: before)
        let event = writer.event(5, pid: 1)
        writer.absoluteStamp(stamp)
        writer.record(delta: 2, event)
        check([writer.page()], events: [Event(ticks: stamp + 2, pid: 1, type: 0, record: event)])
    }

    @Test
    func `an absolute stamp that steps back is a step back, not eighteen years ahead`() {
        var writer = PageWriter(ticks: 0x1800_0000_0000_1000)
        let event = writer.event(5, pid: 1)
        writer.record(delta: 0, event)
        writer.absoluteStamp(0x1800_0000_0000_0800)
        writer.record(delta: 1, event)
        // And over the border of the 59 bits.
        writer.absoluteStamp(0x17ff_ffff_ffff_fff0)
        writer.record(delta: 0, event)
        writer.absoluteStamp(0x1800_0000_0000_2000)
        writer.record(delta: 0, event)
        let raised = Event(ticks: 0x1800_0000_0000_1000, pid: 1, type: 0, record: event)
        check(
            [writer.page()],
            events: [raised, raised, raised, Event(ticks: 0x1800_0000_0000_2000, pid: 1, type: 0, record: event)],
            anomalies: [.timeWentBack: 2])
    }

    @Test
    func `padding without a delta ends the page`() {
        var writer = PageWriter(ticks: 100)
        let event = writer.event(5, pid: 1)
        writer.record(delta: 1, event)
        writer.voidRest()
        writer.word(0xffff_ffff)
        check([writer.page()], events: [Event(ticks: 101, pid: 1, type: 0, record: event)])
    }

    @Test
    func `padding up to the end of a full page is no event`() {
        var writer = PageWriter(ticks: 100)
        let event = writer.event(5, pid: 1)
        writer.record(delta: 1, event)
        writer.discarded(delta: 1, payloadBytes: writer.room - 4)
        #expect(writer.room == 0)
        check([writer.page()], events: [Event(ticks: 101, pid: 1, type: 0, record: event)])
    }

    @Test
    func `a discarded event is skipped and its time is kept`() {
        var writer = PageWriter(ticks: 100)
        let event = writer.event(5, pid: 1)
        writer.discarded(delta: 10, payloadBytes: 24)
        writer.record(delta: 1, event)
        check([writer.page()], events: [Event(ticks: 111, pid: 1, type: 0, record: event)])
    }

    @Test
    func `a long record keeps its exact length`() {
        var writer = PageWriter(ticks: 100)
        let long = writer.event(9, pid: 1, (0..<201).map { UInt8($0) })
        let event = writer.event(5, pid: 2)
        writer.longRecord(delta: 1, long)
        writer.record(delta: 1, event)
        check(
            [writer.page()],
            events: [
                Event(ticks: 101, pid: 1, type: 1, record: long), Event(ticks: 102, pid: 2, type: 0, record: event),
            ])
    }

    @Test
    func `records of every length are copied whole`() {
        var writer = PageWriter(ticks: 0, size: 65_536)
        var expected: [Event] = []
        for length in stride(from: 8, through: 112, by: 4) {
            let record = writer.event(9, pid: 1, (8..<length).map { UInt8($0) })
            // Records below 16 bytes are too short for event 9.
            writer.record(delta: 1, length < 16 ? writer.event(5, pid: 1, [UInt8](record[8...])) : record)
            expected.append(
                Event(
                    ticks: UInt64(expected.count + 1), pid: 1, type: length < 16 ? 0 : 1,
                    record: length < 16 ? writer.event(5, pid: 1, [UInt8](record[8...])) : record))
        }
        for length in 113...300 {
            let record = writer.event(9, pid: 1, (8..<length).map { UInt8(truncatingIfNeeded: $0) })
            writer.longRecord(delta: 1, record)
            expected.append(Event(ticks: UInt64(expected.count + 1), pid: 1, type: 1, record: record))
        }
        check([writer.page()], events: expected)
    }

    @Test(arguments: [4096, 16_384, 65_536])
    func `sub-buffers of every size are decoded to their last byte`(size: Int) {
        var writer = PageWriter(ticks: 0, size: size)
        var expected: [Event] = []
        while writer.room >= 12 {
            let event = writer.event(5, pid: Int32(expected.count))
            writer.record(delta: 1, event)
            expected.append(
                Event(ticks: UInt64(expected.count + 1), pid: Int32(expected.count), type: 0, record: event))
        }
        if writer.room >= 8 { writer.discarded(delta: 1, payloadBytes: writer.room - 4) }
        check([writer.page()], events: expected)
    }

    @Test
    func `an empty page holds nothing and is not wrong`() {
        check([PageWriter(ticks: 5).page()], events: [])
    }
}
