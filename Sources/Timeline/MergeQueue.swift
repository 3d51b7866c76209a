/// The batches of one CPU of one source that wait to be merged, in their own order.
import TraceModel

struct MergeQueue: Sendable, Codable {
    /// Where a queue stands among those whose heads have the same time.
    ///
    /// The epoch belongs to it because the first events of a new epoch may lie before the last ones of the old: in one
    /// queue they would wait behind a time that was wrong, for as long as the guest's clock had jumped.
    struct Rank: Comparable, Codable {
        var source: SourceID
        var cpu: Int
        var epoch: Int

        static func < (a: Rank, b: Rank) -> Bool {
            (a.source.rawValue, a.cpu, a.epoch) < (b.source.rawValue, b.cpu, b.epoch)
        }

        func isEarlierEpoch(of other: Rank) -> Bool {
            source == other.source && cpu == other.cpu && epoch < other.epoch
        }
    }

    let rank: Rank
    /// Nothing more is expected: once empty, the queue can go.
    var isClosed = false
    private var batches: [PlacedBatch] = []
    /// The batch at the front. Those before it are done; their places are removed when they are many.
    private var front = 0
    /// The next event in the batch at the front.
    private var position = 0
    /// Time of the last event released, where a batch that holds only loss marks belongs.
    private var lastReleased: HostTime?

    init(rank: Rank) { self.rank = rank }

    var isEmpty: Bool { front == batches.count }

    /// Time of the event at the front; nil when nothing waits.
    var headTime: Int64? {
        guard !isEmpty else { return nil }
        return (batches[front].times[from: position] ?? lastReleased)?.nanoseconds ?? .min
    }

    mutating func append(_ placed: consuming PlacedBatch) { batches.append(placed) }

    /// Lends the batch at the front to the merge, which gives it back, done or in part, by `putBack`.
    mutating func takeFront() -> MergeFront? {
        guard !isEmpty else { return nil }
        let taken = MergeFront(placed: batches[front], position: position, lastReleased: lastReleased)
        batches[front] = MergeFront.nothing
        return taken
    }

    mutating func putBack(_ taken: consuming MergeFront) {
        lastReleased = taken.lastReleased
        guard taken.isDone else {
            position = taken.position
            batches[front] = taken.placed
            return
        }
        front += 1
        position = 0
        if front * 2 > batches.count {
            batches.removeFirst(front)
            front = 0
        }
    }
}

extension [HostTime] {
    fileprivate subscript(from position: Int) -> HostTime? { position < count ? self[position] : nil }
}
