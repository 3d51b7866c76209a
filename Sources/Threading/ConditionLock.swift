import Glibc

/// A mutex with a condition: wait for what another thread will change.
package final class ConditionLock: @unchecked Sendable {
    // @unchecked: the two pthread objects are made for use from any thread; their addresses never change.
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    package init() {
        pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        // Waits are measured on the monotonic clock: setting the wall clock must not end or prolong them.
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(changed, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(changed)
        pthread_mutex_destroy(mutex)
        changed.deallocate()
        mutex.deallocate()
    }

    package func withLock<Result>(_ body: () throws -> Result) rethrows -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body()
    }

    /// Inside `withLock` only.
    package func wait() { pthread_cond_wait(changed, mutex) }

    /// Inside `withLock` only. False when `deadline` (of `MonotonicClock`) has passed.
    package func wait(until deadline: Int64) -> Bool {
        var until = timespec(tv_sec: Int(deadline / 1_000_000_000), tv_nsec: Int(deadline % 1_000_000_000))
        return pthread_cond_timedwait(changed, mutex, &until) != ETIMEDOUT
    }

    package func broadcast() { pthread_cond_broadcast(changed) }
}
