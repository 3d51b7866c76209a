import Decoding
import Glibc
import Testing
import TraceModel

/// Laws that hold for every page, sound or not.
struct DecoderLawTests {
    /// Decodes a copy of `page` that ends where unreadable memory begins, and one that starts where it ends.
    private static func decodeBetweenWalls(_ page: some Collection<UInt8>, _ table: FormatTable) -> Decoded {
        let wall = Int(sysconf(Int32(_SC_PAGESIZE)))
        let inner = (page.count + wall - 1) / wall * wall
        guard let base = unsafe mmap(nil, inner + 2 * wall, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
            unsafe base != MAP_FAILED
        else { return Decoded() }
        defer { unsafe munmap(base, inner + 2 * wall) }
        unsafe mprotect(base + wall, inner, PROT_READ | PROT_WRITE)
        var results: [Decoded] = []
        for start in [wall + inner - page.count, wall] {
            let copy = unsafe UnsafeMutableRawBufferPointer(start: base + start, count: page.count)
            unsafe copy.copyBytes(from: page)
            var decoder = SubBufferDecoder(formats: table)
            var batch = EventBatch(cpu: 0)
            var anomalies = AnomalyCounts()
            unsafe decoder.decode(copy.bytes, cpu: 0, into: &batch, anomalies: &anomalies)
            _ = unsafe SubBufferDecoder.countEvents(
                in: copy.bytes, longSize: table.longSize, byteOrder: table.byteOrder)
            checkBatch(batch)
            results.append(Decoded(batch, anomalies))
        }
        #expect(results[0] == results[1], "the result depends on what lies around the page")
        return results[0]
    }

    /// What everyone behind the decoder relies on.
    private static func checkBatch(_ batch: EventBatch) {
        var end = 0
        var last: UInt64 = 0
        for header in batch.headers {
            #expect(Int(header.offset) == end, "records are packed")
            #expect(header.length >= 8)
            #expect(header.ticks.rawValue >= last)
            end = Int(header.offset) + Int(header.length)
            last = header.ticks.rawValue
        }
        #expect(end == batch.records.count)
        #expect(batch.losses.map(\.index) == batch.losses.map(\.index).sorted())
        #expect(batch.losses.allSatisfy { 0...batch.headers.count ~= $0.index })
    }

    /// A page with every kind of item.
    private static func richPage(_ order: ByteOrder, longSize: Int) -> [UInt8] {
        var writer = PageWriter(ticks: 1 << 58, order: order, longSize: longSize, size: 512)
        for round in 0..<3 {
            writer.record(delta: 1, writer.event(5, pid: 1))
            writer.timeExtend(1 << 30)
            writer.longRecord(delta: 4, writer.event(9, pid: 2, [UInt8](repeating: UInt8(round), count: 21)))
            writer.discarded(delta: 2, payloadBytes: 8)
            writer.absoluteStamp(1 << 58 | 1 << (35 + UInt64(round)))
            writer.record(delta: 2, writer.event(9, pid: 3, writer.bytes(UInt64(7))))
        }
        return writer.page(missed: .count(3))
    }

    private static let sources: [(ByteOrder, Int)] = [(.little, 8), (.big, 8), (.little, 4), (.big, 4)]

    @Test(arguments: sources)
    func `every prefix of a page decodes to a prefix of its events`(order: ByteOrder, longSize: Int) {
        let page = Self.richPage(order, longSize: longSize)
        let table = formats(order, longSize: longSize)
        let whole = Self.decodeBetweenWalls(page, table)
        #expect(whole.events.count == 9)
        for length in 0..<page.count {
            let part = Self.decodeBetweenWalls(page.prefix(length), table)
            #expect(part.events.elementsEqual(whole.events.prefix(part.events.count)))
        }
    }

    @Test(arguments: sources)
    func `no change of one byte makes the decoder trap, read outside or leave a wrong batch`(
        order: ByteOrder, longSize: Int
    ) {
        var random = SeededGenerator.announced()
        let page = Self.richPage(order, longSize: longSize)
        let table = formats(order, longSize: longSize)
        // Each byte with all bits turned, and with values at random.
        for index in page.indices {
            for value in [~page[index], 0, 0xff, UInt8.random(in: 0...255, using: &random)] {
                var changed = page
                changed[index] = value
                _ = Self.decodeBetweenWalls(changed, table)
            }
        }
    }

    @Test
    func `no page of noise makes the decoder trap, read outside or leave a wrong batch`() {
        var random = SeededGenerator.announced()
        for _ in 0..<3000 {
            var page = (0..<Int.random(in: 0...300, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
            // A commit that is right leads deeper.
            if page.count > 16, Bool.random(using: &random) {
                let size = UInt16(page.count - 16)
                page.replaceSubrange(8..<16, with: [UInt8(size & 0xff), UInt8(size >> 8), 0, 0, 0, 0, 0, 0])
            }
            let (order, longSize) = Self.sources[Int.random(in: 0..<4, using: &random)]
            _ = Self.decodeBetweenWalls(page, formats(order, longSize: longSize))
        }
    }

    @Test
    func `pages decoded into one batch are the pages decoded into one batch each`() {
        var random = SeededGenerator.announced()
        var ticks: UInt64 = 0
        let pages = (0..<50).map { _ in
            var writer = PageWriter(ticks: ticks, size: 1024)
            while writer.room >= 120, Int.random(in: 0..<40, using: &random) > 0 {
                let delta = UInt32.random(in: 0..<1000, using: &random)
                ticks += UInt64(delta)
                let extra = [UInt8](repeating: 1, count: 4 * Int.random(in: 2..<26, using: &random))
                writer.record(delta: delta, writer.event(Bool.random(using: &random) ? 5 : 9, pid: 1, extra))
            }
            return writer.page(missed: Bool.random(using: &random) ? .none : .count(UInt64(ticks)))
        }
        let together = decode(pages)
        var apart = Decoded()
        for page in pages {
            let one = decode([page])
            apart.losses += one.losses.map {
                LossMark(index: $0.index + apart.events.count, place: $0.place, count: $0.count)
            }
            apart.events += one.events
        }
        // Marks at one index are summed up; their sums must agree.
        #expect(together.events.elementsEqual(apart.events))
        #expect(together.losses.compactMap(\.count).reduce(0, +) == apart.losses.compactMap(\.count).reduce(0, +))
    }
}

/// SplitMix64: the same numbers for the same seed, on every machine.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    /// A new seed each time; `TANDEM_SEED` repeats a run.
    static func announced(_ test: String = #function) -> SeededGenerator {
        let given = unsafe getenv("TANDEM_SEED").flatMap { unsafe UInt64(String(cString: $0)) }
        let seed = given ?? UInt64.random(in: 0 ... .max)
        print("\(test): TANDEM_SEED=\(seed)")
        return SeededGenerator(seed: seed)
    }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
        return mixed ^ mixed >> 31
    }
}
