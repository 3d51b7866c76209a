package import TraceModel
import Wire

/// What has to be told again at the beginning of a segment, for readers who have none before it: who the sources are, how
/// their events look, how their clocks go, and which machines there are.
package struct LogPreamble: Sendable {
    private struct Source {
        var opening: LogRecord
        var link: LogRecord?
        var onlineCPUs: LogRecord?
        /// The latest facts and measurements of its clock, in their order.
        var clock: [LogRecord] = []
    }

    private var session: SessionFacts?
    private var sources: [SourceID: Source] = [:]
    private var machines: [Int32: VMFacts] = [:]
    private var kernelThreads: LogRecord?
    /// Two bursts a second and machine changes now and then: what bounds a clock for the next minute.
    private static let clockRecords = 128

    package init() {}

    /// To be told every record in its order.
    package mutating func note(_ record: LogRecord) {
        switch record {
        case .session(let facts): session = facts
        case .sourceOpened(let source, _, _, _): sources[source] = Source(opening: record)
        case .sourceClosed(let source, _, _): sources[source] = nil
        case .link(let source, _, _): sources[source]?.link = record
        case .machine(let facts): machines[facts.vmmPID] = facts
        case .kernelThreads: kernelThreads = record
        case .threadsEnded(let threads, _):
            for thread in threads { machines[thread] = nil }
            for pid in machines.keys { machines[pid]?.vcpuThreads.removeAll { threads.contains($0.tid) } }
        case .message(let source, .onlineCPUs): sources[source]?.onlineCPUs = record
        case .probe(let source, _), .clock(let source, _):
            sources[source]?.clock.append(record)
            if let clock = sources[source]?.clock, clock.count > 2 * LogPreamble.clockRecords {
                let (old, new) = (clock.dropLast(LogPreamble.clockRecords), clock.suffix(LogPreamble.clockRecords))
                // A fact holds until another one replaces it; a measurement ages.
                sources[source]?.clock = old.filter { if case .clock = $0 { true } else { false } } + new
            }
        case .message: break
        // Megabytes that only exports need: not worth their space in every segment.
        case .symbols: break
        }
    }

    /// For a segment that begins at `time`.
    package func records(at time: HostTime) -> [LogRecord] {
        guard var facts = session else { return [] }
        facts.start = time
        var records = [LogRecord.session(facts)]
        for (_, source) in sources.sorted(by: { $0.key < $1.key }) {
            records.append(source.opening)
            records += source.clock
            if let online = source.onlineCPUs { records.append(online) }
        }
        if let kernelThreads { records.append(kernelThreads) }
        records += machines.sorted { $0.key < $1.key }.map { .machine($0.value) }
        records += sources.sorted { $0.key < $1.key }.compactMap(\.value.link)
        return records
    }
}
