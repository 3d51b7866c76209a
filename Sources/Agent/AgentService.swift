import Capture
import Recorder
import Threading
import TraceModel
import Transport
import Wire

/// The agent as a whole: accepts connections, lets one collector at a time hold the session, and ends cleanly.
final class AgentService: @unchecked Sendable {
    // @unchecked: every variable is only touched under `lock`.
    private struct Holder {
        let connection: AgentConnection
        let name: String
        let clock: TraceClock
        let token: UInt64
    }

    let hello: Hello
    private let options: AgentOptions
    private let tracefs: Tracefs
    private let lock = ConditionLock()
    private var holder: Holder?
    private var connections: [ObjectIdentifier: AgentConnection] = [:]
    private var isShuttingDown = false

    init(options: AgentOptions, tracefs: Tracefs, hello: Hello) {
        self.options = options
        self.tracefs = tracefs
        self.hello = hello
    }

    // MARK: Connections

    /// Accepts until the listener is closed.
    func serve(_ listener: Listener) {
        while !lock.withLock({ isShuttingDown }) {
            do throws(TransportError) {
                guard let connection = try listener.accept(timeoutMilliseconds: 1000) else { continue }
                welcome(connection)
            } catch {
                guard !lock.withLock({ isShuttingDown }) else { return }
                Console.error("accepting a connection: \(error)")
                // Out of descriptors or memory, usually for a moment.
                MonotonicClock.sleep(nanoseconds: 100_000_000)
            }
        }
    }

    private func welcome(_ connection: Connection) {
        if let refusal = connection.peer.refusal(acceptedCIDs: options.acceptedCIDs) {
            Console.error("refused: \(refusal); see --accept-cid")
            connection.shutdown()
            return
        }
        let handler = AgentConnection(connection: connection, service: self)
        let isAccepted = lock.withLock {
            guard !isShuttingDown, connections.count < AgentOptions.maximumConnections else { return false }
            connections[ObjectIdentifier(handler)] = handler
            return true
        }
        guard isAccepted else {
            Console.error("refused \(connection.peer): \(AgentOptions.maximumConnections) connections are open")
            connection.shutdown()
            return
        }
        Thread.start("tandem-conn") { handler.run() }
    }

    // MARK: The session

    func occupation(besides connection: AgentConnection) -> AgentSession.Occupation {
        lock.withLock {
            guard let holder, holder.connection !== connection else { return .free }
            return .held(by: holder.name, token: holder.token)
        }
    }

    var sessionClock: TraceClock? { lock.withLock { holder?.clock } }

    /// Makes `connection` the holder of the session and returns the token that admits its probes.
    func claim(_ connection: AgentConnection, holder name: String, clock: TraceClock) throws(PeerError) -> UInt64 {
        let token = UInt64.random(in: 1 ... .max)
        let problem: PeerError? = lock.withLock {
            if isShuttingDown { return PeerError(.shuttingDown, "the agent is shutting down") }
            if let holder { return PeerError(.busy, "busy, held by \(holder.name)") }
            holder = Holder(connection: connection, name: name, clock: clock, token: token)
            return nil
        }
        if let problem { throw problem }
        Console.notice("session for \(name)")
        return token
    }

    func openRecorder(_ request: SessionRequest) throws -> TraceRecorder {
        try TraceRecorder(
            tracefs: tracefs, role: "agent", clock: request.clock, bufferKiBPerCPU: request.bufferKiBPerCPU,
            events: request.events.map { EventPattern($0.pattern, filter: $0.filter) })
    }

    /// The session is over and tracefs as it was found: another collector may have it, before this one is told.
    func yieldSession(of connection: AgentConnection?) {
        let probes: [AgentConnection] = lock.withLock {
            guard let connection, holder?.connection === connection else { return [] }
            holder = nil
            return connections.values.filter(\.isProbing)
        }
        for probe in probes { probe.shutDown(saying: "the session has ended") }
    }

    /// The connection is gone, with the session if it held it.
    func released(_ connection: AgentConnection, reason: String) {
        lock.withLock {
            connections[ObjectIdentifier(connection)] = nil
            lock.broadcast()
        }
        if connection.hadSession { Console.notice("session ended: \(reason)") }
    }

    /// Ends every connection and waits until tracefs is clean, five seconds at most.
    func shutDown() {
        let all = lock.withLock {
            isShuttingDown = true
            return Array(connections.values)
        }
        for connection in all { connection.shutDown(saying: "the agent is shutting down") }
        let deadline = MonotonicClock.nanoseconds() + 5_000_000_000
        lock.withLock { while !connections.isEmpty, lock.wait(until: deadline) {} }
    }

    /// The typed error for the collector.
    func explain(_ error: any Error) -> PeerError {
        switch error {
        case let error as PeerError: error
        case let error as CaptureError: PeerError(.tracingUnavailable, "\(error)", subject: error.path)
        case let error as EventSelectionError: PeerError(.badRequest, "\(error)")
        case let error as RecorderError: PeerError(.badRequest, "\(error)")
        default: PeerError(.internalFailure, "\(error)")
        }
    }
}
