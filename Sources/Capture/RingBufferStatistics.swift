package import TraceModel

/// What the kernel counts per CPU: `per_cpu/cpuN/stats` (kernel/trace/trace.c, tracing_stats_read).
///
/// `overrun` is the number of events overwritten unread; together with the events delivered it makes up all that were
/// produced.
package struct RingBufferStatistics: Hashable, Sendable {
    /// Events in the buffer, unread.
    package var entries: UInt64
    /// Events overwritten before they were read.
    package var overrun: UInt64
    /// Events lost because the buffer filled up while a write to it was interrupted.
    package var commitOverrun: UInt64
    /// Bytes of data in the buffer, unread.
    package var bytes: UInt64
    /// Events lost because the buffer was full and does not overwrite.
    package var droppedEvents: UInt64
    package var readEvents: UInt64
    /// All that were produced and will never be read.
    package var lostEvents: UInt64 { overrun &+ commitOverrun &+ droppedEvents }
    /// The stamp of the oldest event. Clocks in nanoseconds are shown with six decimals of a second, so that this and
    /// `nowTicks` can be up to 999 ns too early, and never too late.
    package var oldestTicks: TraceTicks?
    /// The trace clock when the file was read.
    package var nowTicks: TraceTicks?

    package init(
        entries: UInt64, overrun: UInt64, commitOverrun: UInt64, bytes: UInt64, droppedEvents: UInt64,
        readEvents: UInt64, oldestTicks: TraceTicks? = nil, nowTicks: TraceTicks? = nil
    ) {
        self.entries = entries
        self.overrun = overrun
        self.commitOverrun = commitOverrun
        self.bytes = bytes
        self.droppedEvents = droppedEvents
        self.readEvents = readEvents
        self.oldestTicks = oldestTicks
        self.nowTicks = nowTicks
    }

    /// Nil when a counter is missing. The two stamps are not counters, and a line that is unknown is passed over.
    ///
    /// Over bytes and not characters, because this is read for every CPU again and again while tracing.
    package init?(parsing text: String) {
        var counters = (
            entries: UInt64?.none, overrun: UInt64?.none, commitOverrun: UInt64?.none, bytes: UInt64?.none,
            droppedEvents: UInt64?.none, readEvents: UInt64?.none
        )
        var oldest: TraceTicks?
        var now: TraceTicks?
        for line in text.utf8.split(separator: UInt8(ascii: "\n")) {
            guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { continue }
            let value = Substring(line[colon...].dropFirst().drop { $0 == UInt8(ascii: " ") })
            switch Substring(line[..<colon]) {
            case "entries": counters.entries = UInt64(value)
            case "overrun": counters.overrun = UInt64(value)
            case "commit overrun": counters.commitOverrun = UInt64(value)
            case "bytes": counters.bytes = UInt64(value)
            case "dropped events": counters.droppedEvents = UInt64(value)
            case "read events": counters.readEvents = UInt64(value)
            case "oldest event ts": oldest = RingBufferStatistics.ticks(value)
            case "now ts": now = RingBufferStatistics.ticks(value)
            default: break
            }
        }
        guard let entries = counters.entries, let overrun = counters.overrun, let bytes = counters.bytes,
            let commitOverrun = counters.commitOverrun, let droppedEvents = counters.droppedEvents,
            let readEvents = counters.readEvents
        else { return nil }
        self.init(
            entries: entries, overrun: overrun, commitOverrun: commitOverrun, bytes: bytes,
            droppedEvents: droppedEvents, readEvents: readEvents, oldestTicks: oldest, nowTicks: now)
    }

    /// `1678.405504` of a clock in nanoseconds, `1234567` of one that counts.
    private static func ticks(_ text: Substring) -> TraceTicks? {
        guard let point = text.utf8.firstIndex(of: UInt8(ascii: ".")) else { return UInt64(text).map(TraceTicks.init) }
        let fraction = text[point...].dropFirst()
        guard let whole = UInt64(text[..<point]), fraction.utf8.count == 6, let micros = UInt64(fraction) else {
            return nil
        }
        let (seconds, isTooLong) = whole.multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, isPastEnd) = seconds.addingReportingOverflow(micros * 1000)
        return isTooLong || isPastEnd ? nil : TraceTicks(sum)
    }
}
