import Capture
import SessionLog
import Threading
import TraceModel
import Transport
import Wire

/// The collector's end of one guest's data connection, and of its probe connection.
///
/// `prepare` runs the set-up and gives up at the first problem; `run` then moves frames into the pipeline's queue until
/// the guest has drained or is lost. Whatever happens, exactly one `sourceClosed` goes into the queue.
///
/// A guest that is silent is not lost: one that is paused in its monitor keeps its connections, and says what it has to
/// say when it goes on. It is waited for as long as the session lasts, and at its end for as long as something comes. But
/// where its probes were refused meanwhile, its kernel is another one, or its agent has ended: nobody will say any more.
final class GuestLink: @unchecked Sendable {
    // @unchecked: `session`, `isProbeWanted`, `isProbeLost`, `drainAsked` and `abortReason` are only touched under `lock`;
    // `connection` is set before other threads see us, `exchange` is the probing thread's once it runs, `heard` the
    // receiving one's.
    struct Ready: Sendable {
        var hello: Hello
        var prepared: Prepared
        var formats: [FormatMessage]
        var names: TaskNamesMessage
        var probes: [ClockProbe]
    }

    let source: SourceID
    let guest: SessionOptions.Guest
    private let hello: Hello
    private let hostClock: HostClock
    private let queue: BoundedQueue<PipelineInput>
    private let notice: @Sendable (String) -> Void
    private let lock = ConditionLock()
    /// Credits and the drain are sent by different threads, each message as a whole.
    private let writeLock = ConditionLock()
    private let connection: Connection
    private var probes: ProbeLink?
    private var exchange = ProbeLink.Exchange()
    private var isProbeWanted = false
    private var isProbeLost = false
    /// Since when it is to send the rest.
    private var drainAsked: Int64?
    private let drainSilenceMilliseconds: Int
    private var abortReason: String?
    /// When the last bytes came.
    private var heard = MonotonicClock.nanoseconds()
    private var session: CollectorSession
    private var reader = FrameReader()
    private var buffer = [UInt8](repeating: 0, count: 256 << 10)

    /// Connects; typed errors tell whom we wanted to reach.
    init(
        source: SourceID, guest: SessionOptions.Guest, options: SessionOptions, hello: Hello, hostClock: HostClock,
        queue: BoundedQueue<PipelineInput>, notice: @escaping @Sendable (String) -> Void,
        clock: @escaping @Sendable (Hello) -> TraceClock
    ) throws {
        self.source = source
        self.guest = guest
        self.hello = hello
        self.queue = queue
        self.notice = notice
        self.hostClock = hostClock
        drainSilenceMilliseconds = options.drainSilenceMilliseconds
        connection = try Connection.connect(
            to: guest.endpoint, timeoutMilliseconds: Limits.connectMilliseconds, resolve: HostNames.resolve)
        session = CollectorSession(
            request: SessionRequest(
                clock: guest.clock ?? .monoRaw, bufferKiBPerCPU: guest.bufferKiB ?? SessionOptions.defaultBufferKiB,
                events: guest.events.isEmpty ? SessionOptions.defaultGuestEvents : guest.events,
                flushMilliseconds: options.flushMilliseconds, creditBytes: Limits.creditBytes,
                holder: hello.hostname),
            clock: clock)
    }

    /// Set-up until the guest is ready to trace and its clock has been probed.
    func prepare() throws -> Ready {
        var awaited = "introduced itself"
        do {
            try send(.hello(hello))
            var greeting: Hello?
            while true {
                for action in try nextActions(timeoutMilliseconds: Limits.setupMilliseconds) {
                    switch action {
                    case .greeted(let peer):
                        greeting = peer
                        awaited = "set up its tracing"
                    // An agent that refuses us closes the connection behind its reason, which is still to be read: not the
                    // broken pipe is what to tell, but the reason.
                    case .send(let message): try? send(message)
                    case .failed(let error): throw error
                    case .ready(let prepared, let formats, let names):
                        awaited = "answered the probes of its clock"
                        return Ready(
                            hello: greeting ?? hello, prepared: prepared, formats: formats, names: names,
                            probes: try openProbes(prepared))
                    case .deliver, .skipped, .finished: continue
                    }
                }
            }
        } catch let error as TransportError where error.isTimeout && error.operation == .read {
            throw SessionError(
                "the agent accepted the connection and has not \(awaited): nothing came for "
                    + "\(Limits.setupMilliseconds / 1000) s. Is the guest paused, or too busy to let it run?")
        }
    }

    private func openProbes(_ prepared: Prepared) throws -> [ClockProbe] {
        let probes = try ProbeLink(
            endpoint: guest.endpoint, hello: hello, token: prepared.token, hostClock: hostClock)
        self.probes = probes
        return try probes.burst(
            count: ProbeLink.openingBurst, &exchange, patienceMilliseconds: Limits.setupMilliseconds)
    }

    /// Tracing begins; frames flow until the end.
    func run() throws {
        for action in lock.withLock({ session.start() }) {
            if case .send(let message) = action { try send(message) }
        }
        Thread.start("link \(guest.name)") { [self] in receive() }
        Thread.start("probe \(guest.name)") { [self] in probe() }
    }

