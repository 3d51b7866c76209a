import CBabeltrace2
package import TraceModel

/// All traces of one machine, read in time: batches of each CPU in order, and watermarks.
///
/// The stream that is farthest behind is read next, so that what is held is about one chunk of each stream. Streams of one
/// CPU (LTTng has one for each channel) are merged here, because a batch is one CPU's; CPUs and machines are merged by the
/// Timeline, as everywhere. Belongs to one thread.
package final class MachineReader {
    package let facts: CTFMachineFacts
    private var traces: [TraceReader]
    private let catalog = EventCatalog()
    private var streams: [(trace: TraceReader, sink: StreamSink)] = []
    private var lanes: [Int: CPULane] = [:]
    private var told: TraceTicks?

    init(facts: CTFMachineFacts, traces: [TraceReader]) {
        self.facts = facts
        self.traces = traces
        for trace in traces {
            for sink in trace.streams {
                sink.begin(with: catalog)
                streams.append((trace, sink))
            }
        }
    }

    /// Every format so far. In a trace on disk none is added later.
    package var formats: [EventFormat] { catalog.formats }

    package var events: UInt64 { streams.reduce(0) { $0 &+ $1.sink.eventsRead } }

    /// The largest bound that a packet stated so far; 0 where none does.
    var statedBoundNanoseconds: Int64 { streams.map(\.sink.statedBoundNanoseconds).max() ?? 0 }

    /// What could not be read, one sentence each.
    package var problems: [String] {
        var sentences = traces.flatMap { trace in
            trace.streams.compactMap { stream in
                stream.problem.map { "'\(trace.path)': \($0); what came before is used" }
            }
        }
        if catalog.excessClasses > 0 {
            sentences.append(
                "\(catalog.excessClasses) kinds of events of \(facts.name) are not used: there are too many")
        }
        return sentences
    }

    package var anomalies: [Anomaly: UInt64] {
        var counts: [Anomaly: UInt64] = [:]
        let stepsBack = streams.reduce(0) { $0 &+ $1.sink.stepsBack }
        let withoutFormat = streams.reduce(0) { $0 &+ $1.sink.eventsWithoutFormat }
        if stepsBack > 0 { counts[.timeWentBack] = stepsBack }
        if withoutFormat > 0 { counts[.unknownEventType] = withoutFormat }
        return counts
    }

    /// Reads on: batches that are ready, then the time before which nothing more will come. Nil at the end.
    package func next() -> (batches: [EventBatch], watermark: TraceTicks?)? {
        var output: [EventBatch] = []
        while true {
            guard let slowest = slowestStream() else {
                finish(into: &output)
                return output.isEmpty ? nil : (output, told)
            }
            do throws(CTFError) {
                try slowest.trace.run(slowest.sink, .read(events: BatchBuilder.mostEvents))
            } catch {
                // It is in the streams' problems.
            }
            // Two streams of one CPU must not pass one after the other: all have to have spoken once.
            guard streams.allSatisfy({ $0.sink.hasEnded || $0.sink.reached != nil }) else { continue }
            collect(into: &output)
            let watermark = self.watermark
            if !output.isEmpty || watermark != told {
                told = watermark
                return (output, watermark)
            }
        }
    }

    /// The one whose next events are the earliest, as far as is known; nil when all have ended.
    private func slowestStream() -> (trace: TraceReader, sink: StreamSink)? {
        var slowest: (trace: TraceReader, sink: StreamSink)?
        for stream in streams where !stream.sink.hasEnded {
            guard let reached = stream.sink.reached else { return stream }
            if let known = slowest?.sink.reached, known <= reached { continue }
            slowest = stream
        }
        return slowest
    }

    /// What the streams have, into the lanes of their CPUs, and out of these what is in order.
    private func collect(into output: inout [EventBatch]) {
        for (index, stream) in streams.enumerated() {
            for batch in stream.sink.takePending() {
                lanes[batch.cpu, default: CPULane(switching: catalog.switching)].push(batch, of: index)
            }
        }
        for cpu in lanes.keys.sorted() {
            lanes[cpu]?.drain(into: &output) { [streams] stream in
                streams[stream].sink.hasEnded ? nil : streams[stream].sink.reached
            }
        }
    }

    private func finish(into output: inout [EventBatch]) {
        collect(into: &output)
        for cpu in lanes.keys.sorted() { lanes[cpu]?.finish(into: &output) }
        lanes = [:]
        told = watermark
    }

    /// Nothing earlier will come from any stream, nor out of a lane.
    private var watermark: TraceTicks? {
        var earliest: TraceTicks?
        for stream in streams where !stream.sink.hasEnded {
            guard let reached = stream.sink.reached else { return told }
            earliest = min(earliest ?? reached, reached)
        }
        // All have ended.
        earliest = earliest ?? streams.compactMap(\.sink.reached).max()
        for lane in lanes.values {
            guard let kept = lane.earliest else { continue }
            earliest = min(earliest ?? kept, kept)
        }
        guard let earliest else { return told }
        return max(told ?? earliest, earliest)
    }
}
