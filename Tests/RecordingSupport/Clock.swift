import Glibc

/// Clocks for durations.
package enum Clock {
    /// Monotonic time.
    package static func nanoseconds() -> UInt64 { read(CLOCK_MONOTONIC) }

    /// Time on a CPU of the calling thread: what work costs, whoever else is on the machine.
    package static func threadCPUNanoseconds() -> UInt64 { read(CLOCK_THREAD_CPUTIME_ID) }

    /// Time on a CPU of all child processes that have ended and were waited for.
    package static func childrenCPUNanoseconds() -> UInt64 {
        var usage = rusage()
        unsafe getrusage(Int32(RUSAGE_CHILDREN.rawValue), &usage)
        func nanoseconds(_ time: timeval) -> UInt64 {
            UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_usec) * 1000
        }
        return nanoseconds(usage.ru_utime) + nanoseconds(usage.ru_stime)
    }

    /// The most memory that this process ever had resident.
    package static func peakResidentKilobytes() -> Int {
        var usage = rusage()
        unsafe getrusage(Int32(RUSAGE_SELF.rawValue), &usage)
        return usage.ru_maxrss
    }

    private static func read(_ clock: clockid_t) -> UInt64 {
        var time = timespec()
        unsafe clock_gettime(clock, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
