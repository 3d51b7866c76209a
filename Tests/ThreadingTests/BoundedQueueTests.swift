import Synchronization
import Testing
import Threading

@Suite(.timeLimit(.minutes(10))) struct BoundedQueueTests {
    /// A queue of numbers that each weigh what they say.
    private func queue(bound: Int, holding weights: [Int] = []) -> BoundedQueue<Int> {
        let queue = BoundedQueue<Int>(maximumWeight: bound)
        for weight in weights { queue.put(weight, weight: weight) }
        return queue
    }

    private func check(
        bound: Int, holding: [Int], _ weight: Int, fits: Bool, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let queue = queue(bound: bound, holding: holding)
        #expect(queue.hasRoom(for: weight) == fits, sourceLocation: sourceLocation)
        #expect(queue.pendingWeight == holding.reduce(0, +), sourceLocation: sourceLocation)
    }

    @Test func `what goes in first comes out first, over many more elements than are moved at once`() {
        let queue = queue(bound: .max)
        var taken: [Int] = []
        for number in 0..<5000 {
            queue.push(number, weight: 1)
            // Three in, two out: the queue never empties, and its places are used again.
            if number % 3 != 0 { queue.pop().map { taken.append($0) } }
        }
        while let number = queue.pop(timeoutNanoseconds: 0) { taken.append(number) }
        #expect(taken == Array(0..<5000))
        #expect(queue.pendingWeight == 0)
    }

    @Test func `room is what the bound leaves, and an empty queue takes anything`() {
        check(bound: 10, holding: [], 10, fits: true)
        check(bound: 10, holding: [], 11, fits: true)
        check(bound: 10, holding: [4], 6, fits: true)
        check(bound: 10, holding: [4], 7, fits: false)
        check(bound: 10, holding: [10], 1, fits: false)
        check(bound: 10, holding: [11], 0, fits: false)
    }

    @Test func `put goes beyond the bound, and room comes back as elements are taken`() {
        let queue = queue(bound: 10, holding: [8, 8])
        #expect(queue.pendingWeight == 16)
        #expect(!queue.hasRoom(for: 1))
        #expect(queue.pop() == 8)
        #expect(queue.hasRoom(for: 2))
        #expect(!queue.hasRoom(for: 3))
    }

    @Test func `push waits for room`() {
        let queue = queue(bound: 10, holding: [10])
        let done = BoundedQueue<Bool>(maximumWeight: 1)
        Thread.start("pusher") { done.put(queue.push(5, weight: 5), weight: 1) }
        #expect(done.pop(timeoutNanoseconds: 20_000_000) == nil, "it did not wait")
        #expect(queue.pop() == 10)
        #expect(done.pop(timeoutNanoseconds: 10_000_000_000) == true)
        #expect(queue.pop() == 5)
    }

    @Test func `close ends a push that waits and drops its element`() {
        let queue = queue(bound: 10, holding: [10])
        let done = BoundedQueue<Bool>(maximumWeight: 1)
        Thread.start("pusher") { done.put(queue.push(5, weight: 5), weight: 1) }
        MonotonicClock.sleep(nanoseconds: 5_000_000)
        queue.close()
        #expect(done.pop(timeoutNanoseconds: 10_000_000_000) == false)
        #expect(queue.pop() == 10)
        #expect(queue.pop() == nil)
    }

    @Test func `a closed queue gives what it holds and takes nothing more`() {
        let queue = queue(bound: 10, holding: [1, 2])
        queue.close()
        queue.put(3, weight: 3)
        #expect(!queue.push(4, weight: 4))
        #expect(!queue.hasRoom(for: 1))
        #expect(!queue.isFinished)
        #expect(queue.pop() == 1)
        #expect(queue.pop() == 2)
        #expect(queue.isFinished)
        #expect(queue.pop() == nil)
    }

    @Test func `close wakes a reader that waits for ever`() {
        let queue = queue(bound: 10)
        let done = BoundedQueue<Bool>(maximumWeight: 1)
        Thread.start("reader") { done.put(queue.pop() == nil, weight: 1) }
        MonotonicClock.sleep(nanoseconds: 5_000_000)
        queue.close()
        #expect(done.pop(timeoutNanoseconds: 10_000_000_000) == true)
    }

    @Test func `a pop with a time limit takes as long as it says`() {
        let queue = queue(bound: 10)
        let begin = MonotonicClock.nanoseconds()
        #expect(queue.pop(timeoutNanoseconds: 30_000_000) == nil)
        #expect(MonotonicClock.nanoseconds() - begin >= 30_000_000)
        let next = MonotonicClock.nanoseconds()
        #expect(queue.pop(timeoutNanoseconds: 0) == nil)
        #expect(MonotonicClock.nanoseconds() - next < 1_000_000_000)
    }

    @Test func `a limit beyond the end of time is none`() {
        let queue = queue(bound: 10, holding: [1])
        #expect(queue.pop(timeoutNanoseconds: .max) == 1)
    }

    @Test func `an element that was taken is not kept alive by those behind it`() {
        let queue = BoundedQueue<Token>(maximumWeight: .max)
        let alive = Counter()
        for _ in 0..<100 { queue.put(Token(alive), weight: 1) }
        for _ in 0..<60 { _ = queue.pop() }
        #expect(alive.value == 40)
    }

    @Test func `threads on both sides lose nothing and keep the order of each`() {
        let queue = queue(bound: 64)
        let writers = 4
        let each = 5000
        for writer in 0..<writers {
            Thread.start("writer") {
                for number in 0..<each { queue.push(writer * each + number, weight: 1 + number % 7) }
            }
        }
        var next = Array(repeating: 0, count: writers)
        for _ in 0..<writers * each {
            guard let value = queue.pop(timeoutNanoseconds: 20_000_000_000) else { break }
            #expect(value % each == next[value / each])
            next[value / each] += 1
        }
        #expect(next == Array(repeating: each, count: writers))
        #expect(queue.pendingWeight == 0)
    }
}

private final class Counter: Sendable {
    private let count = Atomic(0)
    var value: Int { count.load(ordering: .relaxed) }
    func add(_ number: Int) { count.add(number, ordering: .relaxed) }
}

/// Counts itself while it lives.
private final class Token: Sendable {
    private let counter: Counter

    init(_ counter: Counter) {
        self.counter = counter
        counter.add(1)
    }

    deinit { counter.add(-1) }
}
