import Decoding
import Testing
import TraceModel

/// What the kernel lost, and what could not be read: each with its mark and its name.
struct LossTests {
    private func page(_ build: (inout PageWriter) -> Void) -> PageWriter {
        var writer = PageWriter(ticks: 100)
        build(&writer)
        return writer
    }

    private let first = Event(ticks: 101, pid: 1, type: 0, record: PageWriter(ticks: 0).event(5, pid: 1))

    private func add(_ writer: inout PageWriter) { writer.record(delta: 1, first.record) }

    @Test
    func `a loss with its number stands before the page's first event`() {
        let lossy = page { add(&$0) }.page(missed: .count(1234))
        check([lossy], events: [first], losses: [LossMark(index: 0, place: .ringBuffer, count: 1234)])
        let counts = SubBufferDecoder.countEvents(in: lossy.span.bytes, longSize: 8, byteOrder: .little)
        #expect(counts == (events: 1, lost: 1234, hasLoss: true))
    }

    @Test
    func `a loss without a number is a loss`() {
        let lossy = page { add(&$0) }.page(missed: .some)
        check([lossy], events: [first], losses: [LossMark(index: 0, place: .ringBuffer, count: nil)])
        let counts = SubBufferDecoder.countEvents(in: lossy.span.bytes, longSize: 8, byteOrder: .little)
        #expect(counts == (events: 1, lost: nil, hasLoss: true))
    }

    @Test
    func `a number that does not fit behind the data is not read`() {
        var writer = PageWriter(ticks: 100, size: 32)
        add(&writer)
        let lossy = [UInt8](writer.page(missed: .count(9)).prefix(32))
        check([lossy], events: [first], losses: [LossMark(index: 0, place: .ringBuffer, count: nil)])
    }

    @Test
    func `a loss in a later page stands between the events around it`() {
        let pages = [page { add(&$0) }.page(), page { add(&$0) }.page(missed: .count(2))]
        check(pages, events: [first, first], losses: [LossMark(index: 1, place: .ringBuffer, count: 2)])
    }

    /// The events before the fault are kept, the rest of the page is marked, and the next page is decoded.
    private func checkFault(
        _ anomaly: Anomaly, _ build: (inout PageWriter) -> Void, commit: ((PageWriter) -> Int)? = nil,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let writer = page {
            add(&$0)
            build(&$0)
        }
        let bad = [UInt8](writer.page(commit: commit?(writer)).prefix(16 + max(writer.data.count, 0)))
        check(
            [bad, page { add(&$0) }.page()], events: [first, first],
            losses: [LossMark(index: 1, place: .malformed, count: nil)], anomalies: [anomaly: 1],
            sourceLocation: sourceLocation)
        let counts = SubBufferDecoder.countEvents(in: bad.span.bytes, longSize: 8, byteOrder: .little)
        #expect(counts == (events: 1, lost: nil, hasLoss: true), sourceLocation: sourceLocation)
    }

    @Test
    func `a record that reaches past the data ends the page`() {
        checkFault(.recordPastEnd) { $0.item(3, 1) }
        checkFault(.recordPastEnd) {
            $0.item(0, 1)
            $0.word(100)
        }
        checkFault(.recordPastEnd) {
            $0.item(0, 1)
            $0.word(.max)
        }
    }

    @Test
    func `an item without its second word ends the page`() {
        for type: UInt32 in [0, 29, 30, 31] { checkFault(.recordPastEnd) { $0.item(type, 1) } }
    }

    @Test
    func `padding that reaches past the data ends the page`() {
        checkFault(.recordPastEnd) {
            $0.item(29, 1)
            $0.word(5)
        }
        checkFault(.recordPastEnd) {
            $0.item(29, 1)
            $0.word(.max)
        }
    }

    @Test
    func `half an item ends the page`() {
        checkFault(.recordPastEnd, { $0.word(0) }, commit: { $0.data.count - 2 })
    }

    @Test
    func `a record of length zero ends the page`() {
        for length: UInt32 in [0, 3, 4] {
            checkFault(.recordEmpty) {
                $0.item(0, 1)
                $0.word(length)
            }
        }
    }

    @Test
    func `a commit past the end is one fault, and what is there is decoded`() {
        checkFault(.subBufferCommitPastEnd, { _ in }, commit: { $0.data.count + 1 })
        checkFault(.subBufferCommitPastEnd, { $0.item(3, 1) }, commit: { $0.data.count + 12 })
        checkFault(.subBufferCommitPastEnd, { _ in }, commit: { _ in (1 << 27) - 1 })
    }

    @Test(arguments: 0..<16)
    func `a page shorter than its header is lost, and said to be`(length: Int) {
        let short = [UInt8](page { add(&$0) }.page().prefix(length))
        check(
            [short], events: [], losses: [LossMark(index: 0, place: .malformed, count: nil)],
            anomalies: [.subBufferTooShort: 1])
    }

    @Test
    func `a record shorter than its format is dropped and marked, and the rest goes on`() {
        let writer = page {
            add(&$0)
            $0.record(delta: 1, $0.event(9, pid: 2, [1, 2, 3, 4]))
            $0.record(delta: 1, [9, 0, 0, 0])
            add(&$0)
            $0.longRecord(delta: 1, [5])
        }
        check(
            [writer.page()], events: [first, Event(ticks: 104, pid: 1, type: 0, record: first.record)],
            losses: [
                LossMark(index: 1, place: .malformed, count: 2), LossMark(index: 2, place: .malformed, count: 1),
            ], anomalies: [.recordShorterThanFormat: 3])
    }

    @Test(arguments: [UInt16(0), 4, 6, 10, 65_535])
    func `an event of an unknown type is skipped and counted`(id: UInt16) {
        let writer = page {
            $0.record(delta: 1, $0.event(id, pid: 2))
            add(&$0)
        }
        check(
            [writer.page()], events: [Event(ticks: 102, pid: 1, type: 0, record: first.record)],
            anomalies: [.unknownEventType: 1])
    }

    @Test
    func `a page that starts before the end of the one before is moved up, on its CPU only`() {
        var decoder = SubBufferDecoder(formats: formats())
        var anomalies = AnomalyCounts()
        let pages = [PageWriter(ticks: 500), PageWriter(ticks: 200)].map { writer in
            var writer = writer
            writer.record(delta: 1, first.record)
            writer.record(delta: 400, first.record)
            return writer.page()
        }
        func times(_ page: [UInt8], cpu: Int) -> [UInt64] {
            var batch = EventBatch(cpu: cpu)
            decoder.decode(page.span.bytes, cpu: cpu, into: &batch, anomalies: &anomalies)
            return batch.headers.map(\.ticks.rawValue)
        }
        #expect(times(pages[0], cpu: 0) == [501, 901])
        #expect(times(pages[1], cpu: 1) == [201, 601])
        #expect(times(pages[1], cpu: 0) == [901, 901])
        #expect(anomalies[.timeWentBack] == 2)
        for cpu in [-1, Limits.cpus, Int.max] { #expect(times(pages[1], cpu: cpu) == [201, 601]) }
    }
}
