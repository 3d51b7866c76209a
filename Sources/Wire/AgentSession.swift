import TraceModel

/// The agent's side of one connection: frames in, actions out. It owns no socket, no timer and no tracefs.
///
/// ```
/// greeting ──hello(collector)──▶ waiting ──request──▶ preparing ──prepared()──▶ ready ──start──▶ streaming
///    │                                                    │ failed()                                 │ drain
///    ├──hello(probe, right token)──▶ probing              ▼                                          ▼
///    ├──hello(query)───────────────▶ ended ◀────────── ended ◀──────────drained()──────────────  draining
/// ```
/// Anything else in any state is a protocol violation: an error is sent and the connection ends.
package struct AgentSession: Sendable {
    package enum Action: Hashable, Sendable {
        case send(Message)
        /// Set up tracing for this request, then call `prepared` or `failed`.
        case prepare(SessionRequest)
        case startTracing
        case addCredit(Int)
        /// Tracing off, deliver what is left, then call `drained`.
        case drain
        /// The probe's clock reading belongs here, as close to the reply as possible.
        case answerProbe(id: UInt64)
        case close(reason: String)
    }

    private enum State: Hashable, Sendable {
        case greeting, waiting, preparing, ready, streaming, draining, probing, ended
    }

    /// What the agent is doing for others, which decides how this connection is greeted.
    package enum Occupation: Hashable, Sendable {
        case free
        /// Another connection holds the session; `token` admits its probe connection.
        case held(by: String, token: UInt64?)
    }

    private var state = State.greeting
    private let hello: Hello

    package init(hello: Hello) { self.hello = hello }

    /// Whether this connection holds (or is about to hold) the agent's only session.
    package var wantsSession: Bool {
        switch state {
        case .waiting, .preparing, .ready, .streaming, .draining: true
        case .greeting, .probing, .ended: false
        }
    }

    package var isEnded: Bool { state == .ended }

    package var isProbing: Bool { state == .probing }

    /// How long the collector may be silent; nil when it has nothing to say by right.
    package var patienceMilliseconds: Int? {
        switch state {
        case .greeting, .waiting, .preparing, .ended: Limits.answerMilliseconds
        // Other guests of the same session are being set up.
        case .ready: Limits.setupMilliseconds * 6
        case .streaming, .draining, .probing: nil
        }
    }

    package mutating func received(_ message: Message, occupation: Occupation) -> [Action] {
        switch (state, message) {
        case (.greeting, .hello(let peer)): return greeted(by: peer, occupation)
        case (.waiting, .request(let request)):
            state = .preparing
            return [.prepare(request)]
        case (.ready, .start):
            state = .streaming
            return [.startTracing]
        case (.streaming, .credit(let bytes)), (.ready, .credit(let bytes)), (.draining, .credit(let bytes)):
            return [.addCredit(bytes)]
        case (.streaming, .drain), (.ready, .drain):
            state = .draining
            return [.drain]
        case (.draining, .drain): return []
        case (.probing, .probe(let id)): return [.answerProbe(id: id)]
        case (.ended, _): return []
        case (_, .error(let error)):
            state = .ended
            return [.close(reason: "the collector reported: \(error)")]
        default:
            return end(PeerError(.protocolViolation, "a message came that has no place in this state of the session"))
        }
    }

    private mutating func greeted(by peer: Hello, _ occupation: Occupation) -> [Action] {
        guard peer.major == Hello.major else {
            return [.send(.hello(hello))]
                + end(
                    PeerError(
                        .versionMismatch,
                        "the collector speaks protocol \(peer.major).\(peer.minor), this agent "
                            + "\(Hello.major).\(Hello.minor): install the same release on both sides"))
        }
        switch (peer.role, occupation) {
        case (.agent, _): return end(PeerError(.protocolViolation, "an agent connected to an agent"))
        case (.query, .free):
            state = .ended
            return [.send(.hello(hello)), .close(reason: "query answered")]
        case (.query, .held(let holder, _)):
            return [.send(.hello(hello))] + end(PeerError(.busy, "busy, held by \(holder)"))
        case (.probe, .held(_, let token?)) where token == peer.token:
            state = .probing
            return [.send(.hello(hello))]
        case (.probe, _):
            return end(PeerError(.notPermitted, "there is no session with this probe token"))
        case (.collector, .free):
            state = .waiting
            return [.send(.hello(hello))]
        case (.collector, .held(let holder, _)):
            return [.send(.hello(hello))] + end(PeerError(.busy, "busy, held by \(holder)"))
        }
    }

    package mutating func prepared(_ prepared: Prepared, formats: [FormatMessage], names: TaskNamesMessage) -> [Action]
    {
        guard state == .preparing else { return [] }
        state = .ready
        return [.send(.prepared(prepared))] + formats.map { .send(.format($0)) }
            + names.parts.map { .send(.taskNames($0)) } + [.send(.ready)]
    }

    /// The session cannot be had, or breaks off.
    package mutating func failed(_ error: PeerError) -> [Action] {
        state == .ended ? [] : end(error)
    }

    /// Everything has been delivered.
    package mutating func drained() -> [Action] {
        guard state == .draining else { return [] }
        state = .ended
        return [.send(.drained), .close(reason: "session complete")]
    }

    package mutating func malformed(_ error: some Error & CustomStringConvertible) -> [Action] {
        state == .ended ? [] : end(PeerError(.protocolViolation, error.description))
    }

    private mutating func end(_ error: PeerError) -> [Action] {
        state = .ended
        return [.send(.error(error)), .close(reason: error.description)]
    }
}
