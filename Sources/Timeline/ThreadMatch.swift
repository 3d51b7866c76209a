/// Finds out which host thread ran a guest's CPU, and how far the two clocks are apart: by the events alone.
///
/// A guest's events can only happen while its vCPU is in guest mode, between `kvm_entry` and `kvm_exit` of one host
/// thread. Each event votes, for each of these windows, for the offsets that would put it there. The right offset gets
/// every vote; a wrong one, or a wrong thread, as many as chance gives, unless the guest did the same thing over and over.
/// So several stretches of the recording are tried until one has a single answer.
///
/// Somebody has to tell where to look, give or take `reachNanoseconds` at most. Both clocks count nanoseconds.
package struct ThreadMatch: Hashable, Sendable {
    package let tid: Int32
    package let cpu: Int
    /// Host time is guest time plus this.
    package let offset: Int64
    /// The true offset around `guestTicks` is not farther away than this.
    package let marginNanoseconds: Int64
    /// Where in the guest's time the offset was found.
    package let guestTicks: UInt64

    package init(tid: Int32, cpu: Int, offset: Int64, marginNanoseconds: Int64, guestTicks: UInt64) {
        self.tid = tid
        self.cpu = cpu
        self.offset = offset
        self.marginNanoseconds = marginNanoseconds
        self.guestTicks = guestTicks
    }

    /// Half of the range of offsets that are looked at, where wall clocks tell: a guest's may come from a clock chip that knows
    /// only seconds.
    package static let reachNanoseconds: Int64 = 2_000_000_000
    /// A stretch of the guest's events, and how much two clocks may drift apart in it (at 100 ppm).
    private static let stretches: [(length: UInt64, margin: Int64)] = [(500_000_000, 50_000), (50_000_000, 5_000)]
    private static let sample = 512
    private static let fewestEvents = 48
    /// What a stretch says must hold for so long before and behind it: when the true offset is out of reach, a few dozen
    /// events agree on a wrong one now and then. With what clocks may drift apart in that time.
    private static let proof: UInt64 = 5_000_000_000
    private static let proofMargin: Int64 = 500_000
    /// The clock may have drifted since where the offset was found.
    private static let otherCPUMargin: Int64 = 100_000
    /// Stretches tried over the length of a recording.
    private static let tries = 24

    /// The host threads of a guest's CPUs; those found are no other guest's any more.
    ///
    /// - Parameters:
    ///   - guess: host time minus guest time, give or take `reach`; nil when nobody knows.
    ///   - known: what is known of a CPU without looking.
    package static func all(
        _ times: [Int: [UInt64]], among free: inout [Int32: ClockSurvey.VCPUThread], guess: Int64?,
        reach: Int64 = reachNanoseconds, known: (_ cpu: Int) -> ThreadMatch? = { _ in nil }
    ) -> [ThreadMatch] {
        var found: [ThreadMatch] = []
        // The busiest CPU first: it has most to say about the offset.
        for (cpu, times) in times.sorted(by: { ($1.value.count, $0.key) < ($0.value.count, $1.key) }) {
            let candidates = free.values.filter { $0.number == nil || Int($0.number ?? 0) == cpu }
                .sorted { $0.tid < $1.tid }
            if let known = found.first ?? known(cpu) {
                let margin = known.marginNanoseconds + Self.otherCPUMargin
                let fitting = candidates.filter { fits(times, $0, offset: known.offset, margin: margin) }
                guard fitting.count == 1 else { continue }
                found.append(
                    ThreadMatch(
                        tid: fitting[0].tid, cpu: cpu, offset: known.offset,
                        marginNanoseconds: known.marginNanoseconds, guestTicks: known.guestTicks))
            } else if let guess {
                guard let match = find(times: times, cpu: cpu, threads: candidates, guess: guess, reach: reach) else {
                    continue
                }
                found.append(match)
            }
            if let last = found.last { free[last.tid] = nil }
        }
        return found
    }

    /// The first thread and stretch with a single answer; nil when there is none.
    private static func find(
        times: [UInt64], cpu: Int, threads: [ClockSurvey.VCPUThread], guess: Int64, reach: Int64
    ) -> ThreadMatch? {
        for (length, margin) in stretches {
            for start in starts(times, length) {
                let stretch = events(times, from: start, length)
                guard stretch.count >= fewestEvents else { continue }
                let around = times[from: start > proof ? start - proof : 0, length + 2 * proof]
                var best: [ThreadMatch] = []
                for thread in threads {
                    let votes = OffsetVotes(stretch, thread.spans, margin: margin)
                    guard let offset = votes.agreement(around: guess, reach: reach),
                        fits(around, thread, offset: offset.middle, margin: offset.halfWidth + margin + proofMargin)
                    else { continue }
                    best.append(
                        ThreadMatch(
                            tid: thread.tid, cpu: cpu, offset: offset.middle,
                            marginNanoseconds: offset.halfWidth + margin, guestTicks: stretch[stretch.count / 2]))
                }
                if best.count == 1 { return best[0] }
            }
        }
        return nil
    }

    /// The same thread in another stretch, of a clock that was set anew.
    func again(in times: [UInt64], _ thread: ClockSurvey.VCPUThread) -> ThreadMatch? {
        Self.find(times: times, cpu: cpu, threads: [thread], guess: offset, reach: Self.reachNanoseconds)
    }

    /// Whether nearly all events fit the thread's windows at this offset.
    private static func fits(
        _ times: some Sequence<UInt64>, _ thread: ClockSurvey.VCPUThread, offset: Int64, margin: Int64
    ) -> Bool {
        var inside = 0
        var all = 0
        var span = 0
        for time in times {
            let host = Int64(clamping: time) &+ offset
            while span + 1 < thread.spans.count, Int64(clamping: thread.spans[span].exit) < host &- margin { span += 1 }
            let isThere = Int64(clamping: thread.spans[span].entry) <= host &+ margin
            guard !isThere || thread.spans[span].isKnown else { continue }
            all += 1
            if isThere { inside += 1 }
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
}

extension [UInt64] {
    /// Of ascending times, those of a stretch.
    fileprivate subscript(from start: UInt64, length: UInt64) -> ArraySlice<UInt64> {
        let from = partitionPoint { $0 < start }
        return self[from..<partitionPoint { $0 < start &+ length }]
    }
}
