import Testing
import Transport

/// The greeting that a VMM expects on its Unix socket, spoken with a thread in the VMM's place.
struct HybridTests {
    private enum Outcome {
        case connected(Connection, first: [UInt8])
        case failed(TransportError)
    }

    /// Connects through a VMM that answers `reply` (nil: closes; empty: says nothing); checks what it was asked.
    private func dial(reply: [UInt8]?, limit: Int = patience) throws -> Outcome {
        let folder = try TemporaryFolder()
        let path = "\(folder.path)/v.sock"
        let listener = try Listener(.unix(path: path, hybridPort: nil))
        let vmm = Background {
            let server = try #require(try listener.accept(timeoutMilliseconds: patience))
            var line: [UInt8] = []
            while line.last != UInt8(ascii: "\n") { line += try server.read(upTo: 1, timeoutMilliseconds: patience) }
            #expect(String(decoding: line, as: UTF8.self) == "CONNECT 9823\n")
            guard let reply else { return server.close() }
            // One byte at a time, as the worst stream would bring it.
            for byte in reply { try? server.write([byte], timeoutMilliseconds: patience) }
            // Until the client is done; one that goes with bytes unread resets the connection.
            while let rest = try? server.read(upTo: 64, timeoutMilliseconds: patience), !rest.isEmpty {}
        }
        let outcome: Outcome
        do throws(TransportError) {
            let endpoint = Endpoint.unix(path: path, hybridPort: 9823)
            let connection = try Connection.connect(to: endpoint, timeoutMilliseconds: limit)
            #expect(connection.endpoint == endpoint)
            let first = try connection.read(upTo: 5, timeoutMilliseconds: patience)
            connection.shutdown()
            outcome = .connected(connection, first: first)
        } catch {
            outcome = .failed(error)
        }
        try vmm.value()
        return outcome
    }

    private func check(_ reply: String, fails cause: TransportError.Cause) throws {
        guard case .failed(let error) = try dial(reply: Array(reply.utf8)) else {
            Issue.record("'\(reply)' was taken for a greeting")
            return
        }
        #expect(error.cause == cause)
        #expect(error.endpoint.description.hasSuffix("?9823"))
    }

    @Test
    func `after the greeting the guest's first byte is the stream's first`() throws {
        guard case .connected(_, let first) = try dial(reply: Array("OK 1073741824\nguest".utf8)) else {
            Issue.record("the other outcome")
            return
        }
        #expect(first.first == UInt8(ascii: "g"))
    }

    @Test
    func `a VMM that closes means that nobody listens in the guest`() throws {
        guard case .failed(let error) = try dial(reply: nil) else {
            Issue.record("the other outcome")
            return
        }
        #expect(error.cause == .greeting(reply: nil))
        #expect(error.description.contains("does tandem-agent listen on that port"))
    }

    @Test
    func `anything else than OK and a number is no VMM`() throws {
        try check("OK\n", fails: .greeting(reply: "OK"))
        try check("OK x\n", fails: .greeting(reply: "OK x"))
        try check("SSH-2.0 \u{1b}[31m\n", fails: .greeting(reply: "SSH-2.0 ?[31m"))
        try check("\n", fails: .greeting(reply: ""))
        let long = String(repeating: "a", count: 40)
        try check(long, fails: .greeting(reply: String(repeating: "a", count: 32)))
    }

    @Test
    func `a VMM that says nothing is given up after the limit`() throws {
        guard case .failed(let error) = try dial(reply: [], limit: 50) else {
            Issue.record("the other outcome")
            return
        }
        #expect(error.cause == .timedOut(milliseconds: 50))
    }
}
