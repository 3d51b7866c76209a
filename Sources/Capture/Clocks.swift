import CLinux
import Glibc
package import TraceModel

/// Reads the clocks that stamp events, from user space, for clock probes and watermarks.
package enum TraceClockReader {
    /// The same count that the kernel would stamp an event with now; nil where this machine has no such clock.
    ///
    /// The trace clocks `mono`, `mono_raw`, `boot` and `tai` are ktime_get_*_fast_ns, the NMI-safe readings of the
    /// clocks of clock_gettime(2); `x86-tsc` is rdtsc_ordered (kernel/trace/trace.c, `trace_clocks`). In a time namespace
    /// the C library's MONOTONIC and BOOTTIME are shifted and the kernel's stamps are not: time_namespaces(7).
    package static func now(_ clock: TraceClock) -> TraceTicks? {
        switch clock {
        case .mono: nanoseconds(CLOCK_MONOTONIC)
        case .monoRaw: nanoseconds(CLOCK_MONOTONIC_RAW)
        case .boot: nanoseconds(CLOCK_BOOTTIME)
        case .tai: nanoseconds(CLOCK_TAI)
        case .x86TSC: timeStampCounter()
        case .local, .global, .perf, .uptime: nil
        }
    }

    private static func nanoseconds(_ clock: Int32) -> TraceTicks? {
        var time = timespec()
        guard clock_gettime(clock, &time) == 0 else { return nil }
        return TraceTicks(UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec))
    }

    private static func timeStampCounter() -> TraceTicks? {
        var ticks: UInt64 = 0
        return clinux_time_stamp_counter(&ticks) == 0 ? nil : TraceTicks(ticks)
    }
}

/// The processor time of this process: what tracing costs the machine that is traced.
package enum ProcessClock {
    /// User and system time of all threads; 0 where the kernel does not tell.
    package static func cpuNanoseconds() -> UInt64 {
        var time = timespec()
        guard clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) == 0 else { return 0 }
        return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    }
}
