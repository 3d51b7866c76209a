import Timeline
import TraceModel

/// A guest's clock on the host's, from what their traces prove about each other.
///
/// The first event of a vCPU after `kvm_entry` came after it, the last one before `kvm_exit` came before that: opposite
/// messages, as exact as the time between (a *zero-probe*: nothing was added to either machine). The vmsync modules'
/// hypercalls are such messages too, and so are TCP segments. All of them go into the Timeline's clock map as any probe
/// does, and what comes out is its map made afterwards: each instant bounded from both sides.
enum GuestSync {
    /// Proved of one stretch of the guest: not before, not after.
    struct Message {
        let entry: UInt64
        let first: UInt64
        let last: UInt64
        let exit: UInt64

        var probe: ClockProbe {
            ClockProbe(
                hostSent: HostTime(nanoseconds: Int64(clamping: entry)), guestReceived: TraceTicks(first),
                guestSent: TraceTicks(last), hostReceived: HostTime(nanoseconds: Int64(clamping: exit)))
        }
    }

    /// Nil when the messages do not bound the clock from both sides.
    static func clock(_ messages: [Message], method: String) -> GivenClock? {
        var map = ClockMap(clock: .mono)
        map.keepJournal()
        for message in messages.sorted(by: { $0.first < $1.first }) {
            // What contradicts the others begins a new epoch there, as in any session.
            _ = map.add(message.probe)
        }
        guard var clock = map.resynced else { return nil }
        clock.method = method
        return clock
    }

    // MARK: Messages

    /// What the windows of a guest's vCPUs prove, in the guest's order. Only events are used whose window is certain.
    static func messages(
        _ matches: [(match: GuestMatch, times: [UInt64], windows: [(entry: UInt64, exit: UInt64)])]
    ) -> [Message] {
        matches.flatMap { pair($0.match, $0.times, $0.windows) }.sorted { $0.first < $1.first }
    }

    /// The offset is known around one instant; from there it is followed in both directions.
    private static func pair(
        _ match: GuestMatch, _ times: [UInt64], _ windows: [(entry: UInt64, exit: UInt64)]
    ) -> [Message] {
        let middle = GuestMatch.partitionPoint(times) { $0 < match.guestTicks }
        var messages = follow(match, times[middle...], windows)
        messages += follow(match, times[..<middle].reversed(), windows).reversed()
        return messages
    }

    private static func follow(
        _ match: GuestMatch, _ times: some Sequence<UInt64>, _ windows: [(entry: UInt64, exit: UInt64)]
    ) -> [Message] {
        var messages: [Message] = []
        var offset = match.offset
        var margin = match.marginNanoseconds
        var bounds: (low: Int64, high: Int64) = (.min, .max)
        var since = match.guestTicks
        for time in times {
            let host = Int64(clamping: time) &+ offset
            let slack =
                margin &+ Int64(clamping: (time > since ? time - since : since - time) / driftDivisor)
            // Exactly one window can be meant.
            let index = GuestMatch.partitionPoint(windows) { Int64(clamping: $0.exit) < host &- slack }
            guard index < windows.count else { continue }
            let window = windows[index]
            guard Int64(clamping: window.entry) <= host &+ slack else { continue }
            if index + 1 < windows.count, Int64(clamping: windows[index + 1].entry) <= host &+ slack {
                continue
            }
            if let last = messages.last, last.entry == window.entry {
                messages[messages.count - 1] = Message(
                    entry: window.entry, first: min(last.first, time), last: max(last.last, time),
                    exit: window.exit)
            } else {
                messages.append(Message(entry: window.entry, first: time, last: time, exit: window.exit))
            }
            // Narrow what is known, now and then: the bounds of the last stretch become the next one's start.
            bounds.low = max(bounds.low, Int64(clamping: window.entry) &- Int64(clamping: time))
            bounds.high = min(bounds.high, Int64(clamping: window.exit) &- Int64(clamping: time))
            let elapsed = time > since ? time - since : since - time
            guard elapsed > stretchNanoseconds, bounds.low <= bounds.high else {
                if bounds.low > bounds.high { bounds = (.min, .max) }
                continue
            }
            if bounds.low > .min, bounds.high < .max, bounds.high &- bounds.low < 2 * slack {
                offset = bounds.low &+ (bounds.high &- bounds.low) / 2
                margin = (bounds.high &- bounds.low) / 2 &+ 1_000
                since = time
            }
            bounds = (.min, .max)
        }
        return messages
    }

    /// 50 ppm between two stretches.
    private static let driftDivisor: UInt64 = 20_000
    private static let stretchNanoseconds: UInt64 = 20_000_000
}
