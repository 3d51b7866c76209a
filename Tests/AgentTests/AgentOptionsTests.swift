import Agent
import Testing
import Transport

struct AgentOptionsTests {
    private func check(
        _ arguments: String, _ endpoints: [Endpoint], insecure: Bool = false, cids: Set<UInt32> = [2],
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        var expected = AgentOptions()
        expected.endpoints = endpoints
        expected.isInsecure = insecure
        expected.acceptedCIDs = cids
        let outcome = AgentOptions.parse(arguments.split(separator: " ").map(String.init))
        #expect(outcome == .run(expected), "\(arguments)", sourceLocation: sourceLocation)
    }

    private func checkRefused(
        _ arguments: String, _ words: String..., sourceLocation: SourceLocation = #_sourceLocation
    ) {
        guard case .fail(let problem) = AgentOptions.parse(arguments.split(separator: " ").map(String.init)) else {
            Issue.record("'\(arguments)' was taken", sourceLocation: sourceLocation)
            return
        }
        for word in words { #expect(problem.contains(word), "\(problem)", sourceLocation: sourceLocation) }
        #expect(!problem.contains("\n"), sourceLocation: sourceLocation)
    }

    @Test func `without an endpoint it listens on vsock, where any host looks for it`() {
        check("", [.vsock(cid: nil, port: 9823)])
        check("--insecure", [.vsock(cid: nil, port: 9823)], insecure: true)
    }

    @Test func `endpoints and options come in any order`() {
        check("vsock::7", [.vsock(cid: nil, port: 7)])
        check("unix:/run/a.sock fd:3", [.unix(path: "/run/a.sock", hybridPort: nil), .descriptor(3)])
        check(
            "--accept-cid 3 tcp:127.0.0.1:9823 --accept-cid 5", [.tcp(address: "127.0.0.1", port: 9823)],
            cids: [2, 3, 5])
        check("tcp:[::1]:9 vsock:1:1", [.tcp(address: "::1", port: 9), .vsock(cid: 1, port: 1)])
    }

    @Test func `clear text that would leave the machine is refused unless it is asked for`() {
        checkRefused("tcp:0.0.0.0:9823", "tcp:0.0.0.0:9823", "in clear text", "--insecure")
        checkRefused("tcp:192.168.122.10:9823", "vsock or a Unix socket")
        checkRefused("vsock::1 tcp:[::]:9823", "in clear text")
        check("tcp:0.0.0.0:9823 --insecure", [.tcp(address: "0.0.0.0", port: 9823)], insecure: true)
    }

    @Test func `what cannot be meant is refused with its name`() {
        checkRefused("--nonsense", "unknown option '--nonsense'", "--help")
        checkRefused("-x", "unknown option '-x'")
        checkRefused("--accept-cid", "--accept-cid needs a number")
        checkRefused("--accept-cid host", "--accept-cid needs a number")
        checkRefused("--accept-cid -1", "--accept-cid needs a number")
        checkRefused("nonsense", "nonsense")
        checkRefused("fd:x", "fd:x")
    }

    @Test func `help and version are printed, whatever else is said`() {
        #expect(AgentOptions.parse(["-h"]) == .print(AgentOptions.help))
        #expect(AgentOptions.parse(["vsock::1", "--help", "--nonsense"]) == .print(AgentOptions.help))
        #expect(AgentOptions.parse(["--version"]) == .print("tandem-agent \(version)"))
    }
}
