import Glibc
import Testing
import Transport
import Wire

/// A real agent that listens on a Unix socket of its own.
final class TestAgent {
    let program: Program
    let socket: String
    let folder: TestFolder
    let endpoint: Endpoint

    /// - Parameter address: where it listens; in its folder unless given.
    init(in folder: TestFolder? = nil, at address: String? = nil) throws {
        let folder = try folder ?? TestFolder()
        self.folder = folder
        socket = "\(folder.path)/agent.sock"
        endpoint = try address.map { try Endpoint(parsing: $0) } ?? .unix(path: socket, hybridPort: nil)
        program = try Program("tandem-agent", [address ?? "unix:\(socket)"], in: folder)
        let program = program
        try #require(
            eventually(seconds: 5) { program.errorText.contains("listening on") || !program.isRunning },
            "the agent does not listen")
        try #require(program.isRunning, "the agent ended: \(program.errorText)")
    }

    /// Trace instances that it has now.
    var instances: [String] { TracefsState.instances(of: program.pid) }

    /// SIGTERM; it must end well and leave nothing.
    func stop(sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(program.end(SIGTERM) == 0, "\(program.errorText)", sourceLocation: sourceLocation)
        #expect(instances == [], sourceLocation: sourceLocation)
    }
}
