package import SessionLog
import Timeline
package import TraceModel

/// Better maps of the guests' clocks, made when everything is known: `tandem report --resync`.
///
/// ```
/// let maps = try Resync.maps(of: first)                      // the whole session, once
/// let replay = Replay(ResyncedInput(again, maps: maps))      // and again, converted by them
/// ```
/// Guests whose clocks are exact, or came with a map, keep it.
package enum Resync {
    package static func maps(of input: any SessionInput) throws -> [SourceID: GivenClock] {
        var pipeline = CollectorPipeline()
        pipeline.keepsClockJournals = true
        while let next = try input.next() {
            pipeline.apply(next)
            _ = pipeline.takeUnidentifiedThreads()
        }
        return pipeline.resyncedClocks
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
