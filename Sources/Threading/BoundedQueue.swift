/// A queue between threads that is bounded by the weight of what it holds.
///
/// What happens at the bound is the caller's choice: `push` waits (back-pressure), `hasRoom` lets it shed instead. An
/// element heavier than the bound is taken when the queue is empty, so that nothing can get stuck.
package final class BoundedQueue<Element: Sendable>: @unchecked Sendable {
    // @unchecked: every access to the variables below happens under `lock`.
    private let lock = ConditionLock()
    private let maximumWeight: Int
    /// From `head` on. A place is emptied when its element is taken: what a reader holds no more must not live on here.
    private var elements: [(element: Element, weight: Int)?] = []
    private var head = 0
    private var weight = 0
    private var isClosed = false

    package init(maximumWeight: Int) { self.maximumWeight = maximumWeight }

    private func fits(_ weight: Int) -> Bool { self.weight == 0 || self.weight + weight <= maximumWeight }

    /// Waits for room. False when the queue is closed; the element is dropped then.
    @discardableResult
    package func push(_ element: Element, weight: Int) -> Bool {
        lock.withLock {
            while !isClosed, !fits(weight) { lock.wait() }
            guard !isClosed else { return false }
            elements.append((element, weight))
            self.weight += weight
            lock.broadcast()
            return true
        }
    }

    /// Takes the element even beyond the bound: for a caller that asked `hasRoom` and may not wait.
    package func put(_ element: Element, weight: Int) { put([(element, weight)]) }

    /// Takes them all, and wakes the other side once.
    package func put(_ batch: [(element: Element, weight: Int)]) {
        lock.withLock {
            guard !isClosed, !batch.isEmpty else { return }
            elements.append(contentsOf: batch)
            weight += batch.reduce(0) { $0 + $1.weight }
            lock.broadcast()
        }
    }

    /// Whether an element of that weight would be taken without waiting.
    package func hasRoom(for weight: Int) -> Bool { lock.withLock { !isClosed && fits(weight) } }

    /// The oldest element; nil after `timeoutNanoseconds` without one, or when the queue is closed and empty.
    package func pop(timeoutNanoseconds: Int64? = nil) -> Element? {
        lock.withLock {
            let deadline = timeoutNanoseconds.map { MonotonicClock.deadline(after: $0) }
            while head == elements.count, !isClosed {
                guard let deadline else {
                    lock.wait()
                    continue
                }
                guard deadline > MonotonicClock.nanoseconds(), lock.wait(until: deadline) else { break }
            }
            guard head < elements.count, let (element, weight) = elements[head] else { return nil }
            elements[head] = nil
            head += 1
            self.weight -= weight
            if head == elements.count || head > 1024 {
                elements.removeSubrange(..<head)
                head = 0
            }
            lock.broadcast()
            return element
        }
    }

    /// Weight of what waits.
    package var pendingWeight: Int { lock.withLock { weight } }

    /// Closed, and everything was popped.
    package var isFinished: Bool { lock.withLock { isClosed && head == elements.count } }

    /// No more elements are taken; those inside can still be popped.
    package func close() {
        lock.withLock {
            isClosed = true
            lock.broadcast()
        }
    }
}
