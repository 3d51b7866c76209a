import Collector
import Foundation
import SessionLog
import Testing
import TraceModel

@Suite(.timeLimit(.minutes(10))) struct CheckpointLawTests {
    private func json(_ snapshot: Snapshot) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(snapshot), as: UTF8.self)
    }

    private static func inputs(_ seed: UInt64) throws -> [PipelineInput] {
        var plan = SyntheticSession.Plan(seed: seed, mishaps: seed % 3 == 0 ? 0 : 20)
        plan.secondGuestDies = seed % 2 == 0
        plan.secondGuestReturns = seed % 4 == 0
        plan.guestDelay = Int(seed % 5) * 8
        return try SyntheticSession(plan).inputs
    }

    private func pipeline(_ inputs: some Sequence<PipelineInput>) -> CollectorPipeline {
        var pipeline = CollectorPipeline()
        for input in inputs { apply(input, to: &pipeline) }
        return pipeline
    }

    private func apply(_ input: PipelineInput, to pipeline: inout CollectorPipeline) {
        pipeline.apply(input)
        _ = pipeline.takeUnidentifiedThreads()
    }

    private func openings(_ inputs: some Sequence<PipelineInput>) -> [LogRecord] {
        inputs.compactMap { if case .record(let record) = $0, case .sourceOpened = record { record } else { nil } }
    }

    @Test(arguments: 1...4 as ClosedRange<UInt64>)
    func `a pipeline out of a checkpoint goes on like the one that made it`(seed: UInt64) throws {
        let inputs = try Self.inputs(seed)
        let expected = try json(pipeline(inputs).snapshot())
        var random = SeededRandom(seed: seed)
        for _ in 0..<3 {
            let cut = Int(random.next() % UInt64(inputs.count))
            let before = pipeline(inputs[..<cut])
            var after = try CollectorPipeline(checkpoint: before.checkpoint(), openings: openings(inputs[..<cut]))
            #expect(try json(after.snapshot()) == json(before.snapshot()), "seed \(seed), cut \(cut)")
            for input in inputs[cut...] { apply(input, to: &after) }
            #expect(try json(after.snapshot()) == expected, "seed \(seed), cut \(cut)")
        }
    }

    /// The state at `time`, by all of the inputs.
    private func snapshot(at time: HostTime, _ pipeline: CollectorPipeline, _ inputs: some Sequence<PipelineInput>) -> (
        snapshot: Snapshot, rest: CollectorPipeline
    ) {
        var pipeline = pipeline
        pipeline.hold(at: time)
        var rest = Array(inputs)[...]
        while !pipeline.isHeld, let input = rest.popFirst() { apply(input, to: &pipeline) }
        let snapshot = pipeline.isHeld ? pipeline.snapshot(at: time) : pipeline.snapshot()
        pipeline.release()
        for input in rest { apply(input, to: &pipeline) }
        return (snapshot, pipeline)
    }

    @Test(arguments: 1...4 as ClosedRange<UInt64>)
    func `the state at an instant is the same from any checkpoint before it, and asking changes nothing`(
        seed: UInt64
    ) throws {
        let inputs = try Self.inputs(seed)
        let whole = pipeline(inputs)
        let window = whole.snapshot().window
        var random = SeededRandom(seed: seed)
        for _ in 0..<3 {
            let length = UInt64(window.endNanoseconds - window.startNanoseconds)
            let time = HostTime(nanoseconds: window.startNanoseconds + Int64(random.next() % length))
            let full = snapshot(at: time, CollectorPipeline(), inputs)
            #expect(full.snapshot.window.endNanoseconds == time.nanoseconds, "seed \(seed)")
            #expect(try json(full.rest.snapshot()) == json(whole.snapshot()), "seed \(seed), \(time)")
            var cut = Int(random.next() % UInt64(inputs.count))
            while pipeline(inputs[..<cut]).analyzedUntil > time { cut /= 2 }
            let checkpoint = try pipeline(inputs[..<cut]).checkpoint()
            let restored = try CollectorPipeline(checkpoint: checkpoint, openings: openings(inputs[..<cut]))
            let short = snapshot(at: time, restored, inputs[cut...])
            #expect(try json(short.snapshot) == json(full.snapshot), "seed \(seed), cut \(cut), \(time)")
        }
    }

    @Test func `a damaged checkpoint is refused or harmless, and stops nothing`() throws {
        let inputs = try Self.inputs(3)
        let bytes = try pipeline(inputs[..<(inputs.count / 2)]).checkpoint()
        let openings = openings(inputs)
        #expect(throws: (any Error).self) {
            try CollectorPipeline(checkpoint: Array(bytes.dropLast()), openings: openings)
        }
        #expect(throws: (any Error).self) { try CollectorPipeline(checkpoint: bytes, openings: []) }
        var random = SeededRandom(seed: 3)
        for _ in 0..<60 {
            var damaged = bytes
            damaged[Int(random.next() % UInt64(bytes.count))] ^= UInt8(truncatingIfNeeded: random.next() | 1)
            _ = try? CollectorPipeline(checkpoint: damaged, openings: openings)
        }
    }
}
