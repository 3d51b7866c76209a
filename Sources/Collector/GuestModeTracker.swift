import Timeline
import TraceModel

/// Brings the host's entries and exits into one order over its CPUs, and keeps the windows of every guest's vCPUs.
///
/// The merge has that order too, but later: it waits for the guests, who wait for this.
struct GuestModeTracker: Codable {
    struct Event: Codable {
        enum Kind: Codable {
            case entry, exit
            /// Events of the host may be missing from here on.
            case loss
        }

        var time: HostTime
        var kind: Kind
        var tid: Int32
        /// As the event says; nil when it does not.
        var vcpu: Int?
    }

    private struct Thread: Codable {
        var source: SourceID
        var vcpu: Int?
    }

    private struct Place: Hashable, Codable {
        var source: SourceID
        var vcpu: Int
    }

    private var waiting: [Event] = []
    /// vCPU threads of the guests; the number where their names tell it.
    private var threads: [Int32: Thread] = [:]
    private var windows: [Place: GuestModeWindows] = [:]
    /// Everything before it has been told.
    private(set) var known = HostTime(nanoseconds: .min)

    /// Some entries and exits are filtered out, so that none is looked at.
    var isPartial = false

    var hasThreads: Bool { !threads.isEmpty && !isPartial }

    mutating func setThreads(_ facts: VMFacts, of source: SourceID) {
        for thread in facts.vcpuThreads { threads[thread.tid] = Thread(source: source, vcpu: thread.vcpu) }
    }

    /// Nothing of the source is still to be placed.
    mutating func remove(_ source: SourceID) {
        threads = threads.filter { $0.value.source != source }
        windows = windows.filter { $0.key.source != source }
    }

    func isFollowed(_ tid: Int32) -> Bool { threads[tid] != nil }

    mutating func add(_ event: Event) { waiting.append(event) }

    /// All host events before `time` have been added.
    mutating func settle(before time: HostTime) {
        known = max(known, time)
        guard !waiting.isEmpty else { return }
        waiting.sort { $0.time < $1.time }
        let count = waiting.partitionPoint(before: time)
        for event in waiting[..<count] { apply(event) }
        waiting.removeFirst(count)
    }

    private mutating func apply(_ event: Event) {
        if case .loss = event.kind {
            for place in windows.keys { windows[place]?.lost() }
            return
        }
        guard let thread = threads[event.tid], let vcpu = thread.vcpu ?? event.vcpu else { return }
        let place = Place(source: thread.source, vcpu: vcpu)
        if case .entry = event.kind {
            windows[place, default: GuestModeWindows()].entered(at: event.time)
        } else {
            windows[place, default: GuestModeWindows()].left(at: event.time)
        }
    }

    /// Since when no vCPU of a guest was inside, as of `time`; `time` when nothing tells.
    func quietSince(_ source: SourceID, before time: HostTime) -> HostTime {
        windows.filter { $0.key.source == source }.compactMap { $0.value.insideUntil(time) }.max() ?? time
    }

    /// Lends the windows of a vCPU; nil while none is known.
    mutating func withWindows(
        of source: SourceID, vcpu: Int, _ body: (inout GuestModeWindows) -> Void
    ) {
        let place = Place(source: source, vcpu: vcpu)
        guard let index = windows.index(forKey: place) else { return }
        body(&windows.values[index])
    }
}

extension [GuestModeTracker.Event] {
    fileprivate func partitionPoint(before time: HostTime) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if self[middle].time < time { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
