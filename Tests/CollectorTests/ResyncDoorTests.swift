import Collector
import SessionLog
import Testing
import TraceModel

/// Maps made afterwards, from the inputs of a session to those of its second reading.
struct ResyncDoorTests {
    /// Inputs that are there already.
    private final class Inputs: SessionInput {
        private var rest: ArraySlice<PipelineInput>
        private let count: Int

        init(_ inputs: [PipelineInput]) {
            rest = inputs[...]
            count = inputs.count
        }

        func next() -> PipelineInput? { rest.popFirst() }
        var shortfall: String? { nil }
        var progress: Double { 1 - Double(rest.count) / Double(max(1, count)) }
    }

    @Test
    func `measured guests get a map of the whole time, which the second reading uses and says so`() throws {
        let session = try SyntheticSession(SyntheticSession.Plan(rounds: 40))
        let resync = try Resync(of: Inputs(session.inputs))
        #expect(resync.maps.keys.sorted() == [SourceID(1), SourceID(2)])
        #expect(resync.comparisons.count == 2)
        #expect(resync.comparisons.allSatisfy { $0.contains("live ±") && $0.contains("afterwards ±") })
        let again = ResyncedInput(Inputs(session.inputs), maps: resync.maps)
        var pipeline = CollectorPipeline()
        while let input = try again.next() { pipeline.apply(input) }
        let sources = pipeline.snapshot().sources
        #expect(sources.dropFirst().map { $0.clock?.estimators } == [["resync"], ["resync"]])
        var live = CollectorPipeline()
        for input in session.inputs { live.apply(input) }
        // The same events, all of them, only better placed.
        #expect(sources.map(\.events) == live.snapshot().sources.map(\.events))
    }

    @Test
    func `a session without measured guests has no map`() throws {
        let host = try SyntheticSession(SyntheticSession.Plan(rounds: 0)).inputs.prefix(2)
        let resync = try Resync(of: Inputs(Array(host)))
        #expect(resync.maps.isEmpty)
        #expect(resync.comparisons.isEmpty)
    }
}
