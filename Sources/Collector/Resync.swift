package import SessionLog
import Timeline
package import TraceModel

/// Better maps of the guests' clocks, made when everything is known: `tandem report --resync`.
///
/// ```
/// let resync = try Resync(of: first)                              // the whole session, once
/// let replay = Replay(ResyncedInput(again, maps: resync.maps))    // and again, converted by them
/// ```
/// Guests whose clocks are exact, or came with a map, keep it.
package struct Resync {
    package let maps: [SourceID: GivenClock]
    /// For people, one sentence for each guest that has a new map: what the live map knew at its end, and what is known now.
    package private(set) var comparisons: [String] = []

    package init(of input: any SessionInput) throws {
        var pipeline = CollectorPipeline()
        pipeline.keepsClockJournals = true
        while let next = try input.next() {
            pipeline.apply(next)
            _ = pipeline.takeUnidentifiedThreads()
        }
        maps = pipeline.resyncedClocks
        for source in pipeline.sources {
            guard let map = maps[source.id] else { continue }
            let bounds = map.knots.map(\.boundNanoseconds).sorted()
            comparisons.append(
                "\(source.facts.name): live ±\(source.clock.status.boundNanoseconds) ns at the end, afterwards "
                    + "±\(bounds[bounds.count / 2]) ns in the middle of all")
        }
    }
}

/// A session whose guests are placed by given maps instead of by their measurements.
package final class ResyncedInput: SessionInput {
    private let input: any SessionInput
    private let maps: [SourceID: GivenClock]
    private var waiting: PipelineInput?

    package init(_ input: any SessionInput, maps: [SourceID: GivenClock]) {
        self.input = input
        self.maps = maps
    }

    package func next() throws -> PipelineInput? {
        if let told = waiting {
            waiting = nil
            return told
        }
        let next = try input.next()
        if case .record(.sourceOpened(let source, _, _, _)) = next, let map = maps[source] {
            waiting = .record(.clock(source, .given(map)))
        }
        return next
    }

    package var shortfall: String? { input.shortfall }
    package var progress: Double { input.progress }
}
