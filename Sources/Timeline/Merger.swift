/// Many CPUs of many sources become one order: by time, then source, then CPU, then the CPU's own order.
///
/// *What it waits for.* Each source reports watermarks: "no event before t will come any more". An event goes out when
/// it lies before every live source's watermark. Strictly before: at the watermark itself more may come, and how the
/// input was cut would show in the order. So without late events any split of pushes, watermarks and drains gives
/// the same sequence.
///
/// *What it does not wait for.* A source whose watermark is more than `maxLag` behind the reference's (the host) is
/// *late*: it no longer holds the others back until it is within half of that (so that it does not flicker). A source
/// that has not spoken yet has `maxLag` of grace, in which nothing more goes out: it may have begun before the
/// reference's watermark that comes first after it was added. Events of any source that come when the order has already passed them
/// are counted, and go out at once with the next drain, before everything else and in order among themselves, so that
/// they can be applied where they still help. And never are more than `maxEvents` held: beyond it the oldest go out
/// without waiting, counted.
///
/// *What comes out* are runs: consecutive events of one batch. The runs of a batch cover it once from start to end.
///
/// *Loss marks* go with the runs: a mark belongs to the run that contains its index, and marks at `headers.count` to the
/// run that ends the batch (`upperBound == headers.count`). A batch of marks only gives one empty run, 0..<0, when its
/// turn comes: at the time of the event before it on its CPU.
package import TraceModel

