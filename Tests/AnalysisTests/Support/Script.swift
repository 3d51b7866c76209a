import Analysis
import TraceModel

/// A story as batches of several events, to be told in runs of any length.
struct Script {
    private enum Item {
        case batch(EventBatch, [HostTime], SourceID)
        case told(Happening, at: Int64)
    }

    private var writer: EventWriter
    private var items: [Item] = []

    init(without: Set<String> = []) {
        writer = EventWriter(KernelFormats.sched + KernelFormats.kvm, without: without)
    }

    /// Consecutive host events of one CPU share a batch.
    mutating func add(_ step: Step) {
        let time = HostTime(nanoseconds: step.at)
        var batch = EventBatch(cpu: step.cpu)
        var times: [HostTime] = []
        if case .batch(let last, let lastTimes, .host) = items.last, last.cpu == step.cpu {
            batch = last
            times = lastTimes
            items.removeLast()
        }
        defer { if !batch.isEmpty { items.append(.batch(batch, times, .host)) } }
        switch step.happening {
        case .lost: batch.losses.append(LossMark(index: batch.headers.count, place: .ringBuffer, count: nil))
        case .identified, .linked, .guestGone, .guestEnds, .gone, .time:
            other(.told(step.happening, at: step.at), &batch, &times)
        case .guestSwitched:
            var guest = EventBatch(cpu: step.cpu)
            _ = writer.appendGuestEvent(step.happening, to: &guest)
            other(.batch(guest, [time], SourceID(1)), &batch, &times)
        default:
            if writer.appendHostEvent(step.happening, to: &batch) { times.append(time) }
        }
    }

    private mutating func other(_ item: Item, _ batch: inout EventBatch, _ times: inout [HostTime]) {
        if !batch.isEmpty { items.append(.batch(batch, times, .host)) }
        items.append(item)
        batch.removeAll(cpu: batch.cpu)
        times = []
    }

    /// `cut` says how many of the remaining events of a batch go into the next run.
    func run(cut: (Int) -> Int = { $0 }) -> Snapshot {
        var analyzer = writer.analyzer(start: 0)
        for item in items {
            switch item {
            case .told(let happening, let time): _ = analyzer.tell(happening, at: time)
            case .batch(let batch, let times, let source):
                var position = 0
                repeat {
                    let end = position + cut(batch.headers.count - position)
                    analyzer.apply(batch, times: times, range: position..<end, source: source, boundNanoseconds: 5)
                    position = end
                } while position < batch.headers.count
            }
        }
        return analyzer.snapshot()
    }
}
