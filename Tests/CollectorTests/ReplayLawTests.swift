import Collector
import Decoding
import Foundation
import SessionLog
import Testing
import TraceModel
import Wire

@Suite(.timeLimit(.minutes(10))) struct ReplayLawTests {
    private func json(_ snapshot: Snapshot) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(snapshot), as: UTF8.self)
    }

    /// What a live session does with its inputs: they are written down and applied, and now and then threads are taken.
    private func live(_ inputs: [PipelineInput], into directory: String) throws -> CollectorPipeline {
        var pipeline = CollectorPipeline()
        var recorder = LogRecorder(writer: try LogWriter(creating: directory))
        for (number, input) in inputs.enumerated() {
            #expect(recorder.write(input) == nil)
            pipeline.apply(input)
            if number % 7 == 0 { _ = pipeline.takeUnidentifiedThreads() }
        }
        #expect(recorder.flush() == nil)
        return pipeline
    }

    private func replayed(_ directory: String) throws -> Replay {
        var replay = Replay(RecordedInput(try LogReader(opening: directory)))
        #expect(try !replay.advance(to: nil))
        #expect(replay.shortfall == nil)
        return replay
    }

    /// Same inputs, same snapshot; and the same again from the recording, byte for byte.
    private func check(
        _ plan: SyntheticSession.Plan, sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> Snapshot {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let inputs = try SyntheticSession(plan).inputs
        let first = try live(inputs, into: "\(folder)/a")
        let second = try live(inputs, into: "\(folder)/b")
        let expected = try json(first.snapshot())
        #expect(try json(second.snapshot()) == expected, "seed \(plan.seed)", sourceLocation: sourceLocation)
        let replay = try replayed("\(folder)/a")
        #expect(try json(replay.snapshot) == expected, "seed \(plan.seed)", sourceLocation: sourceLocation)
        #expect(replay.eventCount == first.eventCount, sourceLocation: sourceLocation)
        #expect(replay.horizon == first.horizon, sourceLocation: sourceLocation)
        #expect(
            try Data(contentsOf: URL(filePath: "\(folder)/a/stream"))
                == Data(contentsOf: URL(filePath: "\(folder)/b/stream")), sourceLocation: sourceLocation)
        return first.snapshot()
    }

    @Test(arguments: 1...6 as ClosedRange<UInt64>)
    func `a session without mishaps is replayed byte for byte, and nothing of it is lost`(seed: UInt64) throws {
        let snapshot = try check(SyntheticSession.Plan(seed: seed))
        #expect(snapshot.health.eventsLost == 0)
        #expect(snapshot.sources.map(\.state) == ["drained", "drained", "drained"])
        #expect(snapshot.guests.map(\.name) == ["web", "db"])
        #expect(snapshot.guests.map(\.source) == [1, 2])
        #expect(snapshot.sources[0].bytes == 0, "the host's events came over no wire")
        #expect(snapshot.sources[1].bytes > 0)
        let names = snapshot.health.anomalies.map(\.name)
        for label in ["batch_malformed", "clock_unmapped", "clock_violation", "field_missing"] {
            #expect(!names.contains(label), "\(label)")
        }
        for guest in snapshot.guests {
            #expect(guest.clock?.quality == "bounded" || guest.clock?.quality == "exact")
            #expect(guest.vcpus.count == 2)
            #expect(guest.tasks.contains { $0.times.total > 0 }, "no task of the guest was placed")
        }
    }

    @Test(arguments: 10...29 as ClosedRange<UInt64>)
    func `a session in which everything goes wrong is replayed byte for byte`(seed: UInt64) throws {
        var plan = SyntheticSession.Plan(seed: seed, mishaps: 30)
        plan.secondGuestDies = seed % 2 == 0
        plan.secondGuestReturns = seed % 4 == 0
        plan.guestDelay = Int(seed % 5) * 8
        _ = try check(plan)
    }

    @Test func `batches that come decoded, as from files of other programs, are recorded and replayed the same`() throws
    {
        var decoders: [SourceID: BatchDecoder] = [:]
        let inputs = try SyntheticSession(SyntheticSession.Plan(seed: 5)).inputs.map { input -> PipelineInput in
            switch input {
            case .record(.sourceOpened(let source, var facts, let formats, let names)):
                decoders[source] = BatchDecoder(
                    formats: FormatTable(
                        byteOrder: facts.prepared.byteOrder, longSize: facts.prepared.longSize,
                        formats: try formats.map { try EventFormatParser.parse($0.text, system: $0.system) }))
                facts.endpoint = ""
                return .record(.sourceOpened(source, facts, formats: formats, names: names))
            case .record(.message(let source, .batch(let body))):
                return .batch(source, try #require(try decoders[source]?.decode(body)))
            default: return input
            }
        }
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let pipeline = try live(inputs, into: folder)
        #expect(try json(try replayed(folder).snapshot) == json(pipeline.snapshot()))
        #expect(pipeline.snapshot().sources[1].events > 0)
        #expect(inputs.contains { if case .batch(let source, _) = $0 { source != .host } else { false } })
    }

    @Test func `a guest that goes away is told, and the others go on`() throws {
        let snapshot = try check(SyntheticSession.Plan(seed: 3, secondGuestDies: true))
        #expect(snapshot.sources.map(\.state) == ["drained", "drained", "gone"])
        #expect(snapshot.health.limits.contains { $0.hasPrefix("db is gone (the agent closed the connection)") })
        #expect(snapshot.window.endNanoseconds - snapshot.window.startNanoseconds > 50_000_000)
    }

    @Test(arguments: 1...4 as ClosedRange<UInt64>)
    func `an agent that comes back is read by its own formats and clock, and the machine's books are one`(
        seed: UInt64
    ) throws {
        var plan = SyntheticSession.Plan(seed: seed, rounds: 120, secondGuestDies: true, secondGuestReturns: true)
        plan.guestDelay = 0
        let snapshot = try check(plan)
        #expect(snapshot.sources.map(\.name) == ["host", "web", "db"])
        #expect(snapshot.sources.map(\.state) == ["drained", "drained", "drained"])
        #expect(snapshot.guests.map(\.name) == ["web", "db"])
        #expect(snapshot.guests.map(\.source) == [1, 2])
        // What both of its agents sent, counted without a pipeline.
        let told = try SyntheticSession(plan).inputs.reduce(into: [SourceID: UInt64]()) { told, input in
            guard case .record(.message(let source, .batch(let body))) = input else { return }
            told[source, default: 0] += try BatchHeads.eventCount(body)
        }
        let second = try #require(SourceID(2).successor)
        #expect(told[SourceID(2), default: 0] > 0)
        #expect(told[second, default: 0] > 0)
        #expect(snapshot.sources[2].events == told[SourceID(2), default: 0] + told[second, default: 0])
        #expect(snapshot.sources[2].lost.ofUnknownSize == 1)
        #expect(snapshot.sources[2].clock?.epoch == 1)
        #expect(snapshot.sources[2].clock?.quality == "bounded")
        let odd = snapshot.health.anomalies
        #expect(odd.contains { $0.name == "agent_returned" && $0.count == 1 })
        #expect(odd.allSatisfy { !["batch_malformed", "clock_unmapped", "clock_violation"].contains($0.name) })
        #expect(
            snapshot.health.limits.contains {
                $0.hasPrefix("db was without an agent for 0.") && $0.contains("(the agent closed the connection)")
            }, "\(snapshot.health.limits)")
        // Its tasks are known again, by the names that its own events gave.
        let tasks = try #require(snapshot.guests.last).tasks
        #expect(tasks.contains { $0.name.hasPrefix("task-") && $0.times.total > 0 }, "\(tasks)")
    }

    @Test func `a guest behind the lag limit is marked late and does not hold up the host`() throws {
        let snapshot = try check(SyntheticSession.Plan(seed: 4, rounds: 100, guestDelay: 60))
        #expect(snapshot.health.anomalies.contains { $0.name == "source_late" })
        #expect(snapshot.health.lagNanoseconds <= 20_000_000)
    }

    @Test func `a batch as large as they come is replayed as it was`() throws {
        let table = try KernelTexts.table(KernelTexts.host)
        var batch = EventBatch(cpu: 0)
        var random = SeededRandom(seed: 1)
        while batch.records.count + 64 <= Limits.batchRecordBytes {
            let number = batch.headers.count
            // Names that nothing predicts.
            let name = String(random.next(), radix: 36)
            if number % 500 == 0 { batch.losses.append(LossMark(index: number, place: .ringBuffer, count: 1)) }
            batch.append(
                "sched_switch", of: table, at: 6_000_000_000 + UInt64(number) * 10, pid: Int32(number % 3),
                ["prev_pid": Int64(number % 3), "next_pid": Int64((number + 1) % 3), "next_prio": Int64(number)],
                comms: ["prev_comm": name, "next_comm": String(name.reversed())])
        }
        var inputs = Array(try SyntheticSession(SyntheticSession.Plan(rounds: 0)).inputs.dropLast(3))
        inputs.append(.batch(.host, batch))
        inputs.append(.record(.message(.host, .watermark(TraceTicks(7_000_000_000)))))
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let pipeline = try live(inputs, into: folder)
        #expect(pipeline.eventCount == UInt64(batch.headers.count))
        #expect(try json(try replayed(folder).snapshot) == json(pipeline.snapshot()))
    }

    @Test func `a replay stops where it is told to, and goes on from there`() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let pipeline = try live(try SyntheticSession(SyntheticSession.Plan(seed: 8)).inputs, into: folder)
        var replay = Replay(RecordedInput(try LogReader(opening: folder)))
        let middle = HostTime(nanoseconds: (5_000_000_000 + pipeline.horizon.nanoseconds) / 2)
        #expect(try replay.advance(to: middle))
        #expect(replay.horizon >= middle)
        #expect(replay.horizon - middle < 3_000_000)
        #expect(try !replay.advance(to: nil))
        #expect(try json(replay.snapshot) == json(pipeline.snapshot()))
    }
}
