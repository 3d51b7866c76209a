package import SessionLog
package import Timeline
package import TraceModel
import Wire

/// A session's inputs with every batch decoded, and the clocks of the pipeline that takes them: what exports are made of.
package final class DecodedSession: SessionInput {
    private let input: any SessionInput
    private var pipeline = CollectorPipeline()
    private var openings: [SourceID: SourceOpening] = [:]

    package init(_ input: any SessionInput) { self.input = input }

    /// The next input; a batch that cannot be decoded is left out, as the analysis leaves it out.
    package func next() throws -> PipelineInput? {
        while let next = try input.next() {
            pipeline.apply(next)
            _ = pipeline.takeUnidentifiedThreads()
            switch next {
            case .record(.sourceOpened(let source, let facts, let formats, _)):
                openings[source] = SourceOpening(facts, formats: formats)
            case .record(.message(let source, .batch(let body))):
                guard let batch = try? openings[source]?.decoder.decode(body) else { continue }
                return .batch(source, batch)
            default: break
            }
            return next
        }
        return nil
    }

    package var shortfall: String? { input.shortfall }
    package var progress: Double { input.progress }

    /// Every batch as the analysis has placed it since the last call, once this was called.
    package func takePlacements() -> [PlacedBatch] { pipeline.takePlacements() }

    /// Host time of a reading of a source's clock, as the analysis has it now.
    package func hostTime(_ source: SourceID, _ ticks: TraceTicks, cpu: Int) -> HostTime? {
        pipeline.sources.first { $0.id == source }?.clock.hostTime(ticks, cpu: cpu)?.time
    }
}
