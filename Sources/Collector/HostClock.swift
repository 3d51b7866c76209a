import Capture
import TraceModel

/// The clock with which the host stamps its events, and how its readings become host time.
struct HostClock: Sendable {
    var clock: TraceClock
    /// For `x86-tsc`.
    var scale: TSCScale?

    init(_ clock: TraceClock) throws(CaptureError) {
        self.clock = clock
        scale = clock.countsNanoseconds ? nil : try HostTSC.scale()
    }

    /// Nil where this machine has no such clock.
    func now() -> HostTime? {
        guard let ticks = TraceClockReader.now(clock) else { return nil }
        return scale?.hostTime(ticks.rawValue) ?? HostTime(nanoseconds: Int64(clamping: ticks.rawValue))
    }
}
