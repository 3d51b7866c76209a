import Testing
import Timeline
import TraceModel

/// Laws of the merge on random sources: some bursty, some sparse, with equal times and loss marks.
struct MergerLawTests {
    struct Stream {
        var source: UInt32
        var cpu: Int
        var times: [Int64]
        /// A mark of count serial + 1 lies after these events.
        var lossAfter: Set<Int>
    }

    static func streams(_ random: inout Random) -> [Stream] {
        var streams: [Stream] = []
        for source in 0..<UInt32.random(in: 1...4, using: &random) {
            for cpu in 0..<Int.random(in: 1...5, using: &random) {
                var time: Int64 = 0
                var times: [Int64] = []
                let step = Int64.random(in: 1...400, using: &random)
                while time < 5_000 {
                    time += Int64.random(in: 0...step, using: &random) * (random.chance(0.5) ? 0 : 1)
                    times.append(time)
                    if times.count == 60 { break }
                }
                let lossAfter = Set(times.indices.filter { _ in random.chance(0.05) })
                streams.append(Stream(source: source, cpu: cpu, times: times, lossAfter: lossAfter))
            }
        }
        return streams
    }

    /// The definition of the order: all events, sorted.
    static func expected(_ streams: [Stream]) -> [Output] {
        var keyed: [(key: (Int64, UInt32, Int, Int), output: Output)] = []
        for stream in streams {
            for (serial, time) in stream.times.enumerated() {
                let event = Output(source: stream.source, cpu: stream.cpu, time: time, serial: serial)
                keyed.append(((time, stream.source, stream.cpu, serial), event))
            }
        }
        return keyed.sorted { $0.key < $1.key }.map(\.output)
    }

    /// What must come from one CPU: its events in order, each mark right after its event.
    static func serials(_ stream: Stream) -> [Int] {
        stream.times.indices.flatMap { stream.lossAfter.contains($0) ? [$0, -$0 - 1] : [$0] }
    }

    static func serials(_ output: [Output], of stream: Stream) -> [Int] {
        output.filter { $0.source == stream.source && $0.cpu == stream.cpu }.map(\.serial)
    }

    /// Takes `count` events from `next` on as one batch; a mark goes with the event before it or, like the kernel's, with
    /// the one after it, or comes alone.
    static func cut(_ stream: Stream, from next: Int, count: Int, _ random: inout Random) -> [PlacedBatch] {
        let end = min(stream.times.count, next + count)
        guard next < end else { return [] }
        var losses: [LossMark] = []
        var alone: [PlacedBatch] = []
        for serial in next..<end where stream.lossAfter.contains(serial) {
            let mark = loss(serial + 1 - next, UInt64(serial + 1))
            if serial == end - 1, random.chance(0.5) {
                let moved = loss(0, UInt64(serial + 1))
                alone.append(placed(source: stream.source, cpu: stream.cpu, times: [], losses: [moved]))
            } else {
                losses.append(mark)
            }
        }
        let events = placed(
            source: stream.source, cpu: stream.cpu, times: Array(stream.times[next..<end]), firstSerial: next,
            losses: losses)
        return [events] + alone
    }

    /// Feeds the streams in a random interleaving that keeps every promise, draining at random.
    static func feed(_ streams: [Stream], _ random: inout Random, maxLag: Int64 = 1 << 40) -> Harness {
        var harness = Harness(maxLag: maxLag)
        let sources = Set(streams.map(\.source)).sorted()
        for source in sources {
            harness.merger.addSource(SourceID(source), isReference: source == 0)
            harness.merger.watermark(SourceID(source), HostTime(nanoseconds: 0))
        }
        var next = [Int](repeating: 0, count: streams.count)
        while let index = streams.indices.filter({ next[$0] < streams[$0].times.count }).randomElement(using: &random) {
            let count = Int.random(in: 1...9, using: &random)
            for batch in cut(streams[index], from: next[index], count: count, &random) { harness.merger.push(batch) }
            next[index] = min(streams[index].times.count, next[index] + count)
            if random.chance(0.5) {
                let source = sources.randomElement(using: &random) ?? 0
                let open = streams.indices.filter { streams[$0].source == source && next[$0] < streams[$0].times.count }
                let promise = open.map { streams[$0].times[next[$0]] }.min() ?? 10_000
                harness.merger.watermark(SourceID(source), HostTime(nanoseconds: promise))
            }
            if random.chance(0.5) { harness.drain() }
        }
        for source in sources { harness.merger.endSource(SourceID(source)) }
        harness.drain()
        return harness
    }

