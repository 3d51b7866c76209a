import Testing
import Timeline
import TraceModel

struct MergerTests {
    static let host = SourceID.host
    static let guest = SourceID(1)

    /// A host and a guest, both at `time`.
    func pair(maxLag: Int64 = 1_000, maxEvents: Int = 1 << 20, at time: Int64 = 0) -> Harness {
        var harness = Harness(maxLag: maxLag, maxEvents: maxEvents)
        harness.merger.addSource(Self.host, isReference: true)
        harness.merger.addSource(Self.guest)
        harness.watermark(time, time)
        return harness
    }

    @Test
    func `an event goes out when every source has passed it, and not at the watermark itself`() {
        var harness = pair()
        harness.merger.push(placed(source: 0, times: [10, 20]))
        harness.merger.push(placed(source: 1, times: [15]))
        harness.watermark(30, 20)
        harness.drain()
        #expect(harness.times == [10, 15])
        #expect(harness.horizons == [20])
        harness.watermark(30, 30)
        harness.drain()
        #expect(harness.times == [10, 15, 20])
        #expect(harness.merger.pendingEvents == 0)
    }

    @Test
    func `equal times go by source, then CPU, then epoch, then position`() {
        var harness = pair()
        harness.merger.push(placed(source: 1, cpu: 0, times: [5], firstSerial: 9, epoch: 1))
        harness.merger.push(placed(source: 1, cpu: 1, times: [5, 5]))
        harness.merger.push(placed(source: 1, cpu: 0, times: [5]))
        harness.merger.push(placed(source: 0, cpu: 7, times: [5]))
        harness.watermark(9, 9)
        harness.drain()
        #expect(harness.output.map(\.source) == [0, 1, 1, 1, 1])
        #expect(harness.output.map(\.cpu) == [7, 0, 0, 1, 1])
        #expect(harness.output.map(\.serial) == [0, 0, 9, 0, 1])
    }

    @Test
    func `events of one batch that follow each other come as one run`() {
        var harness = pair()
        harness.merger.push(placed(source: 0, times: Array(0..<100)))
        harness.merger.push(placed(source: 1, times: Array(100..<200)))
        harness.watermark(500, 500)
        harness.drain()
        #expect(harness.runs == 2)
        #expect(harness.times == Array(0..<200))
    }

    @Test
    func `a silent guest holds the host back by no more than the maximum lag`() {
        var harness = pair(maxLag: 1_000)
        var counted = 0
        for time in stride(from: Int64(0), to: 5_000, by: 100) {
            harness.merger.push(placed(source: 0, times: [time]))
            harness.merger.watermark(Self.host, HostTime(nanoseconds: time + 1))
            harness.drain()
            counted += 1
            let released = harness.horizons.last.flatMap { $0 } ?? .min
            #expect(time + 1 - released <= 1_000)
        }
        #expect(harness.merger.isLate(Self.guest))
        #expect(harness.merger.timesLate(Self.guest) == 1)
        #expect(harness.times.count == counted)
    }

    @Test
    func `a late source is waited for again once it is within half of the lag`() {
        var harness = pair(maxLag: 1_000)
        harness.watermark(2_000, 100)
        harness.drain()
        #expect(harness.merger.isLate(Self.guest))
        harness.watermark(2_000, 1_400)
        harness.drain()
        #expect(harness.merger.isLate(Self.guest))
        harness.watermark(2_000, 1_500)
        harness.drain()
        #expect(!harness.merger.isLate(Self.guest))
        harness.watermark(2_400, 1_500)
        harness.merger.push(placed(source: 0, times: [2_200]))
        harness.merger.push(placed(source: 1, times: [2_100]))
        harness.drain()
        #expect(harness.times == [])
        harness.watermark(2_400, 2_400)
        harness.drain()
        #expect(harness.times == [2_100, 2_200])
    }

