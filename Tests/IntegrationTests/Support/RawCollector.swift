import Testing
import TraceModel
import Transport
import Wire

/// The collector's end of a connection, message by message: what a test says is what goes out, right or wrong.
final class RawCollector {
    let connection: Connection
    private var reader = FrameReader()

    init(_ agent: TestAgent) throws {
        connection = try Connection.connect(to: agent.endpoint, timeoutMilliseconds: 2_000)
    }

    func send(_ message: Message) throws { try send(message.frame.bytes) }

    func send(_ bytes: [UInt8]) throws { try connection.write(bytes, timeoutMilliseconds: 5_000) }

    /// The next message; nil when the agent has closed the connection.
    func next(timeoutMilliseconds: Int = 5_000) throws -> Message? {
        while true {
            if let frame = try reader.next() {
                if let message = try Message(frame) { return message }
                continue
            }
            let bytes = try connection.read(upTo: 256 << 10, timeoutMilliseconds: timeoutMilliseconds)
            if bytes.isEmpty { return nil }
            reader.append(bytes)
        }
    }

    /// The next message must be that error; then the connection ends. Gives the error.
    @discardableResult
    func expectError(
        _ code: PeerError.Code, _ words: String..., sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> PeerError? {
        while let message = try next() {
            guard case .error(let error) = message else { continue }
            #expect(error.code == code, "\(error)", sourceLocation: sourceLocation)
            for word in words {
                #expect(error.description.contains(word), "\(error)", sourceLocation: sourceLocation)
            }
            // A reset is an end too: what we sent last was never read.
            #expect((try? next()) ?? nil == nil, "an error ends the connection", sourceLocation: sourceLocation)
            return error
        }
        Issue.record("the agent closed without an error", sourceLocation: sourceLocation)
        return nil
    }

    static let hello = Hello(role: .collector, program: "test", hostname: "test host")

    /// Hello in both directions.
    func greet(_ hello: Hello = RawCollector.hello) throws {
        try send(.hello(hello))
        guard case .hello(let peer)? = try next() else {
            Issue.record("no hello came")
            return
        }
        #expect(peer.role == .agent)
    }

    static func request(
        _ events: [SessionRequest.Event], creditBytes: Int = Limits.creditBytes, bufferKiB: Int = 1024
    ) -> SessionRequest {
        SessionRequest(
            clock: .monoRaw, bufferKiBPerCPU: bufferKiB, events: events, flushMilliseconds: 8, creditBytes: creditBytes,
            holder: "test host")
    }

    /// The whole set-up, up to `ready`.
    func prepare(_ request: SessionRequest) throws -> (prepared: Prepared, formats: [FormatMessage]) {
        try greet()
        try send(.request(request))
        var prepared: Prepared?
        var formats: [FormatMessage] = []
        while let message = try next() {
            switch message {
            case .prepared(let told): prepared = told
            case .format(let format): formats.append(format)
            case .ready: return (try #require(prepared), formats)
            case .error(let error): throw error
            default: continue
            }
        }
        throw PeerError(.internalFailure, "the agent closed the connection while it was set up")
    }
}
