import RecordingSupport
import SessionLog
import Testing
import Timeline
import TraceDat
import TraceFiles
import TraceModel
import Wire

/// Files of `trace-cmd record -A` as a session, against the rules that every session keeps.
struct TraceDatInputTests {
    private static let guests = ["host-g1.dat", "host-g2.dat"]

    private func paths(_ guests: [String] = guests) -> SessionPaths {
        SessionPaths(
            path: Samples.path("host.dat"),
            guests: guests.map { SessionPaths.Guest(argument: Samples.path($0)) })
    }

    @Test
    func `a session is told by the rules of inputs`() throws {
        try check(paths())
    }

    @Test(
        .enabled(
            if: Samples.labFolder != nil,
            "needs TANDEM_LAB_DATA: a folder of folders with recordings of 'trace-cmd record -A'"))
    func `whole recordings of the lab are told by the rules of inputs`() throws {
        for folder in Set(try Samples.labFiles().map { $0.split(separator: "/").dropLast().joined(separator: "/") }) {
            let files = try Files.list("/\(folder)").filter { $0.hasPrefix("host-") && $0.hasSuffix(".dat") }
            try check(
                SessionPaths(
                    path: "/\(folder)/host.dat",
                    guests: files.map { SessionPaths.Guest(argument: "/\(folder)/\($0)") }))
        }
    }

    /// Order, watermarks, openings, closings, and not an event more or less than the files hold.
    private func check(_ paths: SessionPaths) throws {
        let input = try TraceDatInput(paths)
        guard case .record(.session) = try input.next() else {
            Issue.record("a session does not come first")
            return
        }
        guard case .record(.sourceOpened(.host, _, _, _)) = try input.next() else {
            Issue.record("the host is not opened first")
            return
        }
        var opened: Set<SourceID> = [.host]
        var closed: Set<SourceID> = []
        var events: [SourceID: Int] = [:]
        var watermarks: [SourceID: TraceTicks] = [:]
        var latest: [SourceID: [Int: TraceTicks]] = [:]
        var progress = 0.0
        while let next = try input.next() {
            switch next {
            case .record(.sourceOpened(let source, _, let formats, _)):
                #expect(!formats.isEmpty)
                #expect(opened.insert(source).inserted)
            case .record(.message(let source, .watermark(let ticks))):
                #expect(ticks > watermarks[source] ?? TraceTicks(0))
                watermarks[source] = ticks
            case .batch(let source, let batch):
                #expect(opened.contains(source) && !closed.contains(source))
                #expect(batch.headers.count <= Limits.batchEvents && batch.records.count <= Limits.batchRecordBytes)
                let first = try #require(batch.headers.first?.ticks)
                let last = try #require(batch.headers.last?.ticks)
                #expect(first >= watermarks[source] ?? TraceTicks(0))
                #expect(first >= latest[source]?[batch.cpu] ?? TraceTicks(0))
                latest[source, default: [:]][batch.cpu] = last
                events[source, default: 0] += batch.headers.count
            case .record(.sourceClosed(let source, _, _)): #expect(closed.insert(source).inserted)
            default: break
            }
            #expect(input.progress >= progress)
            progress = input.progress
        }
        #expect(opened == closed)
        #expect(progress > 0.9)
        for (index, path) in ([paths.path] + paths.guests.map(\.path)).enumerated() {
            var count = 0
            _ = try TraceDatSource(opening: path).readAll { count += $0.headers.count }
            #expect(events[SourceID(UInt32(index))] == count)
        }
    }

    @Test
    func `a guest is known by the host's file, with its threads and KVM's offset`() throws {
        let input = try TraceDatInput(paths())
        var machines: [VMFacts] = []
        var links: [SourceID: Int32] = [:]
        var clocks: [SourceID: [ClockFacts]] = [:]
        var names: [String] = []
        while let next = try input.next() {
            switch next {
            case .record(.machine(let facts)): machines.append(facts)
            case .record(.link(let source, let pid, _)): links[source] = pid
            case .record(.clock(let source, let facts)): clocks[source, default: []].append(facts)
            case .record(.sourceOpened(_, let facts, _, _)): names.append(facts.name)
            default: break
            }
        }
        // What the README beside the files says.
        #expect(names == ["l1", "g1", "g2"])
        #expect(machines.map(\.name) == ["g1", "g2"])
        #expect(machines.map { $0.vcpuThreads.map(\.tid) } == [[157], [185]])
        #expect(links == [SourceID(1): 157, SourceID(2): 185])
        let scale = TSCScale(multiplier: 827_183_298, shift: 31, zero: 0)
        #expect(clocks[.host] == [.scale(scale)])
        for (source, offset) in [(UInt32(1), Int64(-19_792_361_523)), (2, -31_932_327_596)] {
            #expect(
                clocks[SourceID(source)]
                    == [.kvm(KVMClock(scale: scale, vcpus: [KVMClock.VCPU(vcpu: 0, offset: offset)]))])
        }
    }

    @Test
    func `a file given in the place of its host's is refused`() throws {
        #expect(throws: TraceDatError.self) {
            _ = try TraceDatInput(
                SessionPaths(
                    path: Samples.path("host-g2.dat"),
                    guests: [SessionPaths.Guest(argument: Samples.path("host-g1.dat"))]))
        }
    }

    @Test
    func `an offset moves the guest that it is for`() throws {
        var moved = paths()
        moved.clockHints.offsets = [SessionPaths.ClockHints.Offset(name: "g2", nanoseconds: 1_000_000)]
        let (plain, later) = (try times(paths()), try times(moved))
        #expect(plain[1] == later[1])
        for (before, after) in zip(try #require(plain[2]), try #require(later[2])) {
            // A straight line takes the place of KVM's exact arithmetic.
            #expect(abs(after - before - 1_000_000) <= 2)
        }
        moved.clockHints.offsets = [SessionPaths.ClockHints.Offset(name: "nobody", nanoseconds: 1)]
        #expect(throws: TraceDatError.self) { _ = try TraceDatInput(moved) }
    }

    /// Host time of each guest's events, as the pipeline's clock map gives it.
    private func times(_ paths: SessionPaths) throws -> [UInt32: [Int64]] {
        let input = try TraceDatInput(paths)
        var maps: [SourceID: ClockMap] = [:]
        var times: [UInt32: [Int64]] = [:]
        while let next = try input.next() {
            switch next {
            case .record(.sourceOpened(let source, let facts, _, _)):
                maps[source] = ClockMap(clock: facts.prepared.clock, identity: facts.isHost)
            case .record(.clock(let source, let facts)): maps[source]?.learn(facts)
            case .batch(let source, let batch):
                let placed = maps[source]?.place(batch, from: source)
                guard let placed else { continue }
                times[source.rawValue, default: []] += placed.times.map(\.nanoseconds)
            default: break
            }
        }
        return times
    }
}
