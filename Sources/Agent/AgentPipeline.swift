import Capture
import Recorder
import Threading
import TraceModel
import Transport
import Wire

/// The house of the guest in one place: ring buffer → batch → frame → connection.
///
/// ```
/// recorder thread:  TraceRecorder.round ─▶ BatchEncoder.frames ─▶ queue      (never waits for the network)
/// sender thread:                                           queue ─▶ credit ─▶ Connection.write
/// ```
/// When the queue is full the round is read and counted but not encoded: events are shed here, in the guest, per CPU and
/// to the last one.
final class AgentPipeline: @unchecked Sendable {
    // @unchecked: `recorder`, `encoder` and `round` belong to the recorder thread once it runs; `isRunning` and `isClosed` are
    // only touched under `lock`; the rest is Sendable.
    private let recorder: TraceRecorder
    private var encoder: BatchEncoder
    /// Frames of the present round. They are queued together: each time the sender wakes costs the guest a dozen events.
    private var round: [Frame] = []
    private let flushMilliseconds: Int
    private let writer: FrameWriter
    private let queue = BoundedQueue<Frame>(maximumWeight: Limits.agentQueueBytes)
    private let credit: Credit
    private let stop = Latch()
    private let lock = ConditionLock()
    private var isRunning = false
    private var isClosed = false
    /// Everything is read, and tracefs is as it was found; `drained` is not sent yet.
    private let cleared: @Sendable () -> Void
    /// Told once, by the thread that finds out.
    private let ended: @Sendable (Result<Void, PeerError>) -> Void

    init(
        recorder: TraceRecorder, writer: FrameWriter, request: SessionRequest,
        cleared: @escaping @Sendable () -> Void, ended: @escaping @Sendable (Result<Void, PeerError>) -> Void
    ) {
        self.recorder = recorder
        self.writer = writer
        self.cleared = cleared
        self.ended = ended
        encoder = BatchEncoder(formats: recorder.formats)
        flushMilliseconds = request.flushMilliseconds
        credit = Credit(bytes: request.creditBytes)
    }

    func run() {
        let isFirst = lock.withLock {
            defer { isRunning = true }
            return !isRunning && !isClosed
        }
        guard isFirst else { return }
        Thread.start("tandem-read") { [self] in record() }
        Thread.start("tandem-send") { [self] in send() }
    }

    func add(credit bytes: Int) { credit.add(bytes) }

    /// Tracing off, the rest delivered, then `ended(.success)`.
    func drain() {
        stop.set(.drain)
        run()
    }

    /// The peer is gone: nothing can be delivered any more. Returns when tracefs is as it was found.
    func abandon() {
        stop.set(.abandon)
        credit.close()
        queue.close()
        let wasIdle = lock.withLock {
            defer { isRunning = true }
            return !isRunning
        }
        if wasIdle { closeRecorder() }
        lock.withLock { while !isClosed { lock.wait() } }
    }

    private func closeRecorder() {
        recorder.close()
        lock.withLock {
            isClosed = true
            lock.broadcast()
        }
    }

    // MARK: Recorder thread

    private func record() {
        let outlet = RecordingOutlet(
            hasRoom: { [self] in queue.hasRoom(for: Limits.frameBytes + round.reduce(0) { $0 + $1.byteCount }) },
            batch: { [self] batch in round += encoder.frames(for: batch) },
            watermark: { [self] ticks in
                round.append(Message.watermark(ticks).frame)
                queue.put(round.map { ($0, $0.byteCount) })
                round.removeAll(keepingCapacity: true)
            },
            statistics: { [self] in put(Message.statistics($0).frame) },
            onlineCPUs: { [self] in put(Message.onlineCPUs($0).frame) },
            steal: { [self] in put(Message.steal($0).frame) })
        do {
            if stop.value == .none { try recorder.start() }
            try recorder.run(flushMilliseconds: flushMilliseconds, stop: stop, into: outlet)
            // Before the collector is told that it is over: then nothing of the session is left here.
            closeRecorder()
            cleared()
            put(Message.drained.frame)
            queue.close()
        } catch {
            closeRecorder()
            fail(PeerError(.tracingUnavailable, "\(error)", subject: recorder.instance.name.description))
        }
    }

    /// The recorder asked for room before it made the frame, and must not wait for it now.
    private func put(_ frame: Frame) { queue.put(frame, weight: frame.byteCount) }

    // MARK: Sender thread

    private func send() {
        var output: [UInt8] = []
        do throws(TransportError) {
            while let first = queue.pop() {
                var frame: Frame? = first
                while let next = frame {
                    if next.isBatch, !credit.takeNow(next.byteCount) {
                        // What was gathered must go first: the credit we wait for is the answer to it.
                        try flush(&output)
                        switch credit.take(next.byteCount, timeoutMilliseconds: Limits.creditMilliseconds) {
                        case .taken: break
                        case .closed: return
                        case .starved:
                            return fail(
                                PeerError(
                                    .timedOut,
                                    "the collector takes no events: no credit for \(Limits.creditMilliseconds / 1000) s"
                                ))
                        }
                    }
                    next.append(to: &output)
                    frame = output.count < 256 << 10 ? queue.pop(timeoutNanoseconds: 0) : nil
                }
                try flush(&output)
            }
        } catch {
            return fail(PeerError(.timedOut, error.description))
        }
        if stop.value == .drain { ended(.success(())) }
    }

    private func flush(_ output: inout [UInt8]) throws(TransportError) {
        guard !output.isEmpty else { return }
        try writer.write(output, timeoutMilliseconds: Limits.silenceMilliseconds)
        output.removeAll(keepingCapacity: true)
    }

    private func fail(_ error: PeerError) {
        guard stop.value != .abandon else { return }
        abandon()
        ended(.failure(error))
    }
}
