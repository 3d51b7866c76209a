import Threading

/// Bytes of batches that the collector is ready to take. `take` waits until there are enough, or the session ends.
final class Credit: @unchecked Sendable {
    // @unchecked: the variables are only touched under `lock`.
    private let lock = ConditionLock()
    private var available: Int
    private var isClosed = false

    init(bytes: Int) { available = bytes }

    func add(_ bytes: Int) {
        lock.withLock {
            available = min(1 << 30, available + bytes)
            lock.broadcast()
        }
    }

    enum Answer: Hashable, Sendable {
        case taken
        /// None came for as long as it was waited for.
        case starved
        /// The session has ended.
        case closed
    }

    /// The guest's clock may jump meanwhile, by an hour when its machine was paused: a second's wait counts for one.
    private static let stepMilliseconds = 1_000

    /// Waits while the credit is used up, then takes `bytes`; it may go below zero by one frame, so that no frame is too
    /// large for the window.
    func take(_ bytes: Int, timeoutMilliseconds: Int) -> Answer {
        var left = timeoutMilliseconds
        return lock.withLock {
            while available <= 0, !isClosed {
                guard left > 0 else { return .starved }
                let step = min(left, Self.stepMilliseconds)
                if !lock.wait(until: MonotonicClock.deadline(after: Int64(step) * 1_000_000)) { left -= step }
            }
            available -= bytes
            return isClosed ? .closed : .taken
        }
    }

    /// `take` without waiting; false when there is no credit now.
    func takeNow(_ bytes: Int) -> Bool {
        lock.withLock {
            guard available > 0, !isClosed else { return false }
            available -= bytes
            return true
        }
    }

    func close() {
        lock.withLock {
            isClosed = true
            lock.broadcast()
        }
    }
}
