package import Timeline

/// Sees every run of events that the analysis gets, in its order and on its time line: what an export writes.
///
/// No part of the pipeline's state: a checkpoint has none.
struct RunObserver: Codable {
    var see: ((PlacedBatch, Range<Int>) -> Void)?
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

    /// Gives `see` the runs instead of the analysis.
    mutating func divert(to see: @escaping (PlacedBatch, Range<Int>) -> Void) {
        observer.see = see
        observer.replacesAnalysis = true
    }
}
