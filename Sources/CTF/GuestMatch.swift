import TraceModel

/// Finds out which host thread ran a guest's CPU, and how far the two clocks are apart: by the events alone.
///
/// A guest's events can only happen while its vCPU is in guest mode, between `kvm_entry` and `kvm_exit` of one host
/// thread. Each event votes, for each of these windows, for the offsets that would put it there. The right offset gets
/// every vote; a wrong one, or a wrong thread, as many as chance gives, unless the guest did the same thing over and over.
/// So several stretches of the recording are tried until one has a single answer.
///
/// Wall clocks tell where to look; they need to be right to two seconds, because a guest's may come from a clock chip that
/// knows only seconds.
struct GuestMatch: Hashable {
    let tid: Int32
    let cpu: Int
    /// Host time is guest time plus this.
    let offset: Int64
    /// The true offset around `guestTicks` is not farther away than this.
    let marginNanoseconds: Int64
    /// Where in the guest's time the offset was found.
    let guestTicks: UInt64

    /// Half of the range of offsets that are looked at.
    static let reachNanoseconds: Int64 = 2_000_000_000
    /// A stretch of the guest's events, and how much two clocks may drift apart in it (at 100 ppm).
    private static let stretches: [(length: UInt64, margin: Int64)] = [(500_000_000, 50_000), (50_000_000, 5_000)]
    private static let sample = 512
    private static let fewestEvents = 48
    /// What a stretch says must hold for so long before and behind it: when the true offset is out of reach, a few dozen
    /// events agree on a wrong one now and then. With what clocks may drift apart in that time.
    private static let proof: UInt64 = 5_000_000_000
    private static let proofMargin: Int64 = 500_000
    /// Stretches tried over the length of a recording.
    private static let tries = 24

    /// The first thread and stretch with a single answer; nil when there is none.
    static func find(
        times: [UInt64], cpu: Int, threads: [TraceSurvey.VCPUThread], guess: Int64
    ) -> GuestMatch? {
        for (length, margin) in stretches {
            for start in starts(times, length) {
                let stretch = events(times, from: start, length)
                guard stretch.count >= fewestEvents else { continue }
                let around = times[from: start > proof ? start - proof : 0, length + 2 * proof]
                var best: [GuestMatch] = []
                for thread in threads {
                    let votes = OffsetVotes(stretch, thread.windows, margin: margin)
                    guard let offset = votes.agreement(around: guess, reach: reachNanoseconds),
                        fits(around, thread, offset: offset.middle, margin: offset.halfWidth + margin + proofMargin)
                    else { continue }
                    best.append(
                        GuestMatch(
                            tid: thread.tid, cpu: cpu, offset: offset.middle,
                            marginNanoseconds: offset.halfWidth + margin, guestTicks: stretch[stretch.count / 2]))
                }
                if best.count == 1 { return best[0] }
            }
        }
        return nil
    }

    /// Whether nearly all events fit the thread's windows at this offset.
    static func fits(_ times: some Sequence<UInt64>, _ thread: TraceSurvey.VCPUThread, offset: Int64, margin: Int64)
        -> Bool
    {
        guard let firstWindow = thread.windows.first, let lastWindow = thread.windows.last else { return false }
        var inside = 0
        var all = 0
        var window = 0
        for time in times {
            let host = Int64(clamping: time) &+ offset
            guard host >= Int64(clamping: firstWindow.entry), host <= Int64(clamping: lastWindow.exit),
                thread.keeps(host)
            else { continue }
            all += 1
            while window + 1 < thread.windows.count, Int64(clamping: thread.windows[window].exit) &+ margin < host {
                window += 1
            }
            if host >= Int64(clamping: thread.windows[window].entry) &- margin { inside += 1 }
        }
        return all >= fewestEvents && inside * 100 >= all * 97
    }

    private static func starts(_ times: [UInt64], _ length: UInt64) -> [UInt64] {
        guard let first = times.first, let last = times.last, last > first else { return [] }
        let step = max(length, (last - first) / UInt64(tries))
        return Array(stride(from: first, to: last, by: Int(clamping: step)))
    }

    /// At most `sample` events of the stretch, evenly picked.
    private static func events(_ times: [UInt64], from start: UInt64, _ length: UInt64) -> [UInt64] {
        let all = times[from: start, length]
        guard all.count > sample else { return Array(all) }
        return (0..<sample).map { all[all.startIndex + $0 * all.count / sample] }
    }

    static func partitionPoint<Element>(_ elements: [Element], _ isBefore: (Element) -> Bool) -> Int {
        var low = 0
        var high = elements.count
        while low < high {
            let middle = (low + high) / 2
            if isBefore(elements[middle]) { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

extension [UInt64] {
    /// Of ascending times, those of a stretch.
    fileprivate subscript(from start: UInt64, length: UInt64) -> ArraySlice<UInt64> {
        let from = GuestMatch.partitionPoint(self) { $0 < start }
        return self[from..<GuestMatch.partitionPoint(self) { $0 < start &+ length }]
    }
}