    @Test(arguments: 0..<150 as Range<UInt64>)
    func `any split of pushes, watermarks and drains gives the sorted order`(seed: UInt64) {
        var random = Random(seed: seed)
        let streams = Self.streams(&random)
        let harness = Self.feed(streams, &random)
        let isSorted = harness.output.filter { $0.serial >= 0 } == Self.expected(streams)
        #expect(isSorted, "seed \(seed)")
        #expect(harness.merger.pendingEvents == 0)
        for stream in streams {
            #expect(Self.serials(harness.output, of: stream) == Self.serials(stream), "seed \(seed)")
            #expect(harness.merger.lateEvents(SourceID(stream.source)) == 0, "seed \(seed)")
        }
    }

    @Test(arguments: 0..<100 as Range<UInt64>)
    func `with late sources everything still comes once, in its CPU's order, and late is counted exactly`(seed: UInt64)
    {
        var random = Random(seed: seed)
        let streams = Self.streams(&random)
        let harness = Self.feed(streams, &random, maxLag: Int64.random(in: 0...800, using: &random))
        for stream in streams {
            #expect(Self.serials(harness.output, of: stream) == Self.serials(stream), "seed \(seed)")
        }
        #expect(harness.output.count == streams.reduce(0) { $0 + Self.serials($1).count })
        let late = Set(streams.map(\.source)).reduce(0) { $0 + harness.merger.lateEvents(SourceID($1)) }
        // An event that is not late is never followed by one that lies before it and is not late either.
        var highest = Int64.min
        var behind: UInt64 = 0
        for time in harness.times {
            if time < highest { behind += 1 }
            highest = max(highest, time)
        }
        #expect(behind <= late, "seed \(seed)")
    }

    @Test(arguments: 0..<30 as Range<UInt64>)
    func `late events are those that come for a time before the horizon`(seed: UInt64) {
        var random = Random(seed: seed)
        var harness = Harness(maxLag: 50)
        harness.merger.addSource(.host, isReference: true)
        harness.merger.addSource(SourceID(1))
        var expected: UInt64 = 0
        var hostTime: Int64 = 0
        var last: Int64 = 0
        for _ in 0..<100 {
            hostTime += Int64.random(in: 0...60, using: &random)
            let lag = Int64.random(in: 0...200, using: &random)
            let times = (0..<5).map { _ in Int64.random(in: 0...40, using: &random) + hostTime - lag }.sorted()
                .map { max($0, last) }
            last = times.last ?? last
            if let horizon = harness.horizons.last ?? nil { expected += UInt64(times.count { $0 < horizon }) }
            harness.merger.push(placed(source: 1, times: times))
            harness.merger.watermark(.host, HostTime(nanoseconds: hostTime))
            harness.drain()
            #expect(harness.merger.lateEvents(SourceID(1)) == expected, "seed \(seed)")
        }
        #expect(expected > 0)
    }

    @Test(arguments: 0..<50 as Range<UInt64>)
    func `the same input gives the same output`(seed: UInt64) {
        var first = Random(seed: seed)
        var second = Random(seed: seed)
        let streams = (Self.streams(&first), Self.streams(&second))
        let outputs = (Self.feed(streams.0, &first, maxLag: 300), Self.feed(streams.1, &second, maxLag: 300))
        let areEqual = outputs.0.output == outputs.1.output && outputs.0.horizons == outputs.1.horizons
        #expect(areEqual, "seed \(seed)")
    }

    @Test(arguments: [1, 2, 3, 16, 17, 33])
    func `any number of CPUs merges alike`(cpus: Int) {
        var harness = Harness()
        harness.merger.addSource(.host, isReference: true)
        for cpu in 0..<cpus {
            let times = (0..<20).map { Int64($0 * cpus + (cpu * 7) % cpus) }
            harness.merger.push(placed(source: 0, cpu: cpu, times: times))
        }
        harness.merger.watermark(.host, HostTime(nanoseconds: 1 << 30))
        harness.drain()
        #expect(harness.times.count == 20 * cpus)
        #expect(harness.times == harness.times.sorted())
    }
}
