import CTF
import SessionLog
import Testing
import TraceModel

/// LTTng's live sessions, as far as they can be tried without its daemons.
struct LiveTests {
    @Test func `a relay daemon that is not there is one readable message, and nothing is told`() {
        // Port 1 is nobody's.
        let feed = LiveFeed(
            source: SourceID(1), name: "web", url: "net://127.0.0.1:1/host/here/session",
            tell: { _ in Issue.record("there is nothing to tell") }, notice: { _ in })
        #expect {
            _ = try feed.prepare()
        } throws: { error in
            let text = "\(error)"
            return text.contains(" failed: ") && !text.contains("\n") && !text.contains("-addr=")
        }
    }
}

extension LiveTests {
    private func noted(_ sync: LiveSync, _ path: String, as source: SourceID) throws {
        let reader = try #require(try open(Fixtures.path(path)).first)
        while let step = reader.next() { sync.note(step.batches, formats: reader.formats, of: source) }
    }

    /// The same offset and thread as of the traces on disk; see InputTests.
    @Test func `the first seconds of live sessions tell which thread runs a guest, and bound its clock`() throws {
        let sync = LiveSync()
        try noted(sync, "lttng-plain/host", as: .host)
        try noted(sync, "lttng-plain/g2", as: SourceID(1))
        func zero(_ path: String) throws -> Int64 {
            let reader = try #require(try open(Fixtures.path(path)).first)
            return try #require(reader.facts.clock.epochOffsetNanoseconds)
        }
        let offset = try zero("lttng-plain/g2") - zero("lttng-plain/host")
        let wallClock = GivenClock(
            knots: [
                .init(
                    ticks: TraceTicks(0), host: HostTime(nanoseconds: offset),
                    boundNanoseconds: 2_000_000_000)
            ], nanosecondsPerTick: 1, method: "wall clocks")
        let guest = LiveSync.Guest(id: SourceID(1), name: "web", wallClock: wallClock)
        let records = sync.settle([guest], hasHost: true)
        var probes = 0
        for record in records {
            switch record {
            case .link(_, _, let evidence): #expect(evidence.hasSuffix("of thread 187"))
            case .probe(_, let probe):
                probes += 1
                let truth: Int64 = 19_787_595_156
                #expect(Int64(probe.guestReceived.rawValue) + truth >= probe.hostSent.nanoseconds - 20_000)
                #expect(Int64(probe.guestSent.rawValue) + truth <= probe.hostReceived.nanoseconds + 20_000)
            case .clock: Issue.record("wall clocks are not needed")
            default: break
            }
        }
        #expect(probes > 20)
    }

    @Test func `live guests of which nothing is proved stay with the wall clocks`() {
        let wallClock = GivenClock(
            knots: [.init(ticks: TraceTicks(0), host: HostTime(nanoseconds: 5), boundNanoseconds: 2_000_000_000)],
            nanosecondsPerTick: 1, method: "wall clocks")
        let guest = LiveSync.Guest(id: SourceID(1), name: "web", wallClock: wallClock)
        #expect(LiveSync().settle([guest], hasHost: false) == [.clock(SourceID(1), .given(wallClock))])
    }
}
