import Collector
import EventText
import Foundation
import SessionLog
import Testing
import TraceModel

/// Recordings in segments, with an index, and as rings.
@Suite(.timeLimit(.minutes(10))) struct SegmentLawTests {
    private func json(_ snapshot: Snapshot) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(snapshot), as: UTF8.self)
    }

    private func withFolder(_ body: (String) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try body(folder)
    }

    /// What a live session does.
    private func record(
        _ inputs: [PipelineInput], into directory: String, _ retention: LogRetention = LogRetention(),
        isCompressed: Bool = false
    ) throws -> (pipeline: CollectorPipeline, recorder: LogRecorder) {
        var pipeline = CollectorPipeline()
        var recorder = LogRecorder(
            writer: try LogWriter(creating: directory, retention: retention, isCompressed: isCompressed),
            checkpointBytes: 20_000)
        for input in inputs {
            #expect(recorder.write(input) == nil)
            pipeline.apply(input)
            #expect(recorder.follow(pipeline) == nil)
            _ = pipeline.takeUnidentifiedThreads()
        }
        #expect(recorder.flush() == nil)
        return (pipeline, recorder)
    }

    private func open(_ directory: String) throws -> Replay {
        Replay(RecordedInput(try LogReader(opening: directory)))
    }

    private func whole(_ directory: String) throws -> Snapshot {
        var replay = try open(directory)
        #expect(try !replay.advance(to: nil))
        #expect(replay.shortfall == nil)
        return replay.snapshot
    }

    private static func inputs(_ seed: UInt64) throws -> [PipelineInput] {
        try SyntheticSession(SyntheticSession.Plan(seed: seed, rounds: 120, mishaps: seed % 2 == 0 ? 0 : 20)).inputs
    }

    @Test(arguments: 1...2 as ClosedRange<UInt64>)
    func `a session in segments is the session, and its index finds every instant`(seed: UInt64) throws {
        try withFolder { folder in
            let inputs = try Self.inputs(seed)
            var cut = LogRetention()
            cut.segmentBytes = 30_000
            let live = try record(inputs, into: "\(folder)/cut", cut).pipeline
            _ = try record(inputs, into: "\(folder)/one")
            _ = try record(inputs, into: "\(folder)/small", cut, isCompressed: true)
            #expect(LogFile.segments(in: "\(folder)/cut").count > 2)
            #expect(LogFile.segments(in: "\(folder)/one") == [1])
            let expected = try json(live.snapshot())
            #expect(try json(whole("\(folder)/one")) == expected, "seed \(seed)")
            #expect(try json(whole("\(folder)/cut")) == expected, "seed \(seed)")
            #expect(try json(whole("\(folder)/small")) == expected, "seed \(seed)")

            let window = live.snapshot().window
            var random = SeededRandom(seed: seed)
            var skipped = 0
            for _ in 0..<5 {
                let length = UInt64(window.endNanoseconds - window.startNanoseconds)
                let time = HostTime(nanoseconds: window.startNanoseconds + Int64(random.next() % length))
                var full = try open("\(folder)/one")
                let there = try json(full.snapshot(at: time))
                for name in ["cut", "one", "small"] {
                    var short = try open("\(folder)/\(name)")
                    try short.skip(to: time)
                    if short.facts != nil { skipped += 1 }
                    #expect(try json(short.snapshot(at: time)) == there, "seed \(seed), \(time)")
                    #expect(try !short.advance(to: nil))
                    #expect(try json(short.snapshot) == expected, "seed \(seed), from \(time)")
                }
            }
            #expect(skipped > 3, "the index was hardly used")
        }
    }

    @Test(arguments: [false, true])
    func `a recording without an index gets one by looking for instants, and it is as good`(isRing: Bool) throws {
        try withFolder { folder in
            var cut = LogRetention()
            cut.segmentBytes = 30_000
            if isRing { cut.keptBytes = 120_000 }
            _ = try record(try Self.inputs(1), into: "\(folder)/run", cut)
            for name in ["index", "checkpoints"] {
                try? FileManager.default.removeItem(atPath: "\(folder)/run/\(name)")
            }
            let window = try whole("\(folder)/run").window
            let first = LogFile.segments(in: "\(folder)/run")[0]
            #expect((first > 1) == isRing)
            func entries(_ first: Int) -> Int { LogIndexReader(in: "\(folder)/run", firstSegment: first).count }
            func snapshot(_ time: HostTime) throws -> String {
                var replay = Replay(
                    RecordedInput(try LogReader(opening: "\(folder)/run"), checkpointBytes: 20_000))
                return try json(replay.snapshot(at: SessionTime.clock(time)))
            }
            func full(_ time: HostTime) throws -> String {
                var replay = try open("\(folder)/run")
                return try json(replay.snapshot(at: time))
            }
            let length = window.endNanoseconds - window.startNanoseconds
            var counts: [Int] = []
            // Later and later, then back: each finds what the ones before it left, and makes the rest.
            for part in [2, 5, 9, 7, 1, 9] as [Int64] {
                let time = HostTime(nanoseconds: window.startNanoseconds + length * part / 10)
                #expect(try snapshot(time) == full(time), "at \(part) of 10")
                counts.append(entries(first))
            }
            #expect(counts == counts.sorted() && counts[0] < counts[2] && counts[2] >= 2 && counts[2] == counts[5])
            #expect(entries(first + 1) == 0, "of a beginning that this recording does not have")
        }
    }

    @Test(arguments: 1...4 as ClosedRange<UInt64>)
    func `the intervals of any window add up to what its ends differ by, with an index or without`(seed: UInt64) throws
    {
        try withFolder { folder in
            for (name, bytes) in [("indexed", 20_000 as UInt64), ("plain", .max)] {
                var recorder = LogRecorder(
                    writer: try LogWriter(creating: "\(folder)/\(name)"), checkpointBytes: bytes)
                var pipeline = CollectorPipeline()
                for input in try Self.inputs(seed) {
                    #expect(recorder.write(input) == nil)
                    pipeline.apply(input)
                    #expect(recorder.follow(pipeline) == nil)
                    _ = pipeline.takeUnidentifiedThreads()
                }
                #expect(recorder.flush() == nil)
            }
            let window = try whole("\(folder)/plain").window
            var random = SeededRandom(seed: seed)
            for _ in 0..<4 {
                let length = UInt64(window.endNanoseconds - window.startNanoseconds)
                let ends = [0, 0].map { _ in window.startNanoseconds + Int64(random.next() % length) }.sorted()
                var selection = IntervalListing.Selection()
                (selection.from, selection.to) = (
                    .clock(HostTime(nanoseconds: ends[0])), .clock(HostTime(nanoseconds: ends[1]))
                )
                var lists: [[StateInterval]] = []
                for name in ["indexed", "plain"] {
                    let listing = IntervalListing(
                        RecordedInput(try LogReader(opening: "\(folder)/\(name)")), selection)
                    var list: [StateInterval] = []
                    try listing.run { part in
                        list += part
                        return true
                    }
                    lists.append(list)
                }
                #expect(lists[0] == lists[1], "seed \(seed), \(ends)")
                #expect(lists[0].allSatisfy { $0.startNanoseconds >= ends[0] && $0.endNanoseconds <= ends[1] })
                let totals = try ends.map { end in
                    var replay = try open("\(folder)/plain")
                    return try replay.snapshot(at: HostTime(nanoseconds: end))
                }
                for guest in totals[1].guests {
                    for vcpu in guest.vcpus {
                        let before = totals[0].guests.first { $0.name == guest.name }?.vcpus.first {
                            $0.vcpu == vcpu.vcpu
                        }
                        // The thread of a vCPU that ended and came again has another row.
                        if let before, before.hostTID != vcpu.hostTID { continue }
                        let mine = lists[0].filter { $0.guest == guest.name && $0.hostTID == vcpu.hostTID }
                        var listed = StateTimes()
                        for interval in mine {
                            listed[interval.state.state] += interval.endNanoseconds - interval.startNanoseconds
                        }
                        let told = vcpu.times - (before?.times ?? StateTimes())
                        #expect(listed.total == told.total, "seed \(seed), \(ends), \(guest.name)/\(vcpu.vcpu ?? -1)")
                        // A loss that comes to light within the window may take back what was told at its beginning.
                        let isWhole = seed % 2 == 0
                        #expect(!isWhole || listed == told, "seed \(seed), \(ends), \(guest.name)/\(vcpu.vcpu ?? -1)")
                        #expect(zip(mine, mine.dropFirst()).allSatisfy { $0.endNanoseconds == $1.startNanoseconds })
                    }
                }
            }
        }
    }

    @Test(arguments: 1...4 as ClosedRange<UInt64>)
    func `a list of events from an instant on is the same with an index or without, and reads less`(seed: UInt64) throws
    {
        try withFolder { folder in
            let live = try record(try Self.inputs(seed), into: "\(folder)/indexed").pipeline
            try FileManager.default.copyItem(atPath: "\(folder)/indexed", toPath: "\(folder)/plain")
            for name in ["index", "checkpoints"] {
                try FileManager.default.removeItem(atPath: "\(folder)/plain/\(name)")
            }
            func list(_ name: String, from: Int64, first: Int? = nil) throws -> (text: [UInt8], bytesRead: UInt64) {
                var selection = EventListing.Selection()
                selection.from = .clock(HostTime(nanoseconds: from))
                selection.first = first
                let reader = try LogReader(opening: "\(folder)/\(name)")
                var text: [UInt8] = []
                try EventListing(RecordedInput(reader), selection, .init()).run { part in
                    text += part
                    return true
                }
                return (text, reader.bytesRead)
            }
            let window = live.snapshot().window
            let length = window.endNanoseconds - window.startNanoseconds
            // Also at the very instants of checkpoints, the last events of which must not be missing.
            let index = LogIndexReader(in: "\(folder)/indexed", firstSegment: 1)
            let ends = (1...9).compactMap {
                index.checkpoint(notAfter: HostTime(nanoseconds: window.startNanoseconds + length * $0 / 10))?.entry
                    .time
                    .nanoseconds
            }
            var random = SeededRandom(seed: seed)
            let others = (0..<5).map { _ in window.startNanoseconds + Int64(random.next() % UInt64(length)) }
            for from in ends + others {
                let (short, full) = (try list("indexed", from: from), try list("plain", from: from))
                #expect(short.text == full.text && !full.text.isEmpty, "seed \(seed), from \(from)")
            }
            let late = window.startNanoseconds + length * 8 / 10
            let read = (try list("indexed", from: late, first: 1), try list("plain", from: late, first: 1))
            #expect(read.0.bytesRead < read.1.bytesRead / 2, "seed \(seed)")
            #expect(LogIndexReader(in: "\(folder)/plain", firstSegment: 1).count == 0, "a list makes no index")
        }
    }

    @Test func `a reader makes no index where a recording is being made`() throws {
        try withFolder { folder in
            let (pipeline, recorder) = try record(try Self.inputs(2), into: "\(folder)/run")
            let before = LogIndexReader(in: "\(folder)/run", firstSegment: 1).count
            var replay = Replay(RecordedInput(try LogReader(opening: "\(folder)/run"), checkpointBytes: 1000))
            _ = try replay.snapshot(at: SessionTime.clock(pipeline.horizon))
            #expect(LogIndexReader(in: "\(folder)/run", firstSegment: 1).count == before)
            withExtendedLifetime(recorder) {}
        }
    }

    @Test func `an index that is damaged, cut or of another stream costs time and nothing else`() throws {
        try withFolder { folder in
            let live = try record(try Self.inputs(2), into: "\(folder)/run").pipeline
            let window = live.snapshot().window
            let time = HostTime(nanoseconds: window.endNanoseconds - 1000)
            var full = try open("\(folder)/run")
            let expected = try json(full.snapshot(at: time))
            for name in ["index", "checkpoints"] {
                let path = URL(filePath: "\(folder)/run/\(name)")
                let bytes = try Data(contentsOf: path)
                for damage in 0..<8 {
                    var damaged = bytes
                    if damage % 4 == 0 {
                        damaged.removeLast(min(damaged.count, damage * bytes.count / 8))
                    } else {
                        let place = damaged.count - 1 - damage * 7 % damaged.count
                        damaged[place] ^= UInt8(truncatingIfNeeded: 1 << (damage % 8))
                    }
                    try damaged.write(to: path)
                    var replay = try open("\(folder)/run")
                    try replay.skip(to: time)
                    #expect(try json(replay.snapshot(at: time)) == expected, "\(name), damage \(damage)")
                }
                try bytes.write(to: path)
            }
        }
    }

    @Test func `a ring keeps the last of a session, in the space that it was given, and says when it begins`() throws {
        try withFolder { folder in
            let inputs = try Self.inputs(1)
            var ring = LogRetention()
            ring.segmentBytes = 20_000
            ring.keptBytes = 60_000
            let live = try record(inputs, into: "\(folder)/ring", ring).pipeline
            let segments = LogFile.segments(in: "\(folder)/ring")
            #expect((segments.first ?? 0) > 1 && segments.count >= 2)
            let kept = try FileManager.default.contentsOfDirectory(atPath: "\(folder)/ring").reduce(0) {
                try $0 + Data(contentsOf: URL(filePath: "\(folder)/ring/\($1)")).count
            }
            #expect(kept <= 80_000, "\(kept)")
            let (part, all) = (try whole("\(folder)/ring"), live.snapshot())
            #expect(part.window.endNanoseconds == all.window.endNanoseconds)
            #expect(part.window.startNanoseconds > all.window.startNanoseconds)
            #expect(part.sources.map(\.name) == all.sources.map(\.name))
            #expect(part.guests.map(\.name) == all.guests.map(\.name))
            #expect(part.guests.allSatisfy { $0.clock?.quality != "absent" && $0.vcpus.count == 2 })
        }
    }

    @Test func `a ring keeps at least the time that it was given`() throws {
        try withFolder { folder in
            var ring = LogRetention()
            ring.keep(nanoseconds: 30_000_000)
            let live = try record(try Self.inputs(2), into: "\(folder)/ring", ring).pipeline
            let (part, all) = (try whole("\(folder)/ring").window, live.snapshot().window)
            #expect(all.endNanoseconds - all.startNanoseconds > 60_000_000)
            let kept = part.endNanoseconds - part.startNanoseconds
            #expect(kept >= 30_000_000 && kept < 45_000_000, "\(kept)")
        }
    }

    @Test func `what a ring holds can be saved while it goes on`() throws {
        try withFolder { folder in
            let inputs = try Self.inputs(2)
            var ring = LogRetention()
            ring.keep(nanoseconds: 30_000_000)
            var (pipeline, recorder) = try record(Array(inputs[..<(inputs.count / 2)]), into: "\(folder)/ring", ring)
            #expect(recorder.save(as: "\(folder)/saved", at: pipeline.horizon) == nil)
            let middle = pipeline.horizon
            for input in inputs[(inputs.count / 2)...] {
                #expect(recorder.write(input) == nil)
                pipeline.apply(input)
                #expect(recorder.follow(pipeline) == nil)
            }
            #expect(recorder.flush() == nil)
            #expect(recorder.save(as: "\(folder)/saved", at: middle)?.contains("File exists") == true)
            var saved = try open("\(folder)/saved")
            #expect(try !saved.advance(to: nil))
            #expect(saved.shortfall == nil)
            // The guests' clocks are known from the measurements that were kept, a little differently.
            #expect((saved.horizon - middle).magnitude < 100_000)
            #expect(try whole("\(folder)/ring").window.endNanoseconds == pipeline.snapshot().window.endNanoseconds)
        }
    }

    @Test func `a program that ended while it began a segment left a readable recording`() throws {
        try withFolder { folder in
            var cut = LogRetention()
            cut.segmentBytes = 30_000
            let live = try record(try Self.inputs(2), into: "\(folder)/run", cut).pipeline
            let last = try #require(LogFile.segments(in: "\(folder)/run").last)
            let path = URL(filePath: "\(folder)/run/stream.\(last)")
            let bytes = try Data(contentsOf: path)
            for count in [0, 5, 8, 20, 30, 1000] {
                try bytes[..<count].write(to: path)
                var replay = try open("\(folder)/run")
                #expect(try !replay.advance(to: nil))
                #expect(replay.shortfall != nil, "\(count)")
                #expect(replay.horizon < live.horizon && replay.eventCount > 0)
            }
        }
    }
}
