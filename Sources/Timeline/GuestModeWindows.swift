/// When one vCPU was in guest mode, as far as its host's `kvm_entry` and `kvm_exit` tell: a guest writes events only then.
///
/// KVM writes `kvm_entry` before it enters and `kvm_exit` after it has left (svm_vcpu_run and svm_handle_exit,
/// vmx_vcpu_run and vmx_handle_exit), so that a window is never too short. Where an event may be missing, the whole time
/// in question counts as guest mode: a window may be too long, which proves less and never something wrong.
///
/// One thing is not seen like that: a stay that is missing as a whole. Nothing but a filter on both events makes one, and then
/// both are also missing alone; where that happens often, nothing of this vCPU is believed any more (`arePartial`).
///
/// So each event of the guest is two messages. It came after the entry of its window and before the exit: `narrowed` cuts
/// what is known of its time down to the windows, and what it cuts off becomes a floor or a ceiling of the clock.
package import TraceModel

package struct GuestModeWindows: Sendable, Codable {
    private struct Window: Codable {
        var start: Int64
        /// `.max` while the vCPU is inside.
        var end: Int64
    }

    /// Ascending, apart. Before the first host event of this vCPU, it may have been inside.
    private var windows = [Window(start: .min, end: .max)]
    private var isSeen = false
    /// Nothing was lost since the last event.
    private var isCertain = false
    private var crossings = 0
    private var missingEntries = 0
    private var missingExits = 0
    /// Entries and exits are missing by turns: no gap proves anything, and the vCPU may always be inside.
    package private(set) var arePartial = false
    /// So many of both, and one in so many of all, are no accident.
    private static let fewestMissing = 16
    private static let missingShare = 64

    static func arePartial(missingEntries: Int, missingExits: Int, of crossings: Int) -> Bool {
        let missing = min(missingEntries, missingExits)
        return missing >= fewestMissing && missing >= crossings / missingShare
    }

    /// Of the vCPU's last entry or exit.
    private var lastEvent = Int64.min
    /// Up to here windows were forgotten: the vCPU may have been inside.
    private var forgotten = Int64.min
    /// Of a vCPU whose guest writes no event, so that nobody asks and nobody says what is done with.
    private static let most = 1 << 16
    /// Where the last search ended; events come in order.
    private var hint = 0

    package init() {}

    package mutating func entered(at time: HostTime) {
        guard isWhole(missing: isInside ? \.missingExits : nil) else { return }
        let time = time.nanoseconds
        if !isSeen {
            // Everything before may have been inside, and this still is.
            isSeen = true
        } else if let last = windows.last, last.end != .max {
            windows.append(Window(start: max(time, last.end), end: .max))
            if windows.count > Self.most { forget(Self.most / 2) }
        }
        lastEvent = time
    }

    private var isInside: Bool { windows.last?.end == .max }

    /// Counts a crossing, and what it shows to be missing; false when nothing is believed any more.
    private mutating func isWhole(missing event: WritableKeyPath<GuestModeWindows, Int>?) -> Bool {
        guard !arePartial else { return false }
        if isCertain, let event { self[keyPath: event] += 1 }
        isCertain = true
        crossings += 1
        arePartial = Self.arePartial(missingEntries: missingEntries, missingExits: missingExits, of: crossings)
        guard arePartial else { return true }
        windows = [Window(start: .min, end: .max)]
        hint = 0
        return false
    }

    package mutating func left(at time: HostTime) {
        guard isWhole(missing: isInside ? nil : \.missingEntries) else { return }
        let time = time.nanoseconds
        if let last = windows.last, last.end != .max {
            // An entry is missing, since the last event.
            windows[windows.count - 1].end = max(last.end, time)
        } else {
            windows[windows.count - 1].end = max(time, windows[windows.count - 1].start)
        }
        isSeen = true
        lastEvent = time
    }

    /// Events of the host may be missing from the last one of this vCPU on: it may be inside until the next.
    package mutating func lost() {
        isCertain = false
        guard isSeen, let last = windows.last, last.end != .max else { return }
        windows.append(Window(start: max(lastEvent, last.end), end: .max))
        if windows[windows.count - 2].end == windows[windows.count - 1].start {
            windows[windows.count - 2].end = .max
            windows.removeLast()
        }
    }

    /// Until when the vCPU was last inside before `time`; `time` itself when it may have been then, nil when it never was.
    package func insideUntil(_ time: HostTime) -> HostTime? {
        guard let last = windows.last(where: { $0.start < time.nanoseconds }) else {
            return forgotten == .min ? nil : HostTime(nanoseconds: min(forgotten, time.nanoseconds))
        }
        return HostTime(nanoseconds: min(last.end, time.nanoseconds))
    }

    /// No event before `time` will be asked for any more.
    package mutating func forget(before time: HostTime) {
        // The last one stays: an exit whose entry is missing lengthens it.
        let done = min(windows.partitionPoint { $0.end < time.nanoseconds }, windows.count - 1)
        // In bulk: moving the rest for every window would cost more than it frees.
        guard done >= 64 else { return }
        forget(done)
    }

    private mutating func forget(_ count: Int) {
        forgotten = windows[count - 1].end
        windows.removeFirst(count)
        hint = 0
    }

    /// The part of `range` in which the vCPU can have been inside, from end to end; nil when there is none.
    package mutating func narrowed(_ range: ClosedRange<HostTime>) -> ClosedRange<HostTime>? {
        let (low, high) = (range.lowerBound.nanoseconds, range.upperBound.nanoseconds)
        let isForgotten = low < forgotten
        guard let first = firstWindow(endingAtOrAfter: low), windows[first].start <= high else {
            return isForgotten ? range.lowerBound...HostTime(nanoseconds: min(high, forgotten)) : nil
        }
        var last = first
        while last + 1 < windows.count, windows[last + 1].start <= high { last += 1 }
        return HostTime(
            nanoseconds: isForgotten ? low : max(low, windows[first].start))...HostTime(
                nanoseconds: min(high, windows[last].end))
    }

    private mutating func firstWindow(endingAtOrAfter time: Int64) -> Int? {
        if hint >= windows.count || hint > 0 && windows[hint - 1].end >= time {
            hint = windows.partitionPoint { $0.end < time }
        }
        while hint < windows.count, windows[hint].end < time { hint += 1 }
        return hint < windows.count ? hint : nil
    }
}