    /// Asks the guest for the rest.
    func drain() {
        let actions = lock.withLock {
            drainAsked = drainAsked ?? MonotonicClock.nanoseconds()
            return session.drain()
        }
        for action in actions {
            if case .send(let message) = action { try? send(message) }
        }
    }

    /// Breaks the connection; the guest cleans up by itself. The reason is why the source is closed.
    func abort(_ reason: String = "the session was ended without waiting for it") {
        lock.withLock {
            abortReason = abortReason ?? reason
            _ = session.fail(PeerError(.shuttingDown, "the collector ended the session"))
        }
        connection.shutdown()
        probes?.shutdown()
    }

    /// The map of its clock was lost: does not wait for the next burst's time.
    func probeNow() {
        lock.withLock {
            isProbeWanted = true
            lock.broadcast()
        }
    }

    // MARK: Threads

    private func receive() {
        var outcome: (reason: String, isFailure: Bool)?
        var isSilent = false
        while outcome == nil {
            do {
                let actions = try nextActions(timeoutMilliseconds: readMilliseconds)
                if isSilent { notice("answers again") }
                isSilent = false
                for action in actions {
                    switch action {
                    case .deliver(let message):
                        queue.push(.record(.message(source, message)), weight: message.weight)
                    case .send(let message): try? send(message)
                    case .finished: outcome = ("drained", false)
                    case .failed(let error): outcome = (error.description, true)
                    case .skipped, .greeted, .ready: continue
                    }
                }
            } catch let error as TransportError where error.isTimeout {
                outcome = endOfPatience.map { ($0, true) }
                if outcome == nil, !isSilent { noticeSilence() }
                isSilent = true
            } catch {
                outcome = ("\(error)", true)
            }
        }
        guard let outcome else { return }
        probes?.shutdown()
        connection.shutdown()
        queue.push(.record(.sourceClosed(source, reason: outcome.reason, isFailure: outcome.isFailure)), weight: 64)
    }

    /// How long to wait for the next bytes before asking what a silence means.
    private var readMilliseconds: Int {
        guard let silence = drainSilence else { return Limits.silenceMilliseconds }
        return max(1, min(Limits.silenceMilliseconds, drainSilenceMilliseconds - silence))
    }

    /// For how long nothing has come of what it is to send at the end, in milliseconds; nil before that.
    private var drainSilence: Int? {
        lock.withLock { drainAsked }.map { Int((MonotonicClock.nanoseconds() - max($0, heard)) / 1_000_000) }
    }

    /// Why it is not waited for any more, although its connection stands; nil while it is.
    private var endOfPatience: String? {
        if lock.withLock({ isProbeLost }) {
            return "it is silent and refuses clock probes: its machine was reset, or its agent has ended"
        }
        guard let silence = drainSilence, silence >= drainSilenceMilliseconds else { return nil }
        return
            "it was asked for the events that it still had, and nothing came for \(seconds(silence)): what it had is lost. "
            + "Is it paused, or too busy to let its agent run?"
    }

    private func noticeSilence() {
        guard drainSilence == nil else {
            return notice(
                "is silent, and may still have events: it is waited for until nothing has come for "
                    + seconds(drainSilenceMilliseconds))
        }
        notice(
            "is silent for \(Limits.silenceMilliseconds / 1000) s (paused, or its agent stopped?): what it does is unknown until it answers"
        )
    }

    private func seconds(_ milliseconds: Int) -> String { "\(milliseconds / 1000).\(milliseconds % 1000 / 100) s" }

    private func probe() {
        guard let probes else { return }
        while !lock.withLock({ session.isEnded }) {
            lock.withLock {
                let deadline = MonotonicClock.deadline(after: ProbeLink.intervalNanoseconds)
                while !isProbeWanted { guard lock.wait(until: deadline) else { break } }
                isProbeWanted = false
            }
            do {
                for probe in try probes.burst(count: ProbeLink.regularBurst, &exchange) {
                    queue.push(.record(.probe(source, probe)), weight: 64)
                }
            } catch let error as TransportError where error.isTimeout {
                continue
            } catch {
                return lock.withLock { isProbeLost = true }
            }
        }
    }

    // MARK: Frames

    private func nextActions(timeoutMilliseconds: Int) throws -> [CollectorSession.Action] {
        while true {
            if let frame = try reader.next() { return lock.withLock { session.received(frame) } }
            let count = try buffer.withUnsafeMutableBytes { (bytes) throws(TransportError) in
                try connection.read(into: bytes, timeoutMilliseconds: timeoutMilliseconds)
            }
            guard count > 0 else {
                throw SessionError(lock.withLock { abortReason } ?? "the agent closed the connection")
            }
            heard = MonotonicClock.nanoseconds()
            buffer.withUnsafeBytes { reader.append(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
        }
    }

    private func send(_ message: Message) throws(TransportError) {
        // `withLock` cannot throw a typed error.
        try writeLock.withLock {
            Result { () throws(TransportError) in
                try connection.write(message.frame.bytes, timeoutMilliseconds: Limits.answerMilliseconds)
            }
        }.get()
    }
}

extension Message {
    /// Bytes that a message takes in the pipeline's queue, roughly.
    var weight: Int {
        switch self {
        // Decoded it is about eight times as long, but only one is decoded at a time.
        case .batch(let body): body.count
        default: 64
        }
    }
}