    @Test
    func `late events are counted exactly and go out at once, in order`() {
        var harness = pair(maxLag: 1_000)
        harness.watermark(5_000, 0)
        harness.drain()
        #expect(harness.horizons == [5_000])
        harness.merger.push(placed(source: 1, cpu: 0, times: [1_000, 3_000, 5_000, 6_000]))
        harness.merger.push(placed(source: 1, cpu: 1, times: [2_000, 4_999]))
        #expect(harness.merger.lateEvents(Self.guest) == 4)
        harness.drain()
        #expect(harness.times == [1_000, 2_000, 3_000, 4_999])
        #expect(harness.merger.pendingEvents == 2)
        #expect(harness.merger.lateEvents(Self.host) == 0)
    }

    @Test
    func `a source that has not spoken yet has the maximum lag of grace`() {
        var harness = pair(maxLag: 1_000, at: 1_000_000)
        harness.merger.addSource(SourceID(2))
        harness.watermark(1_000_500, 1_000_500)
        harness.drain()
        #expect(!harness.merger.isLate(SourceID(2)))
        harness.watermark(1_001_400, 1_001_400)
        harness.drain()
        #expect(harness.horizons == [nil, nil])
        harness.watermark(1_001_501, 1_001_501)
        harness.drain()
        #expect(harness.merger.isLate(SourceID(2)))
        #expect(harness.horizons.last == 1_001_501)
    }

    @Test
    func `a source that began before the reference's first watermark is not late by that`() {
        var harness = Harness()
        harness.merger.addSource(Self.host, isReference: true)
        harness.merger.addSource(Self.guest)
        harness.merger.push(placed(source: 0, times: [10, 30]))
        harness.merger.watermark(Self.host, HostTime(nanoseconds: 40))
        harness.drain()
        harness.merger.push(placed(source: 1, times: [20, 35]))
        harness.merger.watermark(Self.guest, HostTime(nanoseconds: 38))
        harness.drain()
        #expect(harness.times == [10, 20, 30, 35])
        #expect(harness.merger.lateEvents(Self.guest) == 0)
    }

    @Test
    func `nothing goes out before the reference has spoken`() {
        var harness = Harness()
        harness.merger.addSource(Self.host, isReference: true)
        harness.merger.addSource(Self.guest)
        harness.merger.push(placed(source: 1, times: [1, 2]))
        harness.merger.watermark(Self.guest, HostTime(nanoseconds: 50))
        harness.drain()
        #expect(harness.horizons == [nil])
        #expect(harness.output.isEmpty)
    }

    @Test
    func `an ended source holds nobody, and its last events come in their turn`() {
        var harness = pair()
        harness.merger.push(placed(source: 1, times: [40, 60]))
        harness.merger.endSource(Self.guest)
        harness.merger.push(placed(source: 0, times: [50]))
        harness.merger.watermark(Self.host, HostTime(nanoseconds: 55))
        harness.drain()
        #expect(harness.times == [40, 50])
        harness.merger.endSource(Self.host)
        harness.drain()
        #expect(harness.times == [40, 50, 60])
        #expect(harness.horizons == [55, 61])
    }

    @Test
    func `beyond the event limit the oldest go out without waiting`() {
        var harness = pair(maxEvents: 10)
        for start in stride(from: Int64(0), to: 100, by: 5) {
            harness.merger.push(placed(source: 1, times: Array(start..<start + 5), firstSerial: Int(start)))
            harness.drain()
            #expect(harness.merger.pendingEvents <= 10)
        }
        #expect(harness.times == Array(0..<90))
        #expect(harness.merger.eventsReleasedEarly == 90)
        // They set the horizon too: what comes for an earlier time is late.
        harness.merger.push(placed(source: 0, times: [20]))
        #expect(harness.merger.lateEvents(Self.host) == 1)
    }

