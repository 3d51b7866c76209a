import TraceModel

/// One CPU's events out of all its streams, in one order.
///
/// With a single stream, which is what most traces have, batches pass through untouched. With more of them events are
/// copied in order of time, as far as all of these streams have come; of equal times the stream that was opened first goes
/// first.
struct CPULane {
    /// Events of one stream that are not merged yet.
    private struct Feed {
        var batches: [EventBatch] = []
        /// The next event of the first batch.
        var index = 0
        var nextLoss = 0

        var next: TraceTicks? {
            guard let first = batches.first else { return nil }
            return index < first.headers.count ? first.headers[index].ticks : nil
        }
    }

    private var feeds: [Int: Feed] = [:]
    private var tracker: ThreadTracker

    init(switching: FormatRegistry.Switching?) { tracker = ThreadTracker(switching: switching) }

    mutating func push(_ batch: EventBatch, of stream: Int) { feeds[stream, default: Feed()].batches.append(batch) }

    /// Time of the first event that is still here.
    var earliest: TraceTicks? {
        var earliest = tracker.keptSince
        for feed in feeds.values {
            guard let next = feed.next else { continue }
            earliest = min(earliest ?? next, next)
        }
        return earliest
    }

    /// `reached` tells how far a stream has come; nil when it has ended.
    mutating func drain(into output: inout [EventBatch], reached: (Int) -> TraceTicks?) {
        if feeds.count == 1, let only = feeds.keys.first {
            for batch in feeds[only]?.batches ?? [] { tracker.push(batch, into: &output) }
            feeds[only]?.batches = []
            return
        }
        var limit = TraceTicks(.max)
        for stream in feeds.keys { if let time = reached(stream) { limit = min(limit, time) } }
        merge(before: limit, into: &output)
    }

    mutating func finish(into output: inout [EventBatch]) {
        drain(into: &output) { _ in nil }
        tracker.flush(into: &output)
    }

    private mutating func merge(before limit: TraceTicks, into output: inout [EventBatch]) {
        let order = feeds.keys.sorted()
        var merged: EventBatch?
        while true {
            for stream in order { takeLosses(stream, into: &merged) }
            var first: (stream: Int, time: TraceTicks)?
            for stream in order {
                guard let time = feeds[stream]?.next, time < limit || limit.rawValue == .max else { continue }
                if let known = first, known.time <= time { continue }
                first = (stream, time)
            }
            guard let first else { break }
            take(first.stream, into: &merged)
            if let batch = merged,
                batch.headers.count >= BatchBuilder.mostEvents
                    || batch.records.count > Limits.batchRecordBytes - 1 << 16
            {
                tracker.push(batch, into: &output)
                merged = nil
            }
        }
        if let batch = merged, !batch.isEmpty { tracker.push(batch, into: &output) }
    }

    /// The losses that lie before the stream's next event, and batches that are used up.
    private mutating func takeLosses(_ stream: Int, into merged: inout EventBatch?) {
        while let batch = feeds[stream]?.batches.first, let feed = feeds[stream] {
            var next = feed.nextLoss
            while next < batch.losses.count, batch.losses[next].index <= feed.index {
                if merged == nil { merged = EventBatch(cpu: batch.cpu) }
                if let count = merged?.headers.count, merged?.losses.count ?? 0 < Limits.batchLosses {
                    merged?.losses.append(
                        LossMark(index: count, place: batch.losses[next].place, count: batch.losses[next].count))
                }
                next += 1
            }
            feeds[stream]?.nextLoss = next
            guard feed.index >= batch.headers.count else { return }
            feeds[stream]?.batches.removeFirst()
            feeds[stream]?.index = 0
            feeds[stream]?.nextLoss = 0
        }
    }

    private mutating func take(_ stream: Int, into merged: inout EventBatch?) {
        guard let batch = feeds[stream]?.batches.first, let index = feeds[stream]?.index else { return }
        if merged == nil { merged = EventBatch(cpu: batch.cpu) }
        var header = batch.headers[index]
        let range = Int(header.offset)..<Int(header.offset) + Int(header.length)
        header.offset = UInt32(merged?.records.count ?? 0)
        merged?.records.append(contentsOf: batch.records[range])
        merged?.headers.append(header)
        feeds[stream]?.index = index + 1
    }
}