package struct Merger: Sendable, Codable {
    private struct Source: Codable {
        let id: SourceID
        let isReference: Bool
        /// No event before it will come; nil until the source has spoken.
        var watermark: HostTime?
        /// The latest event pushed, and its epoch: where those of earlier ones lay was an error.
        var lastEvent: HostTime?
        var epoch = 0
        /// Where the reference was when this source was first waited for.
        var awaitedSince: HostTime?
        var hasEnded = false
        var isLate = false
        var timesLate: UInt64 = 0
        var lateEvents: UInt64 = 0

        mutating func note(_ placed: borrowing PlacedBatch, horizon: HostTime?) {
            if let horizon { lateEvents += UInt64(placed.times.prefix { $0 < horizon }.count) }
            guard let last = placed.times.last, placed.epoch >= epoch else { return }
            lastEvent = placed.epoch == epoch ? max(lastEvent ?? last, last) : last
            epoch = placed.epoch
        }
    }

    private let maxLagNanoseconds: Int64
    private let maxEvents: Int
    private var sources: [Source] = []
    /// Sorted by rank, so that a place in it is a rank.
    private var queues: [MergeQueue] = []
    private var contest = Tournament()
    private var contestants: [Int] = []
    /// Everything before it has gone out.
    private var horizon: HostTime?

    /// The last drain stopped at the limit that it was given.
    package private(set) var isHeld = false
    /// Events held; a batch of loss marks only counts as one.
    package private(set) var pendingEvents = 0
    /// Events that went out before their turn was certain, because more than `maxEvents` were held.
    package private(set) var eventsReleasedEarly: UInt64 = 0

    package init(
        maxLagNanoseconds: Int64 = Limits.mergeLagNanoseconds, maxEvents: Int = Limits.mergeEvents
    ) {
        self.maxLagNanoseconds = maxLagNanoseconds
        self.maxEvents = max(0, maxEvents)
    }

    // MARK: In

    /// Starts to wait for a source. The reference is never left behind.
    package mutating func addSource(_ source: SourceID, isReference: Bool = false) {
        var added = Source(id: source, isReference: isReference)
        if let place = place(of: source) {
            added.timesLate = sources[place].timesLate
            added.lateEvents = sources[place].lateEvents
            sources[place] = added
        } else {
            sources.append(added)
        }
    }

    /// Takes a batch. Times must not decrease within one (source, CPU, epoch).
    package mutating func push(_ placed: consuming PlacedBatch) {
        guard !placed.batch.isEmpty else { return }
        let sender = place(of: placed.source)
        if let sender { sources[sender].note(placed, horizon: horizon) }
        pendingEvents += max(1, placed.times.count)
        let rank = MergeQueue.Rank(source: placed.source, cpu: placed.batch.cpu, epoch: placed.epoch)
        let place = queues.partitionPoint { $0.rank < rank }
        if place == queues.count || queues[place].rank != rank {
            var queue = MergeQueue(rank: rank)
            queue.isClosed = sender.map { sources[$0].hasEnded } ?? true
            queues.insert(queue, at: place)
            if place > 0, queues[place - 1].rank.isEarlierEpoch(of: rank) { queues[place - 1].isClosed = true }
        }
        queues[place].append(placed)
    }

    /// The source promises that no event before `time` will be pushed any more. Never goes back.
    package mutating func watermark(_ source: SourceID, _ time: HostTime) {
        guard let place = place(of: source) else { return }
        sources[place].watermark = max(sources[place].watermark ?? time, time)
    }

    /// Nothing more will come from it; what it has given goes out in its turn.
    package mutating func endSource(_ source: SourceID) {
        guard let place = place(of: source) else { return }
        sources[place].hasEnded = true
        sources[place].isLate = false
        for place in queues.indices where queues[place].rank.source == source { queues[place].isClosed = true }
    }

    /// An ended source whose events have all gone out is forgotten, with its books.
    package mutating func removeSource(_ source: SourceID) { sources.removeAll { $0.id == source && $0.hasEnded } }

    // MARK: State

    /// Events of the source, or loss marks, wait for their turn.
    package func holds(_ source: SourceID) -> Bool {
        queues.contains { $0.rank.source == source && !$0.isEmpty }
    }

    /// The source holds nobody back at present, because it is too far behind.
    package func isLate(_ source: SourceID) -> Bool { place(of: source).map { sources[$0].isLate } ?? false }

    /// The latest promise of the source; before the first, since when it is awaited.
    package func watermark(of source: SourceID) -> HostTime? {
        place(of: source).flatMap { sources[$0].watermark ?? sources[$0].awaitedSince }
    }

    /// Behind all that the source has pushed and promised: its last event may lie at its last promise, and not before it.
    package func end(of source: SourceID) -> HostTime? {
        let promised = watermark(of: source)
        guard let place = place(of: source), let last = sources[place].lastEvent?.advanced(by: 1) else {
            return promised
        }
        return max(promised ?? last, last)
    }

    /// How often it became late (`Anomaly.sourceLate`).
    package func timesLate(_ source: SourceID) -> UInt64 { place(of: source).map { sources[$0].timesLate } ?? 0 }

    /// Events that came after the order had passed their time (`Anomaly.eventLate`).
    package func lateEvents(_ source: SourceID) -> UInt64 { place(of: source).map { sources[$0].lateEvents } ?? 0 }

    private func place(of source: SourceID) -> Int? { sources.firstIndex { $0.id == source } }

    // MARK: Out

    /// Hands over, in order, every event whose turn has come. Returns the time before which all has gone out (never goes
    /// back), or nil while that cannot be told.
    ///
    /// Nothing later than `limit` goes out; `isHeld` says whether something would have. A drain without the limit, before
    /// anything else is told, then gives the rest, as if there had been one drain only.
    package mutating func drain(
        notAfter limit: HostTime? = nil, _ body: (borrowing PlacedBatch, Range<Int>) -> Void
    ) -> HostTime? {
        isHeld = false
        switch releasable() {
        case .nothing: break
        case .before(let end):
            if let limit, limit < end.advanced(by: -1) {
                isHeld = true
                merge(upTo: limit.nanoseconds, atMost: .max, body)
                advance(to: limit.advanced(by: 1))
            } else {
                merge(upTo: end.advanced(by: -1).nanoseconds, atMost: .max, body)
                advance(to: end)
            }
        case .everything:
            let last = merge(upTo: limit?.nanoseconds ?? .max, atMost: .max, body)
            isHeld = queues.contains { !$0.isEmpty }
            advance(to: last?.advanced(by: 1))
        }
        let excess = isHeld ? 0 : pendingEvents - maxEvents
        if excess > 0 {
            eventsReleasedEarly += UInt64(excess)
            advance(to: merge(upTo: .max, atMost: excess, body))
        }
        dropDone()
        return horizon
    }

    private mutating func advance(to time: HostTime?) {
        guard let time else { return }
        horizon = max(horizon ?? time, time)
    }

    private enum Releasable {
        case nothing
        case before(HostTime)
        case everything
    }

    /// What may go out, after a fresh look at who is late.
    private mutating func releasable() -> Releasable {
        let hasReference = sources.contains { $0.isReference && !$0.hasEnded }
        var isWatched = false
        var lead: HostTime?
        for source in sources where !source.hasEnded {
            isWatched = true
            guard source.isReference || !hasReference else { continue }
            guard let watermark = source.watermark else {
                if hasReference { return .nothing }
                continue
            }
            lead = max(lead ?? watermark, watermark)
        }
        guard isWatched else { return sources.isEmpty ? .nothing : .everything }
        guard let lead else { return .nothing }
        var end = lead
        var isAwaiting = false
        for place in sources.indices where !sources[place].hasEnded {
            let since = sources[place].awaitedSince ?? lead
            sources[place].awaitedSince = since
            let lag = lead - (sources[place].watermark ?? since)
            if sources[place].isLate {
                sources[place].isLate = lag > maxLagNanoseconds / 2
            } else if lag > maxLagNanoseconds, !sources[place].isReference {
                sources[place].isLate = true
                sources[place].timesLate += 1
            }
            if sources[place].isLate { continue }
            guard let watermark = sources[place].watermark else {
                isAwaiting = true
                continue
            }
            end = min(end, watermark)
        }
        if isAwaiting {
            guard let horizon else { return .nothing }
            end = min(end, horizon)
        }
        return .before(end)
    }

    /// Hands over events up to `last`, at most `count`. Returns the time of the last one.
    @discardableResult
    private mutating func merge(
        upTo last: Int64, atMost count: Int, _ body: (borrowing PlacedBatch, Range<Int>) -> Void
    ) -> HostTime? {
        contest.removeAll()
        contestants.removeAll(keepingCapacity: true)
        for place in queues.indices {
            guard let head = queues[place].headTime, head <= last else { continue }
            contestants.append(place)
            contest.enter(head)
        }
        guard !contestants.isEmpty else { return nil }
        contest.begin()
        var fronts = MergeFronts(capacity: contestants.count)
        for place in contestants {
            if let front = queues[place].takeFront() { fronts.append(front) }
        }
        var left = count
        var latest: HostTime?
        while left > 0, let winner = contest.winner {
            let goesOn = fronts[winner].nextTime.map { $0 <= last && contest.wouldWin(with: $0) } ?? false
            let run = fronts[winner].run(upTo: goesOn ? min(last, contest.winningKey) : .min, atMost: left)
            fronts[winner].lend(run, to: body)
            fronts[winner].release(run)
            left -= max(1, run.count)
            if !run.isEmpty { latest = fronts[winner].lastReleased }
            if fronts[winner].isDone {
                let place = contestants[winner]
                queues[place].putBack(fronts.take(winner))
                if let next = queues[place].takeFront() { fronts.put(next, at: winner) }
            }
            let head = fronts.holds(winner) ? fronts[winner].headTime : nil
            contest.replaceWinner(with: head.flatMap { $0 <= last ? $0 : nil })
        }
        pendingEvents -= count - left
        for winner in contestants.indices where fronts.holds(winner) {
            queues[contestants[winner]].putBack(fronts.take(winner))
        }
        return latest
    }

    /// A queue stays for its last time, unless nothing more is expected in it.
    private mutating func dropDone() { queues.removeAll { $0.isClosed && $0.isEmpty } }
}
