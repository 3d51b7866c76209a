package import Capture
import Decoding
package import TraceModel

/// Traces the machine it runs on: a private tracefs instance, read round by round into batches.
///
/// The host is a trace source like any guest, so the agent and the collector both record with this. A *round* reads every
/// CPU until its ring buffer is empty and hands out one batch per CPU; the clock reading taken before the round is the
/// watermark after it, for silent CPUs as for busy ones. Not thread-safe: it belongs to the thread that runs the rounds.
package final class TraceRecorder {
    package struct Round: Sendable {
        /// Nothing earlier will come from any CPU.
        package var watermark: TraceTicks
        package var events: Int
        /// A CPU had more than one round may take: the next round should follow at once.
        package var isBehind: Bool
        /// There were events, or there are more.
        package var isUnfinished: Bool { events > 0 || isBehind }
    }

    private struct CPU {
        let number: Int
        let reader: SubBufferReader
        var lastTicks = TraceTicks(0)
        /// Losses that wait for the batch that can tell them.
        var shed: UInt64 = 0
        var lostWhileShedding: UInt64 = 0
        var lostUncounted = false
        var totalShed: UInt64 = 0
        var totalDelivered: UInt64 = 0
    }

    /// Sub-buffers of this size where the kernel offers a choice (6.8 and later): a read costs the same for 4 KiB as for 16.
    private static let subBufferKiB = 16

    package let instance: TraceInstance
    package let clock: TraceClock
    package let formats: FormatTable
    package private(set) var anomalies = AnomalyCounts()
    package private(set) var onlineCPUs = CPUList.online() ?? []
    private var decoder: SubBufferDecoder
    private var cpus: [CPU]
    private var page: [UInt8]
    private var batch = EventBatch(cpu: 0)
    private var fallbackTicks = TraceTicks(0)
    private let cpuNanosecondsAtStart = ProcessClock.cpuNanoseconds()

    /// Sets everything up; tracing stays off until `start`. `role` becomes part of the instance's name.
    ///
    /// - Throws: `CaptureError`, `EventSelectionError`, `EventFormatError` or `RecorderError`; nothing stays behind.
    package init(
        tracefs: Tracefs, role: String, clock: TraceClock, bufferKiBPerCPU: Int, events: [EventPattern]
    ) throws {
        guard TraceClockReader.now(clock) != nil else { throw RecorderError.clockUnreadable(clock) }
        let selected = try EventSelection.resolve(events, available: try tracefs.availableEvents())
        guard selected.count <= Limits.formats else { throw RecorderError.tooManyEvents(selected.count) }
        self.clock = clock
        instance = try TraceInstance(
            in: tracefs, role: role,
            settings: InstanceSettings(
                clock: clock, bufferKibibytesPerCPU: bufferKiBPerCPU, subBufferKibibytes: Self.subBufferKiB))
        var formats = FormatTable(byteOrder: .native, longSize: MemoryLayout<Int>.size)
        for enabled in try instance.enable(selected) {
            formats.append(try EventFormatParser.parse(enabled.formatText, system: enabled.event.system))
        }
        self.formats = formats
        decoder = SubBufferDecoder(formats: formats)
        cpus = try instance.rescan().map { CPU(number: $0.cpu, reader: $0) }
        page = [UInt8](repeating: 0, count: instance.geometry.subBufferBytes)
    }

    package var cpuNumbers: [Int] { cpus.map(\.number) }

    package func start() throws(CaptureError) { try instance.start() }

    package func stop() throws(CaptureError) { try instance.stop() }

    /// Reads what is there. `deliver` gets one batch per CPU that has something to tell.
    ///
    /// While `isShedding` says so, asked once per CPU, pages are read and counted but not decoded: the ring buffer must be
    /// emptied whether or not anyone can take its events, and the count goes out with the CPU's next batch.
    package func round(isShedding: () -> Bool = { false }, deliver: (EventBatch) -> Void) throws(CaptureError) -> Round
    {
        let before = TraceClockReader.now(clock) ?? fallbackTicks
        var round = Round(watermark: before, events: 0, isBehind: false)
        for index in cpus.indices {
            let isEmptied = try read(index, isShedding: isShedding(), events: &round.events, deliver: deliver)
            if !isEmptied {
                round.isBehind = true
                round.watermark = min(round.watermark, cpus[index].lastTicks)
            }
        }
        fallbackTicks = max(fallbackTicks, round.watermark)
        return round
    }

    /// True when the CPU's ring buffer was read to its end.
    private func read(
        _ index: Int, isShedding: Bool, events: inout Int, deliver: (EventBatch) -> Void
    ) throws(CaptureError) -> Bool {
        let number = cpus[index].number
        batch.removeAll(cpu: number)
        var isEmptied = false
        let reader = cpus[index].reader
        for _ in 0..<Limits.subBuffersPerRound {
            guard let count = try next(of: reader) else {
                isEmptied = true
                break
            }
            if isShedding {
                shed(count, of: index)
                continue
            }
            if batch.records.count + count > Limits.batchRecordBytes
                || batch.headers.count + count / 12 > Limits.batchEvents
            {
                finish(index, &events, deliver)
            }
            decoder.decode(page.span.bytes.extracting(0..<count), cpu: number, into: &batch, anomalies: &anomalies)
        }
        if !isShedding { finish(index, &events, deliver) }
        return isEmptied
    }

    /// Hands the batch over, with what was lost while events were shed, and begins a new one.
    private func finish(_ index: Int, _ events: inout Int, _ deliver: (EventBatch) -> Void) {
        var pending: [LossMark] = []
        if cpus[index].shed > 0 { pending.append(LossMark(index: 0, place: .agent, count: cpus[index].shed)) }
        if cpus[index].lostWhileShedding > 0 {
            pending.append(LossMark(index: 0, place: .ringBuffer, count: cpus[index].lostWhileShedding))
        }
        if cpus[index].lostUncounted { pending.append(LossMark(index: 0, place: .ringBuffer, count: nil)) }
        if !pending.isEmpty {
            batch.losses.insert(contentsOf: pending, at: 0)
            cpus[index].shed = 0
            cpus[index].lostWhileShedding = 0
            cpus[index].lostUncounted = false
        }
        guard !batch.isEmpty else { return }
        events += batch.headers.count
        cpus[index].totalDelivered += UInt64(batch.headers.count)
        if let last = batch.headers.last { cpus[index].lastTicks = last.ticks }
        deliver(batch)
        batch.removeAll(cpu: batch.cpu)
    }

    private func next(of reader: SubBufferReader) throws(CaptureError) -> Int? {
        // The array's closure cannot throw a typed error.
        try page.withUnsafeMutableBytes { bytes in
            Result { () throws(CaptureError) -> Int? in try reader.read(into: bytes) }
        }.get()
    }

    private func shed(_ count: Int, of index: Int) {
        let counts = SubBufferDecoder.countEvents(
            in: page.span.bytes.extracting(0..<count), longSize: formats.longSize, byteOrder: formats.byteOrder)
        cpus[index].shed += counts.events
        cpus[index].totalShed += counts.events
        cpus[index].lostWhileShedding += counts.lost ?? 0
        if counts.hasLoss, counts.lost == nil { cpus[index].lostUncounted = true }
    }

    /// The books, now.
    package func statistics(isFinal: Bool) throws(CaptureError) -> SourceStatistics {
        var accounts: [SourceStatistics.CPU] = []
        for cpu in cpus {
            let statistics = try instance.statistics(cpu: cpu.number)
            accounts.append(
                SourceStatistics.CPU(
                    cpu: cpu.number, overrun: statistics.lostEvents,
                    read: statistics.readEvents, shed: cpu.totalShed, delivered: cpu.totalDelivered))
        }
        return SourceStatistics(
            cpus: accounts, cpuNanoseconds: ProcessClock.cpuNanoseconds() &- cpuNanosecondsAtStart,
            residentBytes: MachineFacts.residentBytes, isFinal: isFinal,
            anomalies: Dictionary(uniqueKeysWithValues: anomalies.nonZero.map { ($0.anomaly, $0.count) }))
    }

    /// CPUs whose ring buffers appeared since (hot-plug) join the rounds; true when other CPUs are online than before.
    package func rescan() throws(CaptureError) -> Bool {
        cpus += try instance.rescan().map { CPU(number: $0.cpu, reader: $0) }
        let online = CPUList.online() ?? cpuNumbers
        defer { onlineCPUs = online }
        return online != onlineCPUs
    }

    /// Tracing off, instance gone. Safe to call twice; what could not be removed is cleared by the next start.
    package func close() {
        cpus.removeAll()
        try? instance.remove()
    }
}

package enum RecorderError: Error, CustomStringConvertible {
    case clockUnreadable(TraceClock)
    case tooManyEvents(Int)

    package var description: String {
        switch self {
        case .clockUnreadable(let clock):
            "the trace clock '\(clock.rawValue)' cannot be read by a program on this machine; use mono_raw"
        case .tooManyEvents(let count):
            "the request selects \(count) events, more than the limit of \(Limits.formats): name fewer"
        }
    }
}