    @Test
    func `loss marks come once, between the events where they lie`() {
        var harness = pair()
        harness.merger.push(
            placed(source: 1, times: [10, 20, 30], losses: [loss(0, 1), loss(2, 2), loss(3, 3), loss(3, 4)]))
        harness.merger.push(placed(source: 0, times: [15, 25]))
        harness.watermark(21, 21)
        harness.drain()
        #expect(harness.output.map(\.serial) == [-1, 0, 0, 1])
        harness.watermark(99, 99)
        harness.drain()
        #expect(harness.output.map(\.serial) == [-1, 0, 0, 1, 1, -2, 2, -3, -4])
    }

    @Test
    func `a batch of loss marks only comes at the time of the event before it`() {
        var harness = pair()
        harness.merger.push(placed(source: 1, times: [30]))
        harness.merger.push(placed(source: 1, times: [], losses: [loss(0, 9)]))
        harness.merger.push(placed(source: 0, times: [20, 31]))
        #expect(harness.merger.pendingEvents == 4)
        harness.watermark(30, 30)
        harness.drain()
        #expect(harness.output.map(\.serial) == [0])
        harness.watermark(40, 40)
        harness.drain()
        #expect(harness.output.map(\.serial) == [0, 0, -9, 1])
        harness.merger.push(placed(source: 1, times: [], losses: [loss(0, 8)]))
        harness.drain()
        #expect(harness.output.last?.serial == -8)
        #expect(harness.merger.pendingEvents == 0)
    }

    @Test
    func `a new epoch does not wait behind the wrong times of the old one`() {
        var harness = pair()
        harness.merger.push(placed(source: 1, times: [1_000_000], epoch: 0))
        harness.merger.push(placed(source: 1, times: [10, 20], firstSerial: 1, epoch: 1))
        harness.watermark(100, 100)
        harness.drain()
        #expect(harness.times == [10, 20])
        #expect(harness.merger.pendingEvents == 1)
        harness.watermark(2_000_000, 2_000_000)
        harness.drain()
        #expect(harness.times == [10, 20, 1_000_000])
    }

    @Test
    func `a source ends behind its last event, where that lies at its last promise`() {
        var harness = pair(at: 20)
        #expect(harness.merger.end(of: Self.guest)?.nanoseconds == 20)
        harness.merger.push(placed(source: 1, times: [15, 30]))
        #expect(harness.merger.end(of: Self.guest)?.nanoseconds == 31)
        harness.watermark(30, 30)
        #expect(harness.merger.end(of: Self.guest)?.nanoseconds == 31)
        harness.watermark(40, 40)
        #expect(harness.merger.end(of: Self.guest)?.nanoseconds == 40)
        // What lay far ahead was placed by a clock that proved wrong.
        harness.merger.push(placed(source: 1, times: [9_000], firstSerial: 2))
        harness.merger.push(placed(source: 1, times: [45], epoch: 1))
        #expect(harness.merger.end(of: Self.guest)?.nanoseconds == 46)
        #expect(harness.merger.end(of: SourceID(9)) == nil)
    }

    @Test
    func `without a reference the most advanced source leads`() {
        var harness = Harness(maxLag: 100)
        harness.merger.addSource(SourceID(1))
        harness.merger.addSource(SourceID(2))
        harness.merger.push(placed(source: 1, times: [50]))
        harness.merger.watermark(SourceID(1), HostTime(nanoseconds: 60))
        harness.merger.watermark(SourceID(2), HostTime(nanoseconds: 10))
        harness.drain()
        #expect(harness.times == [])
        harness.merger.watermark(SourceID(1), HostTime(nanoseconds: 111))
        harness.drain()
        #expect(harness.times == [50])
        #expect(harness.merger.isLate(SourceID(2)))
    }
}

extension Harness {
    /// The watermarks of the host and of guest 1.
    mutating func watermark(_ host: Int64, _ guest: Int64) {
        merger.watermark(.host, HostTime(nanoseconds: host))
        merger.watermark(SourceID(1), HostTime(nanoseconds: guest))
    }
}
