/// The batches that are being merged, and where in each the merge stands.
import TraceModel

/// A batch while it is being merged.
///
/// Not copyable, so that lending its batch to a caller needs no copy: the four buffers of a copied `PlacedBatch` cost
/// more to retain, run by run, than the merge itself.
struct MergeFront: ~Copyable {
    let placed: PlacedBatch
    private(set) var position: Int
    private(set) var lastReleased: HostTime?
    private(set) var isDone = false

    /// What stands in the place of a batch that was taken.
    static let nothing = PlacedBatch(
        source: .host, batch: EventBatch(cpu: 0), times: [], boundNanoseconds: 0, epoch: 0)

    init(placed: PlacedBatch, position: Int, lastReleased: HostTime?) {
        self.placed = placed
        self.position = position
        self.lastReleased = lastReleased
    }

    @inline(__always)
    var headTime: Int64 {
        position < placed.times.count ? placed.times[position].nanoseconds : lastReleased?.nanoseconds ?? .min
    }

    /// Time of the event after the head, when this batch has one.
    @inline(__always)
    var nextTime: Int64? {
        position + 1 < placed.times.count ? placed.times[position + 1].nanoseconds : nil
    }

    /// The run at the front: the head, and what follows it up to `last`, together at most `count`. Empty for a batch of
    /// loss marks.
    @inline(__always)
    func run(upTo last: Int64, atMost count: Int) -> Range<Int> {
        let end = placed.times.count
        let most = end - position > count ? position + count : end
        var next = min(position + 1, end)
        while next < most, placed.times[next].nanoseconds <= last { next += 1 }
        return position..<next
    }

    /// Hands the batch over by its place in `self`. Inlined, the compiler would copy it first: 16 instead of 33 ns per
    /// run of two queues.
    @inline(never)
    func lend(_ run: Range<Int>, to body: (borrowing PlacedBatch, Range<Int>) -> Void) { body(placed, run) }

    @inline(__always)
    mutating func release(_ run: Range<Int>) {
        if !run.isEmpty { lastReleased = placed.times[run.upperBound - 1] }
        position = run.upperBound
        isDone = position == placed.times.count
    }
}

/// The batches that are in one merge, by contestant: storage for values that cannot be copied.
///
/// An array of the standard library holds copyable elements only, and reading one copies it. A place may be empty; the
/// table knows which are, and releases what is left in it.
struct MergeFronts: ~Copyable {
    private let fronts: UnsafeMutablePointer<MergeFront>
    private var isHeld: [Bool] = []
    private let capacity: Int

    init(capacity: Int) {
        self.capacity = capacity
        fronts = .allocate(capacity: capacity)
        isHeld.reserveCapacity(capacity)
    }

    deinit {
        for place in isHeld.indices where isHeld[place] { (fronts + place).deinitialize(count: 1) }
        fronts.deallocate()
    }

    func holds(_ place: Int) -> Bool { isHeld[place] }

    mutating func append(_ front: consuming MergeFront) {
        precondition(isHeld.count < capacity)
        (fronts + isHeld.count).initialize(to: front)
        isHeld.append(true)
    }

    mutating func take(_ place: Int) -> MergeFront {
        precondition(isHeld[place])
        isHeld[place] = false
        return (fronts + place).move()
    }

    mutating func put(_ front: consuming MergeFront, at place: Int) {
        precondition(!isHeld[place])
        (fronts + place).initialize(to: front)
        isHeld[place] = true
    }

    subscript(place: Int) -> MergeFront {
        @inline(__always) _read {
            precondition(isHeld[place])
            yield fronts[place]
        }
        @inline(__always) _modify {
            precondition(isHeld[place])
            yield &fronts[place]
        }
    }
}
