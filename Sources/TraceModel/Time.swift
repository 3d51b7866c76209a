/// A reading of the trace clock that stamped an event, in that clock's own unit.
///
/// Nanoseconds for `mono`, `mono_raw`, `boot` and `tai`; cycles for `x86-tsc`. Ticks of two sources must never be
/// compared: only `ClockMap` (room Timeline) turns them into `HostTime`, and it always says how wrong it may be.
package struct TraceTicks: Hashable, Comparable, Sendable, Codable {
    package var rawValue: UInt64

    @inlinable
    package init(_ rawValue: UInt64) { self.rawValue = rawValue }

    @inlinable
    package static func < (a: TraceTicks, b: TraceTicks) -> Bool { a.rawValue < b.rawValue }
}

/// Nanoseconds on the trace clock of the host, the one time line on which everything is merged.
///
/// Signed, so that a guest event may lie before the clock's zero, and differences never trap.
package struct HostTime: Hashable, Comparable, Sendable, Codable {
    package var nanoseconds: Int64

    @inlinable
    package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    @inlinable
    package static func < (a: HostTime, b: HostTime) -> Bool { a.nanoseconds < b.nanoseconds }

    /// Elapsed nanoseconds from `b` to `a`; saturates instead of trapping, because times can come from a hostile guest.
    @inlinable
    package static func - (a: HostTime, b: HostTime) -> Int64 {
        let (difference, overflow) = a.nanoseconds.subtractingReportingOverflow(b.nanoseconds)
        return overflow ? (a.nanoseconds < b.nanoseconds ? .min : .max) : difference
    }

    /// The time `nanoseconds` later; saturates.
    @inlinable
    package func advanced(by delta: Int64) -> HostTime {
        let (sum, overflow) = nanoseconds.addingReportingOverflow(delta)
        return HostTime(nanoseconds: overflow ? (delta < 0 ? .min : .max) : sum)
    }
}

/// One producer of events in a session: the host itself (always 0), or an agent in a guest.
///
/// The low half is the machine's number, the high half counts the agents that this machine had one after the other: one
/// that was restarted is a source of its own, with other formats, another clock and another numbering of its batches.
package struct SourceID: Hashable, Comparable, Sendable, Codable {
    package var rawValue: UInt32

    package init(_ rawValue: UInt32) { self.rawValue = rawValue }

    /// The host's own kernel.
    package static let host = SourceID(0)

    /// Of the next agent of this machine; nil when numbers have run out.
    package var successor: SourceID? {
        let (next, overflow) = rawValue.addingReportingOverflow(1 << 16)
        return overflow ? nil : SourceID(next)
    }

    package func isSameMachine(as other: SourceID) -> Bool {
        UInt16(truncatingIfNeeded: rawValue) == UInt16(truncatingIfNeeded: other.rawValue)
    }

    package static func < (a: SourceID, b: SourceID) -> Bool { a.rawValue < b.rawValue }
}

/// Clocks that stamp events (kernel/trace/trace.c, `trace_clocks`). Not `counter`, which tells an order and no time.
package enum TraceClock: String, CaseIterable, Sendable, Codable {
    case mono
    case monoRaw = "mono_raw"
    case boot
    case tai
    case x86TSC = "x86-tsc"
    case local
    case global
    case perf
    case uptime

    /// User space can read it too, which is what clock probes need: the last four have no `clock_gettime` twin. They come
    /// with files that others recorded.
    package var isReadable: Bool {
        switch self {
        case .mono, .monoRaw, .boot, .tai, .x86TSC: true
        case .local, .global, .perf, .uptime: false
        }
    }

    /// What a live session can use.
    package static let readable = allCases.filter(\.isReadable)

    /// Whether one tick is one nanosecond by definition.
    package var countsNanoseconds: Bool { self != .x86TSC }
}

/// One exchange with a guest: the four time stamps of NTP (RFC 5905 §8), in the clocks that stamp the events.
///
/// Whatever the delays were, the guest's first reading lies after `hostSent` and its second before `hostReceived`.
package struct ClockProbe: Hashable, Sendable, Codable {
    package var hostSent: HostTime
    package var guestReceived: TraceTicks
    package var guestSent: TraceTicks
    package var hostReceived: HostTime

    package init(hostSent: HostTime, guestReceived: TraceTicks, guestSent: TraceTicks, hostReceived: HostTime) {
        self.hostSent = hostSent
        self.guestReceived = guestReceived
        self.guestSent = guestSent
        self.hostReceived = hostReceived
    }
}
