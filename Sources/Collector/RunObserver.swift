package import Timeline
package import TraceModel

/// Sees every run of events that the analysis gets, in its order and on its time line, and what else guests tell it: what an
/// export writes.
///
/// No part of the pipeline's state: a checkpoint has none.
struct RunObserver: Codable {
    var see: ((PlacedBatch, Range<Int>) -> Void)?
    /// A guest's steal time, and when that was.
    var seeSteal: ((SourceID, [StealSample.CPU], HostTime) -> Void)?
    /// When a guest ended, and whether it was lost.
    var seeEnd: ((SourceID, HostTime, Bool) -> Void)?
    /// Nobody asks for states: the analysis gets nothing.
    var replacesAnalysis = false

    private enum None: CodingKey {}

    init() {}

    init(from decoder: any Decoder) throws { _ = try decoder.container(keyedBy: None.self) }

    func encode(to encoder: any Encoder) throws { _ = encoder.container(keyedBy: None.self) }
}

extension CollectorPipeline {
    /// Gives `see` the runs from here on, each before the analysis has it.
    package mutating func observe(_ see: @escaping (PlacedBatch, Range<Int>) -> Void) { observer.see = see }

    /// Gives `steal` each sample of a guest's steal time, and `end` the end of each guest and whether it was lost.
    package mutating func observeGuests(
        steal: @escaping (SourceID, [StealSample.CPU], HostTime) -> Void = { _, _, _ in },
        end: @escaping (SourceID, HostTime, Bool) -> Void = { _, _, _ in }
    ) {
        observer.seeSteal = steal
        observer.seeEnd = end
    }

    /// Gives `see` the runs instead of the analysis.
    mutating func divert(to see: @escaping (PlacedBatch, Range<Int>) -> Void) {
        observer.see = see
        observer.replacesAnalysis = true
    }

    /// What the host itself has told up to now: where its trace ends, at the end.
    package var hostReached: HostTime { hostNow }

    package var eventCount: UInt64 { sources.reduce(0) { $0 + $1.events } }
}
