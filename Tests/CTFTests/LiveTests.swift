import CTF
import Collector
import SessionLog
import Testing
import Timeline
import TraceModel
import Wire

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

/// Which thread runs a guest, and what its clock is, while the traces of the fixture are followed as live sessions would be.
extension LiveTests {
    private static let guest = SourceID(1)
    /// Host time is guest time plus this; see InputTests.
    private static let truth: Int64 = 19_787_595_156

    private func reader(_ path: String) throws -> MachineReader { try #require(try open(Fixtures.path(path)).first) }

    private func noted(_ sync: LiveSync, _ path: String, as source: SourceID) throws {
        let reader = try reader(path)
        while let step = reader.next() { sync.note(step.batches, formats: reader.formats, of: source) }
    }

    private func guest(wallClockError: Int64 = 0) throws -> LiveSync.Guest {
        func zero(_ path: String) throws -> Int64 {
            try #require(try reader(path).facts.clock.epochOffsetNanoseconds)
        }
        let offset = try zero("lttng-plain/g2") - zero("lttng-plain/host") + wallClockError
        let wallClock = GivenClock(
            knots: [
                .init(
                    ticks: TraceTicks(0), host: HostTime(nanoseconds: offset),
                    boundNanoseconds: 2_000_000_000)
            ], nanosecondsPerTick: 1, method: "wall clocks")
        return LiveSync.Guest(id: Self.guest, name: "web", wallClock: wallClock)
    }

    private func checkProof(_ records: [LogRecord]) {
        var probes = 0
        var links = 0
        for record in records {
            switch record {
            case .link(_, _, let evidence):
                links += 1
                #expect(evidence.hasSuffix("of thread 187"))
            case .probe(_, let probe):
                probes += 1
                #expect(Int64(probe.guestReceived.rawValue) + Self.truth >= probe.hostSent.nanoseconds - 20_000)
                #expect(Int64(probe.guestSent.rawValue) + Self.truth <= probe.hostReceived.nanoseconds + 20_000)
            default: break
            }
        }
        #expect(links == 1)
        #expect(probes > 20)
    }

    private func isWallClock(_ record: LogRecord) -> Bool {
        if case .clock(_, .given(let clock)) = record { !clock.knots.isEmpty } else { false }
    }

    @Test func `the first seconds of live sessions tell which thread runs a guest, and bound its clock`() throws {
        let sync = LiveSync()
        try noted(sync, "lttng-plain/host", as: .host)
        try noted(sync, "lttng-plain/g2", as: Self.guest)
        let records = sync.settle([try guest()], hasHost: true)
        checkProof(records)
        #expect(!records.contains(where: isWallClock), "wall clocks are not needed")
    }

    /// A host that is traced here, and not by LTTng, knows its own processes.
    @Test func `a guest is linked to the machine that its thread belongs to`() throws {
        let machine = VMFacts(vmmPID: 180, vmm: "qemu", name: "vm-180", vcpuThreads: [.init(tid: 187, vcpu: nil)])
        let sync = LiveSync(machine: { $0 == 187 ? machine : nil })
        try noted(sync, "lttng-plain/host", as: .host)
        try noted(sync, "lttng-plain/g2", as: Self.guest)
        let records = sync.settle([try guest()], hasHost: true)
        checkProof(records)
        var known = machine
        known.vcpuThreads = [.init(tid: 187, vcpu: 0)]
        #expect(records.contains(.machine(known)))
        #expect(
            records.contains {
                if case .link(Self.guest, let pid, _) = $0 { pid == 180 } else { false }
            })
    }

