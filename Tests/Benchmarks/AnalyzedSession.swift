import AllocationCounting
import Analysis
import Decoding
import RecordingSupport
import SessionLog
import Timeline
import TraceModel
import Wire

/// What an analyzer is told in one session, ready to be told again and again: runs of batches in merged order, with times.
struct AnalyzedSession {
    struct Run {
        var batch: Int
        var range: Range<Int>
    }

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    private(set) var batches: [PlacedBatch] = []
    private(set) var runs: [Run] = []
    private var preparation: [(inout Analyzer) -> Void] = []
    private var spanNanoseconds: Int64 = 1
    private(set) var sourceCount = 0

    init(batches: [PlacedBatch], preparation: [(inout Analyzer) -> Void]) {
        self.batches = batches
        self.preparation = preparation
        runs = batches.indices.map { Run(batch: $0, range: 0..<batches[$0].times.count) }
        sourceCount = 1
        measureSpan()
    }

    /// Reads, places and merges a recording.
    init(recording folder: String) throws {
        let reader = try LogReader(opening: folder)
        var merger = Merger(maxLagNanoseconds: Limits.mergeLagNanoseconds, maxEvents: Limits.mergeEvents)
        var sources: [SourceID: (decoder: BatchDecoder, clock: ClockMap)] = [:]
        var last: [UInt64: Int] = [:]
        while let record = try reader.next() {
            switch record {
            case .sourceOpened(let id, let facts, let messages, let names):
                var table = FormatTable(byteOrder: facts.prepared.byteOrder, longSize: facts.prepared.longSize)
                for message in messages {
                    table.append(try EventFormatParser.parse(message.text, system: message.system))
                }
                let formats = table
                sources[id] = (
                    BatchDecoder(formats: formats), ClockMap(clock: facts.prepared.clock, identity: facts.isHost)
                )
                merger.addSource(id, isReference: facts.isHost)
                preparation.append { $0.bind(id, name: facts.name, formats: formats) }
                preparation.append { for task in names.tasks { $0.name(task.tid, Comm(task.comm), of: id) } }
            case .machine(let facts): preparation.append { $0.identify(facts) }
            case .link(let id, let pid, _): preparation.append { $0.link(id, vmmPID: pid) }
            case .probe(let id, let probe): _ = sources[id]?.clock.add(probe)
            case .message(let id, .batch(let body)):
                if let batch = try sources[id]?.decoder.decode(body),
                    let placed = sources[id]?.clock.place(batch, from: id)
                {
                    merger.push(placed)
                }
            case .message(let id, .watermark(let ticks)):
                if let time = sources[id]?.clock.watermark(ticks) { merger.watermark(id, time) }
                drain(&merger, &last)
            default: break
            }
        }
        for id in sources.keys { merger.endSource(id) }
        drain(&merger, &last)
        sourceCount = sources.count
        guard eventCount > 0 else { throw Failure(description: "no events in '\(folder)'") }
        measureSpan()
    }

    /// A batch comes once for each of its runs, in this drain and perhaps in later ones; `last` has each CPU's present one.
    private mutating func drain(_ merger: inout Merger, _ last: inout [UInt64: Int]) {
        _ = merger.drain { placed, range in
            let key = UInt64(placed.source.rawValue) << 32 | UInt64(placed.batch.cpu)
            if range.lowerBound == 0 || last[key] == nil {
                last[key] = batches.count
                batches.append(copy placed)
            }
            if let batch = last[key] { runs.append(Run(batch: batch, range: range)) }
        }
    }

    private mutating func measureSpan() {
        let times = batches.flatMap { [$0.times.first, $0.times.last].compactMap(\.self) }
        guard let first = times.min(), let last = times.max() else { return }
        spanNanoseconds = last - first + 1000
    }

    var eventCount: Int { runs.reduce(0) { $0 + $1.range.count } }
    var eventsPerRun: Double { Double(eventCount) / Double(max(runs.count, 1)) }

    /// One that knows who is who, as at the recording's end.
    func analyzer() -> Analyzer {
        let start = batches.compactMap(\.times.first).min() ?? HostTime(nanoseconds: 0)
        var analyzer = Analyzer(start: start)
        for step in preparation { step(&analyzer) }
        return analyzer
    }

