import TraceModel

/// Tells for each event of one CPU which thread was current: LTTng's events do not, unless the session has the context
/// `tid`; `sched_switch` does for those that follow it.
///
/// Where nobody knows (at the start, after a loss) the next `sched_switch` tells for the events *before* it too: no other
/// switch lies between. So such events are kept until it comes, or until they are too many or too old to wait any longer;
/// then they go out with the thread `unknown`.
struct ThreadTracker {
    /// No thread has this id.
    static let unknown: Int32 = -1

    private var current = ThreadTracker.unknown
    private var kept: [EventBatch] = []
    private var keptEvents = 0
    private let switching: FormatRegistry.Switching?

    init(switching: FormatRegistry.Switching?) { self.switching = switching }

    /// Time of the first event that is kept.
    var keptSince: TraceTicks? {
        for batch in kept { if let first = batch.headers.first { return first.ticks } }
        return nil
    }

    /// Batches of one CPU, in order; what can go out is appended to `output`.
    mutating func push(_ batch: EventBatch, into output: inout [EventBatch]) {
        if batch.headers.isEmpty {
            // A loss only.
            current = ThreadTracker.unknown
            if keptEvents == 0 { output.append(batch) } else { kept.append(batch) }
            return
        }
        guard let switching, batch.headers.contains(where: { $0.pid == ThreadTracker.unknown }) else {
            if let last = batch.headers.last { current = last.pid }
            flush(into: &output)
            output.append(batch)
            return
        }
        var batch = batch
        assign(&batch, switching)
        if keptEvents == 0, !needsMore(batch) {
            output.append(batch)
            return
        }
        kept.append(batch)
        keptEvents += batch.headers.count
        let isOld: Bool
        if let first = keptSince, let last = batch.headers.last?.ticks {
            isOld = last.rawValue &- first.rawValue > Limits.threadLookaheadNanoseconds
        } else {
            isOld = false
        }
        if !needsMore(batch) || keptEvents > Limits.batchEvents || isOld { flush(into: &output) }
    }

    /// Nothing is waited for any longer.
    mutating func flush(into output: inout [EventBatch]) {
        output += kept
        kept = []
        keptEvents = 0
    }

    /// The batch ends with events whose thread is not known.
    private func needsMore(_ batch: EventBatch) -> Bool {
        (batch.headers.last?.pid ?? ThreadTracker.unknown) == ThreadTracker.unknown
    }

    private mutating func assign(_ batch: inout EventBatch, _ switching: FormatRegistry.Switching) {
        var nextLoss = batch.losses.startIndex
        for index in batch.headers.indices {
            while nextLoss < batch.losses.endIndex, batch.losses[nextLoss].index <= index {
                current = ThreadTracker.unknown
                nextLoss += 1
            }
            let header = batch.headers[index]
            guard header.typeIndex == switching.typeIndex else {
                if header.pid == ThreadTracker.unknown { set(current, index, &batch) } else { current = header.pid }
                continue
            }
            let (previous, next) = {
                let records = batch.records.span.bytes
                return (
                    switching.previous.value(in: records, of: header), switching.next.value(in: records, of: header)
                )
            }()
            let leaving = previous.map { Int32(truncatingIfNeeded: $0) } ?? ThreadTracker.unknown
            if current == ThreadTracker.unknown, leaving != ThreadTracker.unknown {
                tellBackwards(leaving, before: index, &batch)
            }
            set(leaving, index, &batch)
            current = next.map { Int32(truncatingIfNeeded: $0) } ?? ThreadTracker.unknown
        }
        if nextLoss < batch.losses.endIndex { current = ThreadTracker.unknown }
    }

    /// Events before `index` whose thread is not known, back to the last loss, had this thread.
    private mutating func tellBackwards(_ thread: Int32, before index: Int, _ batch: inout EventBatch) {
        guard ThreadTracker.tell(thread, endingAt: index, &batch) else { return }
        for place in kept.indices.reversed() {
            guard ThreadTracker.tell(thread, endingAt: kept[place].headers.count, &kept[place]) else { return }
        }
    }

    /// False when the stretch of unknown ones ended in this batch.
    private static func tell(_ thread: Int32, endingAt end: Int, _ batch: inout EventBatch) -> Bool {
        // A loss behind the last event ends the stretch before it begins.
        let lastLoss = batch.losses.last { $0.index <= end }?.index
        var index = end
        while index > 0 {
            if let lastLoss, index <= lastLoss { return false }
            index -= 1
            guard batch.headers[index].pid == unknown else { return false }
            setPID(thread, index, &batch)
        }
        return lastLoss == nil
    }

    private func set(_ thread: Int32, _ index: Int, _ batch: inout EventBatch) {
        ThreadTracker.setPID(thread, index, &batch)
    }

    /// In the header and in the record, which both have it.
    private static func setPID(_ thread: Int32, _ index: Int, _ batch: inout EventBatch) {
        batch.headers[index].pid = thread
        let offset = Int(batch.headers[index].offset) + 4
        batch.records.withUnsafeMutableBytes { $0.storeBytes(of: thread, toByteOffset: offset, as: Int32.self) }
    }
}
