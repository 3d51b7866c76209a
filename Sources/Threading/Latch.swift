/// How a session was told to end, and a sleep that ends with it.
package final class Latch: @unchecked Sendable {
    // @unchecked: the variable is only touched under `lock`.
    package enum Value: Sendable { case none, drain, abandon }

    private let lock = ConditionLock()
    private var current = Value.none

    package init() {}

    package var value: Value { lock.withLock { current } }

    /// `abandon` overrules `drain`; nothing is taken back.
    package func set(_ value: Value) {
        lock.withLock {
            if current != .abandon, value != .none { current = value }
            lock.broadcast()
        }
    }

    /// Returns after that time, or when the latch is set.
    package func wait(nanoseconds: Int64) {
        guard nanoseconds > 0 else { return }
        lock.withLock {
            let deadline = MonotonicClock.deadline(after: nanoseconds)
            while current == .none, lock.wait(until: deadline) {}
        }
    }
}
