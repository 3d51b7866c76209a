import Capture
package import Threading
package import TraceModel

/// Where a recording goes: into frames in the guest, into the pipeline's queue on the host.
package struct RecordingOutlet {
    /// Whether a batch would be taken without waiting; when not, events are shed.
    package var hasRoom: () -> Bool
    package var batch: (EventBatch) -> Void
    package var watermark: (TraceTicks) -> Void
    package var statistics: (SourceStatistics) -> Void
    package var onlineCPUs: ([Int]) -> Void
    /// Nil where nobody asks what this machine was told about stolen time.
    package var steal: ((StealSample) -> Void)?

    package init(
        hasRoom: @escaping () -> Bool, batch: @escaping (EventBatch) -> Void,
        watermark: @escaping (TraceTicks) -> Void, statistics: @escaping (SourceStatistics) -> Void,
        onlineCPUs: @escaping ([Int]) -> Void, steal: ((StealSample) -> Void)? = nil
    ) {
        self.hasRoom = hasRoom
        self.batch = batch
        self.watermark = watermark
        self.statistics = statistics
        self.onlineCPUs = onlineCPUs
        self.steal = steal
    }
}

extension TraceRecorder {
    private static let reportNanoseconds: Int64 = 1_000_000_000

    /// Records what is traced since `start`, until `stop` is set: rounds at the pacer's pace, the books once a second. On
    /// `drain` tracing is switched off and what is left delivered, then the final statistics; on `abandon` nothing more.
    package func run(flushMilliseconds: Int, stop: Latch, into outlet: RecordingOutlet) throws {
        var pacer = RoundPacer(
            longestMilliseconds: flushMilliseconds, bufferKiBPerCPU: instance.geometry.kibibytesPerCPU)
        var nextReport = MonotonicClock.nanoseconds()
        while stop.value == .none {
            let now = MonotonicClock.nanoseconds()
            if now >= nextReport {
                if try rescan() { outlet.onlineCPUs(onlineCPUs) }
                outlet.statistics(try statistics(isFinal: false))
                if let steal = outlet.steal, let sample = StealTime.sample(clock) { steal(sample) }
                nextReport = now + Self.reportNanoseconds
            }
            let round = try round(into: outlet, isShedding: { !outlet.hasRoom() })
            stop.wait(nanoseconds: pacer.next(events: round.events, isBehind: round.isBehind))
        }
        guard stop.value == .drain else { return }
        try self.stop()
        // Nothing new is written now, so nothing is overwritten while we wait for room: what is left is delivered and not
        // shed. Events that were being written when tracing went off are there after a round or two.
        let waitsForRoom: () -> Bool = {
            while stop.value == .drain, !outlet.hasRoom() {
                MonotonicClock.sleep(nanoseconds: RoundPacer.shortestNanoseconds)
            }
            return stop.value != .drain
        }
        while stop.value == .drain, try round(into: outlet, isShedding: waitsForRoom).isUnfinished {}
        guard stop.value == .drain else { return }
        if let steal = outlet.steal, let sample = StealTime.sample(clock) { steal(sample) }
        outlet.statistics(try statistics(isFinal: true))
    }

    private func round(into outlet: RecordingOutlet, isShedding: () -> Bool) throws -> Round {
        let round = try round(isShedding: isShedding, deliver: outlet.batch)
        outlet.watermark(round.watermark)
        return round
    }
}
