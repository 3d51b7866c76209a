/// What has to be known of traces to find out how the clocks of a host and its guests lie to each other: when a guest's
/// events were, and when the host's threads were in guest mode.
///
/// Bounded: of a long trace every second, fourth, eighth … second is kept, which is plenty to find out how two clocks
/// differ. Of the seconds that are not kept, and of the time before the first entry and behind the last, nothing is known: the
/// vCPU may have been inside. Where events were lost a stay is made too long, never too short or left out, as in
/// `GuestModeWindows`; and where entries and exits are missing by turns, so that whole stays may be, none is believed.
package import TraceModel

package struct ClockSurvey: Sendable {
    /// A time in which a vCPU was, or may have been, in guest mode.
    package struct Span: Sendable {
        package var entry: UInt64
        package var exit: UInt64
        /// From a `kvm_entry` to the `kvm_exit` after it. Of what is not, nothing is known, nor that it ends there.
        package var isKnown: Bool
    }

    /// A host's thread that runs a vCPU.
    package struct VCPUThread: Sendable {
        package let tid: Int32
        /// As `kvm_exit` tells; nil when it does not.
        package let number: Int32?
        /// Ascending, from the beginning of time to its end.
        package let spans: [Span]
    }

    private enum Kind: UInt8 { case entry, exit, loss }

    private struct Crossing {
        var ticks: UInt64
        var kind: Kind
    }

    private struct Thread {
        var number: Int32?
        var crossings: [Crossing] = []
    }

    /// Times of all events, by CPU.
    package private(set) var times: [Int: [UInt64]] = [:]
    private var gathered: [Int32: Thread] = [:]
    /// Of the host: events of some CPU may be missing around these.
    private var losses: [UInt64] = []
    /// Of the host's CPUs, the last event.
    private var latest: [Int: UInt64] = [:]
    /// CPUs of the host whose next event is the first behind a loss.
    private var isLossOpen: Set<Int> = []
    private var keptTimes = 0
    private var keptCrossings = 0
    private var timeStride: UInt64 = 1
    private var crossingStride: UInt64 = 1
    static let block: UInt64 = 1_000_000_000

    package init() {}

    // MARK: Gathering

    /// When a guest's events were. Each CPU's come in order.
    package mutating func addTimes(of batch: EventBatch) {
        var kept = times[batch.cpu] ?? []
        times[batch.cpu] = nil
        for header in batch.headers where header.ticks.rawValue / Self.block % timeStride == 0 {
            kept.append(header.ticks.rawValue)
            keptTimes += 1
        }
        times[batch.cpu] = kept
        if keptTimes > Limits.surveyedTimes { thinTimes() }
    }

    /// Where the host lost events. Told of every batch of a CPU, in order: any thread may have crossed between the events before
    /// and behind.
    package mutating func addLosses(of batch: EventBatch, at time: (TraceTicks) -> UInt64) {
        if let first = batch.headers.first, isLossOpen.remove(batch.cpu) != nil { lost(at: time(first.ticks)) }
        for loss in batch.losses {
            if batch.headers.indices.contains(loss.index - 1) {
                lost(at: time(batch.headers[loss.index - 1].ticks))
            } else if let last = latest[batch.cpu] {
                lost(at: last)
            }
            if batch.headers.indices.contains(loss.index) {
                lost(at: time(batch.headers[loss.index].ticks))
            } else {
                isLossOpen.insert(batch.cpu)
            }
        }
        if let last = batch.headers.last { latest[batch.cpu] = time(last.ticks) }
    }

    /// A crossing of an unknown thread, or of any, may be missing here.
    package mutating func lost(at time: UInt64) {
        guard time / Self.block % crossingStride == 0 else { return }
        losses.append(time)
        keptCrossings += 1
        if keptCrossings > 2 * Limits.surveyedTimes { thinCrossings() }
    }

    /// Crossings may be told in any order.
    package mutating func entered(_ tid: Int32, at time: UInt64) { cross(tid, at: time, .entry) }

    /// `number` is the vCPU's, where the event tells it.
    package mutating func left(_ tid: Int32, at time: UInt64, number: Int64?) {
        cross(tid, at: time, .exit)
        if let number = number.flatMap({ Int32(exactly: $0) }), gathered[tid] != nil {
            gathered[tid]?.number = number
        }
    }

    private mutating func cross(_ tid: Int32, at time: UInt64, _ kind: Kind) {
        guard time / Self.block % crossingStride == 0, gathered[tid] != nil || gathered.count < Limits.vcpus else {
            return
        }
        gathered[tid, default: Thread()].crossings.append(Crossing(ticks: time, kind: kind))
        keptCrossings += 1
        if keptCrossings > 2 * Limits.surveyedTimes { thinCrossings() }
    }

    /// Begins anew with what was when.
    package mutating func forget() { self = ClockSurvey() }

    private mutating func thinTimes() {
        timeStride *= 2
        keptTimes = 0
        for cpu in times.keys {
            times[cpu]?.removeAll { $0 / Self.block % timeStride != 0 }
            keptTimes += times[cpu]?.count ?? 0
        }
    }

    private mutating func thinCrossings() {
        crossingStride *= 2
        losses.removeAll { $0 / Self.block % crossingStride != 0 }
        keptCrossings = losses.count
        for tid in gathered.keys {
            gathered[tid]?.crossings.removeAll { $0.ticks / Self.block % crossingStride != 0 }
            keptCrossings += gathered[tid]?.crossings.count ?? 0
        }
    }

    // MARK: Windows

    /// The threads that were seen to enter guest mode and to leave it.
    package var threads: [Int32: VCPUThread] {
        var threads: [Int32: VCPUThread] = [:]
        for (tid, thread) in gathered {
            // Nearly in order: a thread moves from CPU to CPU now and then.
            let crossings = thread.crossings.sorted { $0.ticks < $1.ticks }
            let spans = spans(of: crossings)
            guard spans.contains(where: \.isKnown) else { continue }
            threads[tid] = VCPUThread(tid: tid, number: thread.number, spans: spans)
        }
        return threads
    }

    private func spans(of crossings: [Crossing]) -> [Span] {
        var spans = [Span(entry: 0, exit: 0, isKnown: false)]
        spans.reserveCapacity(crossings.count / 2)
        var entered: UInt64?
        /// Since then it was outside; nil while nothing is known.
        var left: UInt64?
        var last: UInt64?
        /// Nothing was lost since the last crossing.
        var isCertain = false
        var (missingEntries, missingExits) = (0, 0)
        for crossing in merged(crossings) {
            let begin = crossing.ticks / Self.block * Self.block
            if let last, last < begin, crossingStride > 1 {
                // What was between is not here, nor where a stay that reaches into it ends.
                spans.append(Span(entry: entered ?? (last / Self.block + 1) * Self.block, exit: begin, isKnown: false))
                entered = nil
                left = nil
                isCertain = false
            }
            if entered == nil, left == nil, last == nil || crossing.kind != .entry {
                spans[spans.count - 1].exit = crossing.ticks
            }
            if isCertain, crossing.kind == .entry, entered != nil { missingExits += 1 }
            if isCertain, crossing.kind == .exit, entered == nil { missingEntries += 1 }
            isCertain = crossing.kind != .loss
            switch crossing.kind {
            // Once more without an exit: that is missing, and with it perhaps an entry.
            case .entry: entered = entered ?? crossing.ticks
            // Without an entry: that is missing.
            case .exit:
                if let entry = entered ?? left {
                    spans.append(Span(entry: entry, exit: crossing.ticks, isKnown: true))
                }
                entered = nil
                left = crossing.ticks
            case .loss: entered = entered ?? left
            }
            last = crossing.ticks
        }
        spans.append(Span(entry: entered ?? last ?? 0, exit: .max, isKnown: false))
        let arePartial = GuestModeWindows.arePartial(
            missingEntries: missingEntries, missingExits: missingExits, of: crossings.count)
        return arePartial ? [] : spans
    }

    private func merged(_ crossings: [Crossing]) -> [Crossing] {
        guard !losses.isEmpty else { return crossings }
        return (crossings + losses.map { Crossing(ticks: $0, kind: .loss) }).sorted { $0.ticks < $1.ticks }
    }
}