    @Test func `live guests of which nothing is proved stay with the wall clocks`() throws {
        let guest = try guest()
        #expect(
            LiveSync().settle([guest], hasHost: false) == [.clock(Self.guest, .given(guest.wallClock))])
    }

    /// Farther off than is looked: no offset in reach is the true one, and none must be taken for it.
    @Test func `no offset is found where the true one is out of reach`() throws {
        for error in stride(from: 3_000_000_000 as Int64, through: 12_000_000_000, by: 250_000_000) {
            let sync = LiveSync()
            try noted(sync, "lttng-plain/host", as: .host)
            try noted(sync, "lttng-plain/g2", as: Self.guest)
            let guest = try guest(wallClockError: error)
            #expect(sync.settle([guest], hasHost: false) == [.clock(Self.guest, .given(guest.wallClock))], "\(error)")
        }
    }

    @Test func `a guest that is found late is placed from then on, by what was measured`() async throws {
        let sync = LiveSync(patienceMilliseconds: 50)
        try noted(sync, "lttng-plain/host", as: .host)
        let guest = try guest()
        let (found, tell) = AsyncStream.makeStream(of: [LogRecord].self)
        // Nothing of the guest has come when the session has to begin.
        let first = sync.settle([guest], hasHost: true) { id, records in
            #expect(id == Self.guest)
            tell.yield(records)
        }
        #expect(first == [.clock(Self.guest, .given(guest.wallClock))])
        try noted(sync, "lttng-plain/g2", as: Self.guest)
        var all = found.makeAsyncIterator()
        let records = try #require(await all.next())
        checkProof(records)

        var pipeline = CollectorPipeline()
        for (id, path) in [(SourceID.host, "lttng-plain/host"), (Self.guest, "lttng-plain/g2")] {
            let prepared = Prepared(
                token: 0, clock: .mono, byteOrder: .native, longSize: 8, subBufferBytes: 4096, bufferKiBPerCPU: 0,
                cpus: [0, 1], instance: "")
            let facts = SourceFacts(
                name: path, isHost: id == .host, endpoint: "", hostname: path, bootID: "", kernelRelease: "",
                prepared: prepared)
            pipeline.apply(.record(.sourceOpened(id, facts, formats: [], names: TaskNamesMessage(tasks: []))))
        }
        let last = Everything(try reader("lttng-plain/host")).watermarks.compactMap(\.self).max()
        // The guest's trace ends later than the host's: all of it is to be placed.
        var now = try #require(last).rawValue + 10_000_000_000
        func passTime() {
            now += 1
            pipeline.apply(.record(.message(.host, .watermark(TraceTicks(now)))))
        }
        passTime()
        func bound() throws -> Int64 {
            _ = pipeline.takePlacements()
            for batch in Everything(try reader("lttng-plain/g2")).batches { pipeline.apply(.batch(Self.guest, batch)) }
            // What comes is placed when the host has told all that it did until then.
            for _ in 0..<2 { passTime() }
            let placed = pipeline.takePlacements()
            #expect(!placed.isEmpty)
            for batch in placed {
                for (header, time) in zip(batch.batch.headers, batch.times) {
                    let error = abs(time.nanoseconds - Int64(header.ticks.rawValue) - Self.truth)
                    #expect(error <= batch.boundNanoseconds + 20_000)
                }
            }
            return placed.map(\.boundNanoseconds).max() ?? 0
        }
        for record in first { pipeline.apply(.record(record)) }
        #expect(try bound() >= 2_000_000_000)
        for record in records { pipeline.apply(.record(record)) }
        #expect(try bound() < 1_000_000)
    }

    /// The whole way: feeds that read beside each other, at the pace of the live timer, and the search between them.
    @Test func `sessions that are followed at the live timer's pace are placed before they begin`() throws {
        let sync = LiveSync()
        let begin = try #require(try firstTime("lttng-plain/g2"))
        var feeds: [LiveFeed] = []
        defer { for feed in feeds { feed.stop() } }
        let sessions = [
            (SourceID.host, "lttng-plain/host", begin + UInt64(Self.truth)), (Self.guest, "lttng-plain/g2", begin),
        ]
        for (id, path, start) in sessions {
            let feed = LiveFeed(
                source: id, name: path, url: "", tell: { _ in }, notice: { _ in }, sync: sync,
                connect: { FollowedTrace.follow(Fixtures.path(path), start: start, timer: 200_000_000) })
            feeds.append(feed)
            _ = try feed.prepare()
        }
        let records = sync.settle([try guest()], hasHost: true)
        checkProof(records)
        #expect(!records.contains(where: isWallClock))
    }

    private func firstTime(_ path: String) throws -> UInt64? {
        Everything(try reader(path)).batches.compactMap(\.headers.first?.ticks.rawValue).min()
    }
}
