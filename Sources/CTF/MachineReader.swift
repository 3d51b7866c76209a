package import TraceModel

/// All traces of one machine, read in time: batches of each CPU in order, and watermarks.
///
/// Groups of streams are read, each by a thread of its own where there are CPUs for it. The turn of the stream that is
/// farthest behind is waited for, so that the order of what comes out does not depend on threads. Streams of one CPU (LTTng
/// has one for each channel) are merged here, because a batch is one CPU's; CPUs and machines are merged by the Timeline, as
/// everywhere. Belongs to one thread.
package final class MachineReader {
    private enum Source {
        case here(StreamGroup)
        case thread(ReadingThread)

        func next() -> StreamGroup.Turn? {
            switch self {
            case .here(let group): group.next()
            case .thread(let thread): thread.next()
            }
        }
    }

    package let facts: CTFMachineFacts
    private let registry = FormatRegistry()
    private let hasThreads: Bool
    /// Until it has begun.
    private var groups: [StreamGroup]
    private var sources: [Source] = []
    /// Group of each stream.
    private let owners: [Int]
    private var statuses: [StreamStatus]
    private var lanes: [Int: CPULane] = [:]
    private var told: TraceTicks?
    private var notes = ExportNotes()

    /// `threads`: that may read, besides the one that asks; with one or none, that one reads itself.
    init(facts: CTFMachineFacts, traces: [TraceReader], threads: Int) {
        self.facts = facts
        hasThreads = threads > 1
        let members = StreamGroup.divide(traces, among: threads)
        let numbered = members.enumerated().flatMap { group, members in members.map { (group, member: $0) } }
            .sorted { $0.member.number < $1.member.number }
        owners = numbered.map { $0.0 }
        statuses = Array(repeating: StreamStatus(), count: owners.count)
        groups = members.map { StreamGroup($0) }
        // Formats are counted in the order of the streams, whoever reads them.
        let catalogs = members.map { [registry] _ in EventCatalog(registry) }
        for (group, member) in numbered { member.sink.begin(with: catalogs[group]) }
    }

    /// Reading begins, where threads of its own do it; else with the first `next`.
    package func begin() {
        guard sources.isEmpty else { return }
        sources = groups.map { hasThreads ? .thread(ReadingThread($0)) : .here($0) }
        groups = []
    }

    /// Every format so far. In a trace on disk none is added later.
    package var formats: [EventFormat] { registry.formats }

    package var events: UInt64 { statuses.reduce(0) { $0 &+ $1.events } }

    /// What an export told since this was asked last.
    func takeNotes() -> ExportNotes {
        defer { notes = ExportNotes() }
        return notes
    }

    /// What could not be read, one sentence each.
    package var problems: [String] {
        var sentences = statuses.compactMap(\.problem)
        if registry.excess > 0 {
            sentences.append("\(registry.excess) kinds of events of \(facts.name) are not used: there are too many")
        }
        return sentences
    }

    package var anomalies: [Anomaly: UInt64] {
        var counts: [Anomaly: UInt64] = [:]
        let stepsBack = statuses.reduce(0) { $0 &+ $1.stepsBack }
        let withoutFormat = statuses.reduce(0) { $0 &+ $1.eventsWithoutFormat }
        if stepsBack > 0 { counts[.timeWentBack] = stepsBack }
        if withoutFormat > 0 { counts[.unknownEventType] = withoutFormat }
        return counts
    }

    /// Reads on: batches that are ready, then the time before which nothing more will come. Nil at the end.
    package func next() -> (batches: [EventBatch], watermark: TraceTicks?)? {
        begin()
        var output: [EventBatch] = []
        while true {
            guard let slowest = statuses.slowest, let turn = sources[owners[slowest]].next() else {
                finish(into: &output)
                return output.isEmpty ? nil : (output, told)
            }
            statuses[turn.stream] = turn.status
            notes.bounds += turn.notes.bounds
            notes.steal += turn.notes.steal
            for batch in turn.batches {
                lanes[batch.cpu, default: CPULane(switching: registry.switching)].push(batch, of: turn.stream)
            }
            // Two streams of one CPU must not pass one after the other: all have to have spoken once.
            guard statuses.allSatisfy({ $0.hasEnded || $0.reached != nil }) else { continue }
            drain(into: &output)
            let watermark = self.watermark
            if !output.isEmpty || watermark != told {
                told = watermark
                return (output, watermark)
            }
        }
    }

    /// Out of the lanes what is in order.
    private func drain(into output: inout [EventBatch]) {
        for cpu in lanes.keys.sorted() {
            lanes[cpu]?.drain(into: &output) { [statuses] stream in
                statuses[stream].hasEnded ? nil : statuses[stream].reached
            }
        }
    }

    private func finish(into output: inout [EventBatch]) {
        drain(into: &output)
        for cpu in lanes.keys.sorted() { lanes[cpu]?.finish(into: &output) }
        lanes = [:]
        told = watermark
    }

    /// Nothing earlier will come from any stream, nor out of a lane.
    private var watermark: TraceTicks? {
        var earliest: TraceTicks?
        for status in statuses where !status.hasEnded {
            guard let reached = status.reached else { return told }
            earliest = min(earliest ?? reached, reached)
        }
        // All have ended.
        earliest = earliest ?? statuses.compactMap(\.reached).max()
        for lane in lanes.values {
            guard let kept = lane.earliest else { continue }
            earliest = min(earliest ?? kept, kept)
        }
        guard let earliest else { return told }
        return max(told ?? earliest, earliest)
    }
}
