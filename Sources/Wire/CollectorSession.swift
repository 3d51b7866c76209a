package import TraceModel

/// The collector's side of one guest's data connection: frames in, actions out.
///
/// ```
/// greeting ──hello──▶ requested ──prepared──▶ describing ──ready──▶ ready ──started()──▶ streaming ──drain()──▶ draining
///                                                                                                                │ drained
/// any state ──error, malformed frame, connection lost──▶ ended ◀─────────────────────────────────────────────────┘
/// ```
package struct CollectorSession: Sendable {
    package enum Action: Hashable, Sendable {
        case send(Message)
        /// The agent introduced itself.
        case greeted(Hello)
        /// The guest is set up; now its clock can be probed.
        case ready(Prepared, formats: [FormatMessage], names: TaskNamesMessage)
        /// An encoded batch, a watermark, statistics or a CPU change: for the pipeline.
        case deliver(Message)
        case skipped
        case finished
        case failed(PeerError)
    }

    private enum State: Hashable, Sendable {
        case greeting, requested, describing, ready, streaming, draining, ended
    }

    private var state = State.greeting
    private var request: SessionRequest
    private let clock: @Sendable (Hello) -> TraceClock
    private var prepared: Prepared?
    private var formats: [FormatMessage] = []
    private var formatBytes = 0
    private var names = TaskNamesMessage(tasks: [])
    private var consumedBytes = 0

    /// `clock` chooses the guest's trace clock when it is known who the guest is.
    package init(request: SessionRequest, clock: (@Sendable (Hello) -> TraceClock)? = nil) {
        self.request = request
        self.clock = clock ?? { _ in request.clock }
    }

    package var isEnded: Bool { state == .ended }
    package var isDraining: Bool { state == .draining }

    package mutating func received(_ frame: Frame) -> [Action] {
        guard state != .ended else { return [] }
        do throws(MessageError) {
            guard let message = try Message(frame) else { return [.skipped] }
            return received(message, frameBytes: frame.byteCount)
        } catch {
            return fail(PeerError(.protocolViolation, error.description))
        }
    }

    private mutating func received(_ message: Message, frameBytes: Int) -> [Action] {
        switch (state, message) {
        case (_, .error(let error)):
            state = .ended
            return [.failed(error)]
        case (.greeting, .hello(let peer)):
            guard peer.major == Hello.major else {
                return fail(
                    PeerError(
                        .versionMismatch,
                        "the agent speaks protocol \(peer.major).\(peer.minor), this collector "
                            + "\(Hello.major).\(Hello.minor): install the same release on both sides"))
            }
            guard peer.role == .agent else {
                return fail(PeerError(.protocolViolation, "the peer is a collector, not an agent"))
            }
            state = .requested
            request.clock = clock(peer)
            return [.greeted(peer), .send(.request(request))]
        case (.requested, .prepared(let prepared)):
            self.prepared = prepared
            state = .describing
            return []
        case (.describing, .format(let format)):
            formatBytes += frameBytes
            guard formats.count < Limits.formats, formatBytes <= Limits.descriptionBytes else {
                return fail(
                    PeerError(
                        .protocolViolation,
                        "the agent describes more than \(Limits.formats) events or \(Limits.descriptionBytes) bytes"))
            }
            formats.append(format)
            return []
        case (.describing, .taskNames(let more)):
            names.tasks.append(contentsOf: more.tasks.prefix(Limits.taskNames - names.tasks.count))
            return []
        case (.describing, .ready):
            guard let prepared else { return [] }
            state = .ready
            // They are the caller's now: a session may last for weeks.
            defer {
                formats = []
                names.tasks = []
            }
            return [.ready(prepared, formats: formats, names: names)]
        case (.streaming, .batch), (.draining, .batch):
            return [.deliver(message)] + credit(for: frameBytes)
        case (.streaming, .watermark), (.streaming, .statistics), (.streaming, .onlineCPUs), (.streaming, .steal),
            (.draining, .watermark), (.draining, .statistics), (.draining, .onlineCPUs), (.draining, .steal),
            (.ready, .statistics), (.ready, .onlineCPUs):
            return [.deliver(message)]
        case (.draining, .drained):
            state = .ended
            return [.finished]
        default:
            return fail(PeerError(.protocolViolation, "a message came that has no place in this state of the session"))
        }
    }

    /// Credit is given back in eighths of the window: often enough never to run dry, seldom enough to cost nothing.
    private mutating func credit(for bytes: Int) -> [Action] {
        consumedBytes += bytes
        guard consumedBytes >= request.creditBytes / 8 else { return [] }
        defer { consumedBytes = 0 }
        return [.send(.credit(consumedBytes))]
    }

    /// Tracing begins.
    package mutating func start() -> [Action] {
        guard state == .ready else { return [] }
        state = .streaming
        return [.send(.start)]
    }

    /// Asks for the rest and the end.
    package mutating func drain() -> [Action] {
        switch state {
        case .ready, .streaming:
            state = .draining
            return [.send(.drain)]
        case .greeting, .requested, .describing:
            state = .ended
            return [.send(.error(PeerError(.shuttingDown, "the session was given up"))), .finished]
        case .draining, .ended: return []
        }
    }

    /// The connection broke, or its bytes are no frames.
    package mutating func fail(_ error: PeerError) -> [Action] {
        guard state != .ended else { return [] }
        state = .ended
        return [.send(.error(error)), .failed(error)]
    }
}
