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
    private static let binNanoseconds: Int64 = 2_000
    /// A stretch of the guest's events, and how much two clocks may drift apart in it (at 100 ppm).
    private static let stretches: [(length: UInt64, margin: Int64)] = [(500_000_000, 50_000), (50_000_000, 5_000)]
    private static let sample = 512
    private static let fewestEvents = 48
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
                var best: [GuestMatch] = []
                for thread in threads {
                    guard let offset = vote(stretch, thread.windows, guess: guess, margin: margin) else { continue }
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
    static func fits(_ times: [UInt64], _ thread: TraceSurvey.VCPUThread, offset: Int64, margin: Int64) -> Bool {
        guard let firstWindow = thread.windows.first, let lastWindow = thread.windows.last else { return false }
        var inside = 0
        var all = 0
        var window = 0
        for time in times {
            let host = Int64(clamping: time) &+ offset
            guard host >= Int64(clamping: firstWindow.entry), host <= Int64(clamping: lastWindow.exit) else { continue }
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
        let from = partitionPoint(times) { $0 < start }
        let end = partitionPoint(times) { $0 < start &+ length }
        guard end - from > sample else { return Array(times[from..<end]) }
        return (0..<sample).map { times[from + $0 * (end - from) / sample] }
    }

    /// The offsets that all events agree on; nil when they do not, or agree on several.
    private static func vote(
        _ events: [UInt64], _ windows: [(entry: UInt64, exit: UInt64)], guess: Int64, margin: Int64
    ) -> (middle: Int64, halfWidth: Int64)? {
        let bins = Int(2 * reachNanoseconds / binNanoseconds)
        var changes = [Int32](repeating: 0, count: bins + 1)
        for event in events {
            // Offset `guess - reach` is bin 0.
            let zero = Int64(clamping: event) &+ guess &- reachNanoseconds
            var index = partitionPoint(windows) { Int64(clamping: $0.exit) &+ margin < zero }
            var end = 0
            while index < windows.count {
                let low = Int64(clamping: windows[index].entry) &- margin &- zero
                guard low < 2 * reachNanoseconds else { break }
                let high = Int64(clamping: windows[index].exit) &+ margin &- zero
                // Windows widened by the margin may overlap: an event has one vote for each offset.
                let from = max(Int(max(0, low) / binNanoseconds), end)
                let to = Int(min(high, 2 * reachNanoseconds - 1) / binNanoseconds) + 1
                if from < to {
                    changes[from] += 1
                    changes[to] -= 1
                    end = to
                }
                index += 1
            }
        }
        var votes: Int32 = 0
        var most: Int32 = 0
        var first = 0
        var last = 0
        for bin in 0..<bins {
            votes += changes[bin]
            if votes > most {
                most = votes
                first = bin
            }
            if votes == most { last = bin }
        }
        let width = Int64(last - first + 1) * binNanoseconds
        guard Int(most) * 100 >= events.count * 99, width < 2_000_000 else { return nil }
        let start = guess - reachNanoseconds + Int64(first) * binNanoseconds
        return (start + width / 2, width / 2)
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
