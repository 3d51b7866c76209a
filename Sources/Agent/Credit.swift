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

    /// Waits while the credit is used up, then takes `bytes`; it may go below zero by one frame, so that no frame is too
    /// large for the window. False when the session has ended.
    func take(_ bytes: Int) -> Bool {
        lock.withLock {
            while available <= 0, !isClosed { lock.wait() }
            available -= bytes
            return !isClosed
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
