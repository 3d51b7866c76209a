import Capture
import Recorder
import SessionLog
import Threading
import TraceModel
import Wire

/// The host as a trace source: the same rounds as in a guest, handed to the pipeline without a wire between.
final class HostTracer: @unchecked Sendable {
    // @unchecked: the recorder belongs to the thread that `run` starts; before that, to the thread that made us.
    private let recorder: TraceRecorder
    private let queue: BoundedQueue<PipelineInput>
    private let flushMilliseconds: Int
    private let stop = Latch()
    private let lock = ConditionLock()
    private var isClosed = false
    /// Only some of the entries and exits of vCPUs are traced.
    let filtersEntries: Bool

    init(options: SessionOptions, clock: TraceClock, queue: BoundedQueue<PipelineInput>) throws {
        self.queue = queue
        flushMilliseconds = options.flushMilliseconds
        let tracefs = try Tracefs.find()
        _ = AbandonedInstances.remove(in: tracefs, role: "host")
        let patterns = try HostTracer.patterns(options, in: tracefs)
        filtersEntries = HostTracer.filtersEntries(patterns)
        recorder = try TraceRecorder(
            tracefs: tracefs, role: "host", clock: clock, bufferKiBPerCPU: options.hostBufferKiB, events: patterns)
    }

    /// A filter on one of the two leaves no gap that is too long; filters on both can leave out a whole stay.
    private static func filtersEntries(_ patterns: [EventPattern]) -> Bool {
        let crossings = ["kvm_entry", "kvm_exit"].map { EventName(system: "kvm", name: $0) }
        var filtered: Set<EventName> = []
        for pattern in patterns {
            for selected in (try? EventSelection.resolve([pattern], available: crossings)) ?? [] {
                if selected.filter == nil { filtered.remove(selected.event) } else { filtered.insert(selected.event) }
            }
        }
        return filtered.count == crossings.count
    }

    /// What was asked for, or what the analysis needs as far as this kernel has it.
    private static func patterns(_ options: SessionOptions, in tracefs: Tracefs) throws -> [EventPattern] {
        guard options.hostEvents.isEmpty else {
            return options.hostEvents.map { EventPattern($0.pattern, filter: $0.filter) }
        }
        let available = Set(try tracefs.availableEvents().map(\.description))
        return SessionOptions.defaultHostEvents.filter { !$0.isOptional || available.contains($0.pattern) }
            .map { EventPattern($0.pattern) }
    }

    var prepared: Prepared {
        Prepared(
            token: 0, clock: recorder.clock, byteOrder: recorder.formats.byteOrder,
            longSize: recorder.formats.longSize, subBufferBytes: recorder.instance.geometry.subBufferBytes,
            bufferKiBPerCPU: recorder.instance.geometry.kibibytesPerCPU, cpus: recorder.cpuNumbers,
            instance: recorder.instance.name.description)
    }

    var formats: FormatTable { recorder.formats }

    /// Tracing is on when this returns, so that guests that are told to start afterwards begin behind their host.
    func run() {
        let start = Result { try recorder.start() }
        Thread.start("host tracer") { [self] in record(start) }
    }

    /// Tracing off, the rest delivered, `sourceClosed` last.
    func drain() { stop.set(.drain) }

    /// Tracing off, nothing more.
    func abort() { stop.set(.abandon) }

    /// For a session that never began.
    func close() { recorder.close() }

    func waitUntilClosed() { lock.withLock { while !isClosed { lock.wait() } } }

    private func record(_ start: Result<Void, any Error>) {
        let outlet = RecordingOutlet(
            // The pipeline's queue is the bound here: when it is full, events are shed as in a guest.
            hasRoom: { [queue] in queue.hasRoom(for: Limits.batchRecordBytes) },
            batch: { [queue] in queue.put(.batch(.host, $0), weight: $0.records.count) },
            watermark: { [self] in put(.watermark($0)) },
            statistics: { [self] in put(.statistics($0)) },
            onlineCPUs: { [self] in put(.onlineCPUs($0)) })
        var outcome = (reason: "drained", isFailure: false)
        do {
            try start.get()
            try recorder.run(flushMilliseconds: flushMilliseconds, stop: stop, into: outlet)
        } catch {
            outcome = ("\(error)", true)
        }
        recorder.close()
        queue.put(.record(.sourceClosed(.host, reason: outcome.reason, isFailure: outcome.isFailure)), weight: 64)
        lock.withLock {
            isClosed = true
            lock.broadcast()
        }
    }

    private func put(_ message: Message) { queue.put(.record(.message(.host, message)), weight: 64) }
}