    func tell(_ analyzer: inout Analyzer) { LentBatches(batches).tell(runs, to: &analyzer) }

    struct Cost {
        /// CPU time.
        var nanoseconds: UInt64
        var allocations: UInt
    }

    /// What a telling costs the analysis alone, the batches being at hand.
    func costToTell(_ analyzer: inout Analyzer) -> Cost {
        let lent = LentBatches(batches)
        return cost { lent.tell(runs, to: &analyzer) }
    }

    /// What the merge of all batches costs, with nobody behind it.
    func costToMerge() -> Cost {
        var merger = filledMerger()
        return cost { _ = merger.drain { _, _ in } }
    }

    /// What it costs to merge all batches and to tell them as they come out of the merge.
    func costToMerge(into analyzer: inout Analyzer) -> Cost {
        var merger = filledMerger()
        return cost { Self.drain(&merger, into: &analyzer) }
    }

    private func filledMerger() -> Merger {
        var merger = Merger(maxLagNanoseconds: Limits.mergeLagNanoseconds, maxEvents: Limits.mergeEvents)
        let sources = Set(batches.map(\.source)).sorted { $0.rawValue < $1.rawValue }
        for source in sources { merger.addSource(source, isReference: source == .host) }
        for batch in batches { merger.push(batch) }
        for source in sources { merger.endSource(source) }
        return merger
    }

    private static func drain(_ merger: inout Merger, into analyzer: inout Analyzer) {
        _ = merger.drain { placed, range in
            analyzer.apply(
                placed.batch, times: placed.times, range: range, source: placed.source,
                boundNanoseconds: placed.boundNanoseconds)
        }
    }

    private func cost(_ work: () -> Void) -> Cost {
        let (start, before) = (Clock.threadCPUNanoseconds(), allocationsOfThisThread())
        work()
        return Cost(
            nanoseconds: Clock.threadCPUNanoseconds() - start, allocations: allocationsOfThisThread() - before)
    }

    /// The next telling follows the last one in time.
    mutating func moveOn() {
        for batch in batches.indices {
            for index in batches[batch].times.indices {
                batches[batch].times[index] = batches[batch].times[index].advanced(by: spanNanoseconds)
            }
        }
    }

    mutating func cutRuns(to length: Int) {
        runs = runs.flatMap { run in
            stride(from: run.range.lowerBound, to: run.range.upperBound, by: length).map {
                Run(batch: run.batch, range: $0..<min($0 + length, run.range.upperBound))
            }
        }
    }

    /// Each batch at once, in the order of their ends.
    mutating func joinRuns() {
        runs = batches.indices.sorted {
            (batches[$0].times.last ?? .init(nanoseconds: 0)) < (batches[$1].times.last ?? .init(nanoseconds: 0))
        }
        .map { Run(batch: $0, range: 0..<batches[$0].times.count) }
    }
}

/// Batches that are lent to the analysis as the merge lends them (`MergeFront`): not copyable, because copies of their four
/// buffers cost more, run by run, than a run's events.
private struct LentBatches: ~Copyable {
    private struct Lent: ~Copyable {
        let placed: PlacedBatch

        /// Inlined, the compiler would copy it first.
        @inline(never)
        func tell(_ range: Range<Int>, to analyzer: inout Analyzer) {
            analyzer.apply(
                placed.batch, times: placed.times, range: range, source: placed.source,
                boundNanoseconds: placed.boundNanoseconds)
        }
    }

    private let batches: UnsafeMutablePointer<Lent>
    private let count: Int

    init(_ placed: [PlacedBatch]) {
        count = placed.count
        batches = .allocate(capacity: count)
        for index in 0..<count { (batches + index).initialize(to: Lent(placed: placed[index])) }
    }

    deinit {
        batches.deinitialize(count: count)
        batches.deallocate()
    }

    func tell(_ runs: [AnalyzedSession.Run], to analyzer: inout Analyzer) {
        for run in runs { batches[run.batch].tell(run.range, to: &analyzer) }
    }
}
