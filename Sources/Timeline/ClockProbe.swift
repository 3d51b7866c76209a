package import TraceModel

extension ClockProbe {
    /// Time on the way, both directions together, without the guest's own time.
    ///
    /// Never trusted to be positive: the guest's readings are the guest's word.
    package func roundTripNanoseconds(nanosecondsPerTick: Double = 1) -> Int64 {
        let answering = Double(guestSent.distance(from: guestReceived)) * nanosecondsPerTick
        return HostTime(nanoseconds: hostReceived - hostSent) - HostTime(nanoseconds: Int64(saturating: answering))
    }

    /// Time can have passed from the first to the last reading of each clock.
    var isOrdered: Bool { hostSent <= hostReceived && guestReceived <= guestSent }
}

extension TraceTicks {
    /// Signed distance. Wraps beyond 2^63 ticks, which no honest clock reaches and a hostile one may.
    @inline(__always)
    func distance(from other: TraceTicks) -> Int64 { Int64(bitPattern: rawValue &- other.rawValue) }
}

extension Int64 {
    /// The nearest representable integer towards zero, for any number: the value comes from a guest's readings.
    @inline(__always)
    package init(saturating value: Double) {
        guard abs(value) < 0x1p63 else {
            self = value < 0 ? .min : .max
            return
        }
        self = Int64(value)
    }
}
