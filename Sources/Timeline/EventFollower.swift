/// Follows a guest's events from where its clock's offset is known, and finds out what the windows of their vCPU prove.
///
/// Wherever the clock map has an event, with its bound, the event lies in one of the windows of guest mode there. What the
/// interval reaches beyond the first or the last of them is cut off, and so the map becomes better, from event to event.
/// Where several events in a short time have no window, the clock is another one, and so it is where they begin.
import TraceModel

struct EventFollower {
    private let match: ThreadMatch
    private let thread: ClockSurvey.VCPUThread
    private let isBackward: Bool
    private var map = ClockMap(clock: .mono)
    private(set) var messages: [GuestSync.Message] = []
    /// Events that no window can hold, and how many have been followed since they were none.
    private var impossible: (since: UInt64, count: Int, events: Int)?

    /// A cut of less than this share of the bound does not make the map worth a change.
    private static let worthwhileShare: Int64 = 16
    /// So many within so many events are no accident.
    private static let impossibleEvents = 4
    private static let impossibleSpan = 256
    /// A map that says no more is of no use.
    private static let widest: Int64 = 500_000_000

    init(_ match: ThreadMatch, _ thread: ClockSurvey.VCPUThread, isBackward: Bool) {
        self.match = match
        self.thread = thread
        self.isBackward = isBackward
        let host = Int64(clamping: match.guestTicks) &+ match.offset
        _ = map.add(probe(match.guestTicks, in: host &- match.marginNanoseconds...host &+ match.marginNanoseconds))
    }

    /// Takes events in the order in which they lead away from the match; the first that cannot be of this clock, nil when all
    /// can.
    mutating func follow(_ times: some Sequence<UInt64>) -> UInt64? {
        for time in times {
            guard let possible = possible(time) else { continue }
            if let known = impossible, known.events >= Self.impossibleSpan { impossible = nil }
            impossible?.events += 1
            guard let found = stay(in: possible) else {
                impossible = (impossible?.since ?? time, (impossible?.count ?? 0) + 1, impossible?.events ?? 0)
                if let known = impossible, known.count >= Self.impossibleEvents { return known.since }
                continue
            }
            let cut = max(found.reach.lowerBound - possible.lowerBound, possible.upperBound - found.reach.upperBound)
            if found.isOne || cut > 0 { note(time, found.reach, isOne: found.isOne) }
            guard cut > (possible.upperBound - possible.lowerBound) / (2 * Self.worthwhileShare) else { continue }
            if map.add(probe(time, in: found.reach)) == .newEpoch { return impossible?.since ?? time }
        }
        return nil
    }

    /// Host times that the event can have; nil where the map says nothing any more.
    private func possible(_ time: UInt64) -> ClosedRange<Int64>? {
        guard let placed = map.hostTime(TraceTicks(mirrored(time))), placed.boundNanoseconds < Self.widest else {
            return nil
        }
        let middle = mirrored(placed.time.nanoseconds)
        return middle &- placed.boundNanoseconds...middle &+ placed.boundNanoseconds
    }

    /// What is left of `possible` in guest mode, from end to end; where it touches one known stay, all of that.
    private func stay(in possible: ClosedRange<Int64>) -> (reach: ClosedRange<Int64>, isOne: Bool)? {
        let first = thread.spans.partitionPoint { Int64(clamping: $0.exit) < possible.lowerBound }
        let end = thread.spans.partitionPoint { Int64(clamping: $0.entry) <= possible.upperBound }
        guard first < end else { return nil }
        let (begins, ends) = (thread.spans[first], thread.spans[end - 1])
        let (entry, exit) = (Int64(clamping: begins.entry), Int64(clamping: ends.exit))
        if first + 1 == end, begins.isKnown { return (entry...exit, true) }
        let low = begins.isKnown ? max(entry, possible.lowerBound) : possible.lowerBound
        let high = ends.isKnown ? min(exit, possible.upperBound) : possible.upperBound
        return (low...max(low, high), false)
    }

    private mutating func note(_ time: UInt64, _ reach: ClosedRange<Int64>, isOne: Bool) {
        let (entry, exit) = (UInt64(clamping: reach.lowerBound), UInt64(clamping: reach.upperBound))
        if isOne, let last = messages.last, last.entry == entry, last.exit == exit {
            messages[messages.count - 1] = GuestSync.Message(
                entry: entry, first: min(last.first, time), last: max(last.last, time), exit: exit)
        } else {
            messages.append(GuestSync.Message(entry: entry, first: time, last: time, exit: exit))
        }
    }

    // MARK: Direction

    /// A map follows a clock forwards; backwards, it follows its mirror image.
    private func mirrored(_ time: UInt64) -> UInt64 { isBackward ? 2 &* match.guestTicks &- time : time }

    private func mirrored(_ host: Int64) -> Int64 {
        isBackward ? 2 &* (Int64(clamping: match.guestTicks) &+ match.offset) &- host : host
    }

    private func probe(_ time: UInt64, in reach: ClosedRange<Int64>) -> ClockProbe {
        let ticks = TraceTicks(mirrored(time))
        let ends = [mirrored(reach.lowerBound), mirrored(reach.upperBound)]
        return ClockProbe(
            hostSent: HostTime(nanoseconds: min(ends[0], ends[1])), guestReceived: ticks, guestSent: ticks,
            hostReceived: HostTime(nanoseconds: max(ends[0], ends[1])))
    }
}
