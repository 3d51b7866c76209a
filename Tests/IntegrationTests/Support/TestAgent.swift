import Glibc
import Testing
import Transport
import Wire

/// A real agent that listens on a Unix socket of its own.
final class TestAgent {
    let program: Program
    let socket: String
    let folder: TestFolder

    init(in folder: TestFolder? = nil) throws {
        let folder = try folder ?? TestFolder()
        self.folder = folder
        socket = "\(folder.path)/agent.sock"
        program = try Program("tandem-agent", ["unix:\(socket)"], in: folder)
        let program = program
        try #require(
            eventually(seconds: 5) { program.errorText.contains("listening on") || !program.isRunning },
            "the agent does not listen")
        try #require(program.isRunning, "the agent ended: \(program.errorText)")
    }

    var endpoint: Endpoint { .unix(path: socket, hybridPort: nil) }

    /// Trace instances that it has now.
    var instances: [String] { TracefsState.instances(of: program.pid) }

    /// SIGTERM; it must end well and leave nothing.
    func stop(sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(program.end(SIGTERM) == 0, "\(program.errorText)", sourceLocation: sourceLocation)
        #expect(instances == [], sourceLocation: sourceLocation)
    }
}
