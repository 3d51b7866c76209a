package import Transport

/// What the agent was started with. Parsed by hand: an argument library would double the size of the static file.
package struct AgentOptions: Equatable {
    static let maximumConnections = 16

    package static let help = """
        usage: tandem-agent [ENDPOINT …] [options]

        Serves this machine's kernel trace events to a Tandem collector on the host.

        endpoints (default: vsock::9823)
          vsock::PORT            any CID of this machine
          tcp:HOST:PORT          numeric address; clear text, so loopback only unless --insecure
          unix:PATH              a Unix socket
          fd:N                   an inherited listening socket (systemd socket activation: fd:3)

        options
          --insecure             allow clear-text TCP on other addresses than loopback
          --accept-cid CID       on vsock, accept this peer too (default: the host only, CID 2); repeatable
          --version              print the version
          -h, --help             print this

        The agent needs to be root, without any capability: the kernel lets only the owner of tracefs start a trace. It
        works in a private tracefs instance that is removed when the session ends. It serves one collector at a time and
        ends on SIGTERM.
        """

    package enum Outcome: Equatable {
        case run(AgentOptions)
        case print(String)
        case fail(String)
    }

    package var endpoints: [Endpoint] = []
    package var isInsecure = false
    package var acceptedCIDs: Set<UInt32> = [Peer.hostCID]

    package init() {}

    package static func parse(_ arguments: [String]) -> Outcome {
        var options = AgentOptions()
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            switch argument {
            case "-h", "--help": return .print(help)
            case "--version": return .print("tandem-agent \(version)")
            case "--insecure": options.isInsecure = true
            case "--accept-cid":
                guard let cid = rest.popFirst().flatMap(UInt32.init) else {
                    return .fail("--accept-cid needs a number")
                }
                options.acceptedCIDs.insert(cid)
            default:
                guard !argument.hasPrefix("-") else { return .fail("unknown option '\(argument)'; see --help") }
                do throws(EndpointError) {
                    options.endpoints.append(try Endpoint(parsing: argument))
                } catch {
                    return .fail(error.description)
                }
            }
        }
        if options.endpoints.isEmpty { options.endpoints = [.vsock(cid: nil, port: UInt32(Endpoint.defaultPort))] }
        for endpoint in options.endpoints {
            if let refusal = endpoint.clearTextRefusal(insecure: options.isInsecure) { return .fail(refusal) }
        }
        return .run(options)
    }
}

package let version = "0.1.0"
