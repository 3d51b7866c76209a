/// What a merger put out, checked for the promises that hold for every output.
import Testing
import Timeline
import TraceModel

/// One event or loss mark, in the words of the tests.
struct Output: Hashable {
    var source: UInt32
    var cpu: Int
    var time: Int64
    /// Which of its CPU's events it is, in the order pushed; negative for a loss mark of that count.
    var serial: Int
}

/// An input: what one CPU gives, cut into batches.
func placed(
    source: UInt32, cpu: Int = 0, times: [Int64], firstSerial: Int = 0, losses: [LossMark] = [], epoch: Int = 0
) -> PlacedBatch {
    var events = batch(cpu: cpu, ticks: times.indices.map { TraceTicks(UInt64(firstSerial + $0)) })
    events.losses = losses
    return PlacedBatch(
        source: SourceID(source), batch: events, times: times.map(HostTime.init(nanoseconds:)), boundNanoseconds: 0,
        epoch: epoch)
}

func loss(_ index: Int, _ count: UInt64) -> LossMark { LossMark(index: index, place: .agent, count: count) }

/// A merger and all that it gave out.
struct Harness {
    var merger: Merger
    var output: [Output] = []
    var runs = 0
    var horizons: [Int64?] = []

    init(maxLag: Int64 = 1_000, maxEvents: Int = 1 << 20) {
        merger = Merger(maxLagNanoseconds: maxLag, maxEvents: maxEvents)
    }

    /// Drains once, and checks what every drain promises.
    mutating func drain() {
        var output: [Output] = []
        var runs = 0
        let horizon = merger.drain { placed, run in
            runs += 1
            let (batch, source) = (placed.batch, placed.source.rawValue)
            #expect(!run.isEmpty || batch.headers.isEmpty, "an empty run of a batch with events")
            for index in run {
                for mark in batch.losses where mark.index == index {
                    output.append(Output(source: source, cpu: batch.cpu, time: 0, serial: -Int(mark.count ?? 0)))
                }
                let serial = Int(batch.headers[index].ticks.rawValue)
                let time = placed.times[index].nanoseconds
                output.append(Output(source: source, cpu: batch.cpu, time: time, serial: serial))
            }
            for mark in batch.losses where mark.index == batch.headers.count && run.upperBound == mark.index {
                output.append(Output(source: source, cpu: batch.cpu, time: 0, serial: -Int(mark.count ?? 0)))
            }
        }
        if let last = horizons.last ?? nil { #expect(horizon.map { $0.nanoseconds >= last } ?? false) }
        horizons.append(horizon?.nanoseconds)
        self.output += output
        self.runs += runs
    }

    var times: [Int64] { output.filter { $0.serial >= 0 }.map(\.time) }
}
