import Capture
import Glibc
import Recorder
import Threading
import TraceModel
import Transport
import Wire

/// The agent program: options, signals, listeners.
package enum AgentMain {
    /// Runs until SIGTERM or SIGINT; the return value is the exit status.
    package static func run(arguments: [String]) -> Int32 {
        switch AgentOptions.parse(arguments) {
        case .print(let text):
            print(text)
            return 0
        case .fail(let problem):
            Console.error(problem)
            return 2
        case .run(let options): return serve(options)
        }
    }

    private static func serve(_ options: AgentOptions) -> Int32 {
        let signals = blockSignals()
        var listeners: [Listener] = []
        do {
            let tracefs = try Tracefs.find()
            for name in AbandonedInstances.remove(in: tracefs, role: "agent") {
                Console.notice("removed the tracefs instance '\(name)' of an agent that died")
            }
            let service = AgentService(options: options, tracefs: tracefs, hello: hello)
            for endpoint in options.endpoints {
                let listener = try Listener(endpoint)
                listeners.append(listener)
                // An inherited socket shows only now what it is.
                if let refusal = listener.localEndpoint.clearTextRefusal(insecure: options.isInsecure) {
                    Console.error(refusal)
                    for listener in listeners { listener.close() }
                    return 2
                }
                Console.notice("listening on \(listener.localEndpoint)")
                Thread.start("tandem-accept") { service.serve(listener) }
            }
            var received: Int32 = 0
            var set = signals
            sigwait(&set, &received)
            Console.notice("ending on signal \(received)")
            for listener in listeners { listener.close() }
            service.shutDown()
            return 0
        } catch {
            // The accepting threads hold the listeners: without this their sockets' files would stay.
            for listener in listeners { listener.close() }
            Console.error("\(error)")
            return 1
        }
    }

    private static var hello: Hello {
        let facts = MachineFacts.current
        return Hello(
            role: .agent, program: "tandem-agent \(version)", hostname: facts.hostname, bootID: facts.bootID,
            productUUID: facts.productUUID, macAddresses: facts.macAddresses, kernelRelease: facts.kernelRelease,
            cpuCount: facts.cpuCount)
    }

    /// In every thread, before any is made: only `sigwait` sees them.
    private static func blockSignals() -> sigset_t {
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, SIGTERM)
        sigaddset(&set, SIGINT)
        sigaddset(&set, SIGHUP)
        pthread_sigmask(SIG_BLOCK, &set, nil)
        signal(SIGPIPE, SIG_IGN)
        return set
    }
}

/// Lines for whoever started the agent: the journal, or a terminal.
enum Console {
    static func notice(_ text: String) { write("tandem-agent: \(text)\n") }

    static func error(_ text: String) { write("tandem-agent: error: \(text)\n") }

    private static func write(_ line: String) {
        var line = line
        line.withUTF8 { _ = Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }
}
