import Capture
import Recorder
import Threading
import TraceModel
import Transport
import Wire

/// One accepted connection: moves frames between the socket and its `AgentSession`, and does what the session asks.
final class AgentConnection: @unchecked Sendable {
    // @unchecked: every variable but `clock` is only touched under `lock`.
    private let connection: Connection
    private let writer: FrameWriter
    private let service: AgentService
    private let lock = ConditionLock()
    private var session: AgentSession
    private var pipeline: AgentPipeline?
    /// The reading thread sets tracing up. Whoever closes meanwhile leaves it to that thread to clear tracefs.
    private var isPreparing = false
    /// Set on a probe connection, before its first probe: the clock to read. Belongs to the reading thread.
    private var clock: TraceClock?
    private var closeReason: String?

    init(connection: Connection, service: AgentService) {
        self.connection = connection
        self.service = service
        writer = FrameWriter(connection)
        session = AgentSession(hello: service.hello)
    }

    /// Reads until the connection ends.
    func run() {
        var reader = FrameReader()
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        do {
            while true {
                let timeout = lock.withLock { session.patienceMilliseconds }
                let count = try buffer.withUnsafeMutableBytes { (bytes) throws(TransportError) in
                    try connection.read(into: bytes, timeoutMilliseconds: timeout)
                }
                let received = clock.flatMap { TraceClockReader.now($0) }
                guard count > 0 else { break }
                buffer.withUnsafeBytes { reader.append(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
                while let frame = try reader.next() {
                    guard let message = try Message(frame) else { continue }
                    let occupation = service.occupation(besides: self)
                    perform(lock.withLock { session.received(message, occupation: occupation) }, received: received)
                    if clock == nil { clock = lock.withLock { session.isProbing } ? service.sessionClock : nil }
                }
                if lock.withLock({ closeReason != nil }) { break }
            }
            close(reason: "the collector closed the connection")
        } catch {
            let text = "\(error)"
            perform(
                lock.withLock { session.failed(PeerError(.protocolViolation, text)) }, received: nil)
            close(reason: text)
        }
    }

    private func perform(_ actions: [AgentSession.Action], received: TraceTicks?) {
        let isEnd = actions.contains { if case .close = $0 { true } else { false } }
        // Before the last word: who hears it may come again at once, and must find nobody here.
        if isEnd { yieldSession() }
        for action in actions {
            switch action {
            case .send(let message): send(message)
            case .prepare(let request): prepare(request)
            case .startTracing: lock.withLock { pipeline }?.run()
            case .addCredit(let bytes): lock.withLock { pipeline }?.add(credit: bytes)
            case .drain: drain()
            case .answerProbe(let id): answer(id, received)
            case .close(let reason): close(reason: reason)
            }
        }
    }

    private func send(_ message: Message, timeoutMilliseconds: Int = Limits.answerMilliseconds) {
        // A peer that does not take this is found out by the next read.
        try? writer.write(message.frame.bytes, timeoutMilliseconds: timeoutMilliseconds)
    }

    /// The second clock reading is the last thing before the write. A probe that came together with its hello was received
    /// before now: that bounds it as well, only less closely.
    private func answer(_ id: UInt64, _ received: TraceTicks?) {
        guard let clock, let received = received ?? TraceClockReader.now(clock), let sent = TraceClockReader.now(clock)
        else { return }
        send(.probeReply(id: id, received: received, sent: sent))
    }

    private func prepare(_ request: SessionRequest) {
        let mayBegin = lock.withLock {
            isPreparing = closeReason == nil
            return isPreparing
        }
        guard mayBegin else { return }
        let setUp = Result { try self.setUp(request) }
        let (actions, reason) = lock.withLock {
            isPreparing = false
            switch setUp {
            case .success(let setUp):
                pipeline = setUp.pipeline
                return (session.prepared(setUp.prepared, formats: setUp.formats, names: setUp.names), closeReason)
            case .failure(let error): return (session.failed(service.explain(error)), closeReason)
            }
        }
        if let reason { clear(reason) }
        perform(actions, received: nil)
    }

    private struct SetUp {
        var pipeline: AgentPipeline
        var prepared: Prepared
        var formats: [FormatMessage]
        var names: TaskNamesMessage
    }

    private func setUp(_ request: SessionRequest) throws -> SetUp {
        let token = try service.claim(self, holder: "\(request.holder) (\(connection.peer))", clock: request.clock)
        let recorder = try service.openRecorder(request)
        let pipeline = AgentPipeline(
            recorder: recorder, writer: writer, request: request,
            cleared: { [weak self] in self?.service.yieldSession(of: self) },
            ended: { [weak self] in self?.pipelineEnded($0) })
        let prepared = Prepared(
            token: token, clock: request.clock, byteOrder: recorder.formats.byteOrder,
            longSize: recorder.formats.longSize, subBufferBytes: recorder.instance.geometry.subBufferBytes,
            bufferKiBPerCPU: recorder.instance.geometry.kibibytesPerCPU, cpus: recorder.cpuNumbers,
            instance: recorder.instance.name.description)
        let formats = recorder.formats.formats.map { FormatMessage(system: $0.system, text: $0.text) }
        let names = TaskNamesMessage(
            tasks: TaskNames.all(limit: Limits.taskNames / 4).map {
                TaskNamesMessage.Task(tid: $0.tid, comm: $0.comm.text)
            })
        return SetUp(pipeline: pipeline, prepared: prepared, formats: formats, names: names)
    }

    private func drain() {
        guard let pipeline = lock.withLock({ pipeline }) else { return }
        pipeline.drain()
    }

    private func pipelineEnded(_ result: Result<Void, PeerError>) {
        switch result {
        case .success:
            // `drained` went through the queue, in order behind the last batch.
            _ = lock.withLock { session.drained() }
            close(reason: "session complete")
        case .failure(let error):
            perform(lock.withLock { session.failed(error) }, received: nil)
            close(reason: error.description)
        }
    }

    /// It got as far as a trace instance.
    var hadSession: Bool { lock.withLock { pipeline != nil } }

    var isProbing: Bool { lock.withLock { session.isProbing } }

    /// The agent, or the session that this probe connection belongs to, ends. Tracefs first: the peer may take its time.
    func shutDown(saying text: String) {
        yieldSession()
        let farewell = lock.withLock { session.failed(PeerError(.shuttingDown, text)) }
        for case .send(let message) in farewell { send(message, timeoutMilliseconds: Self.farewellMilliseconds) }
        close(reason: "shutting down")
    }

    /// Longest wait for a peer that has stopped reading, when we end.
    private static let farewellMilliseconds = 1_000

    private func close(reason: String) {
        let (isFirst, isPreparing) = lock.withLock {
            defer { closeReason = closeReason ?? reason }
            return (closeReason == nil, self.isPreparing)
        }
        guard isFirst else { return }
        connection.shutdown()
        if !isPreparing { clear(reason) }
    }

    private func clear(_ reason: String) {
        yieldSession()
        service.released(self, reason: reason)
    }

    /// Leaves tracefs as it was found, and makes room for the next session.
    private func yieldSession() {
        let (pipeline, isPreparing) = lock.withLock { (self.pipeline, self.isPreparing) }
        guard !isPreparing else { return }
        pipeline?.abandon()
        service.yieldSession(of: self)
    }
}
