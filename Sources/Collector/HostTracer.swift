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
    /// What is traced before the session begins; nil once it has, and where nothing is.
    private var held: [(element: PipelineInput, weight: Int)]?
    private var heldWeight = 0
    /// Sees the events before anybody else.
    private let see: (@Sendable (EventBatch, [EventFormat]) -> Void)?
    /// Only some of the entries and exits of vCPUs are traced.
    let filtersEntries: Bool

    /// With `see`, what is traced is kept until `release`: something has to be found out from it first.
    init(
        options: SessionOptions, clock: TraceClock, queue: BoundedQueue<PipelineInput>,
        see: (@Sendable (EventBatch, [EventFormat]) -> Void)? = nil
    ) throws {
        self.queue = queue
        self.see = see
        held = see == nil ? nil : []
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

    /// When vCPUs were in guest mode can be seen.
    var tracesEntries: Bool {
        let names = Set(formats.formats.map(\.fullName))
        return names.isSuperset(of: ["kvm:kvm_entry", "kvm:kvm_exit"]) && !filtersEntries
    }

    /// Tracing is on when this returns, so that guests that are told to start afterwards begin behind their host.
    func run() {
        let start = Result { try recorder.start() }
        Thread.start("host tracer") { [self] in record(start) }
    }

    /// The session has begun: what was kept goes into the queue, and what comes follows it.
    func release() {
        lock.withLock {
            queue.put(held ?? [])
            held = nil
        }
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
            hasRoom: { [self] in hasRoom },
            batch: { [self] in put($0) },
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
        put(.record(.sourceClosed(.host, reason: outcome.reason, isFailure: outcome.isFailure)), weight: 64)
        lock.withLock {
            isClosed = true
            lock.broadcast()
        }
    }

    private var hasRoom: Bool {
        let hasRoomHere: Bool? = lock.withLock { held == nil ? nil : heldWeight < Limits.liveWaitingBytes }
        return hasRoomHere ?? queue.hasRoom(for: Limits.batchRecordBytes)
    }

    private func put(_ batch: EventBatch) {
        see?(batch, formats.formats)
        put(.batch(.host, batch), weight: batch.records.count)
    }

    private func put(_ message: Message) { put(.record(.message(.host, message)), weight: 64) }

    private func put(_ input: PipelineInput, weight: Int) {
        let isHeld = lock.withLock {
            guard held != nil else { return false }
            held?.append((input, weight))
            heldWeight += weight
            return true
        }
        if !isHeld { queue.put(input, weight: weight) }
    }
}
