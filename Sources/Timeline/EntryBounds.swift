/// Bounds without probes: a guest's events lie where its vCPU was in guest mode.
///
/// `kvm_entry` before the first event that follows it is a message from host to guest, the last event before `kvm_exit`
/// one back (`GuestModeWindows`). They come by themselves, thousands of times a second, and their delay is some hundred
/// nanoseconds, where a probe's is many microseconds. But which entry an event follows is known only as far as its time
/// is: so it is the interval of its possible times that is cut down to the windows. Where it reaches beyond one into a
/// gap, the gap is cut off, and that is a floor or a ceiling as hard as a probe's.
package import TraceModel

extension ClockMap {
    /// There is something to gain: the map is measured, and its bound is wider than the windows can be sharp.
    package var canBeNarrowed: Bool { !isIdentity && !isKnownByKVM && given.isEmpty && line != nil }

    /// A cut of less than this share of the bound is not worth the work.
    private static let worthwhileShare = 16.0
    /// Windows end where the host wrote an event, which takes it about as long.
    private static let sharpestNanoseconds = 32.0
    /// So many events in a row outside of every window are no accident: the clock was stepped.
    private static let impossibleEvents = 16

    /// Takes in what the windows of the batch's CPU say about its events. The host's events before `known` are all in them.
    package mutating func narrow(
        _ batch: EventBatch, to windows: inout GuestModeWindows, knownBefore known: HostTime
    ) -> Outcome {
        guard let first = batch.headers.first, let last = batch.headers.last, let line else { return .used }
        var newest = line
        var bound = max(newest.boundNanoseconds(first.ticks), newest.boundNanoseconds(last.ticks))
        for header in batch.headers {
            guard bound > Self.sharpestNanoseconds else { break }
            let ticks = header.ticks
            let time = newest.hostTime(ticks)
            let reach = Int64(saturating: bound)
            // Whose clock it is of must be certain.
            if let passage, !passage.isOver(batch.cpu),
                passage.earliest(ticks, cpu: batch.cpu, new: (time, reach), present: present) != (time, reach)
            {
                continue
            }
            let possible = time.advanced(by: -reach)...time.advanced(by: reach)
            guard let narrowed = windows.narrowed(possible) else {
                guard possible.upperBound < known else { continue }
                impossible += 1
                guard impossible >= Self.impossibleEvents else { continue }
                return lose()
            }
            impossible = 0
            let worthwhile = Int64(saturating: bound / Self.worthwhileShare)
            var isNarrower = false
            if narrowed.lowerBound - possible.lowerBound > worthwhile {
                isNarrower = true
                guard add(.floor, ticks, narrowed.lowerBound) else { return lose() }
            }
            if possible.upperBound < known, possible.upperBound - narrowed.upperBound > worthwhile {
                isNarrower = true
                guard add(.ceiling, ticks, narrowed.upperBound) else { return lose() }
            }
            guard isNarrower, let better = refreshedLine() else { continue }
            newest = better
            bound = max(newest.boundNanoseconds(first.ticks), newest.boundNanoseconds(last.ticks))
        }
        // Where the old clock may have stamped the first event, the new one's line would put it anywhere.
        if passage?.isOver(batch.cpu) != false {
            windows.forget(before: newest.hostTime(first.ticks).advanced(by: -2 * Int64(saturating: bound)))
        }
        return .used
    }
}
