/// Where a byte stream starts or ends, as people write it and as sockets need it.
///
/// One grammar serves both directions: `vsock::9823`, `vsock:CID:PORT`, `tcp:HOST:PORT`, `unix:PATH`, `unix:PATH?PORT`
/// and `fd:N`. What only makes sense in one direction (a listener on any CID, a connection through a VMM's Unix socket)
/// is told by `problemWhenListening` and `problemWhenConnecting`, so that the text of an address means the same
/// everywhere. Names are kept as names: who may ask a name server resolves them when connecting, because the static
/// agent has no resolver and because a guest's address may change between two connections.
package enum Endpoint: Hashable, Sendable {
    /// `cid` nil: any (listening only). Port 0: any free one (listening only). Addresses: vsock(7).
    case vsock(cid: UInt32?, port: UInt32)
    /// `address` is a numeric IPv4 or IPv6 address (without brackets) or a host's name. Port 0 as above.
    case tcp(address: String, port: UInt16)
    /// `hybridPort`: the socket belongs to a VMM (Firecracker, Cloud Hypervisor) that leads on to this vsock port of its
    /// guest (`HybridGreeting`).
    case unix(path: String, hybridPort: UInt32?)
    /// A socket inherited from the parent process, listening (socket activation) or connected.
    case descriptor(Int32)

    /// Above the ports that need a privilege (1023), and the stock agent's 823 with a 9 in front.
    package static let defaultPort: UInt16 = 9823

    package static let grammar = """
        vsock::PORT, vsock:CID:PORT, tcp:HOST:PORT (an IPv6 address in brackets), unix:PATH, unix:PATH?PORT (a VMM's \
        socket that leads to vsock PORT of its guest) or fd:N; the port is \(defaultPort) where none is written
        """

    /// The words that open an address; a text that starts with one of them and a colon is never a host or guest name.
    static let schemes = ["vsock", "tcp", "unix", "fd"]

    package init(parsing text: String) throws(EndpointError) {
        func fail(_ problem: String) -> EndpointError {
            EndpointError(text: text, problem: problem, grammar: Endpoint.grammar)
        }
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let rest = parts.count == 2 ? String(parts[1]) : ""
        switch parts[0] {
        case "vsock":
            self = try AddressText.vsock(rest).mapProblem(fail)
        case "tcp":
            let (host, port) = try AddressText.hostAndPort(rest).mapProblem(fail)
            self = .tcp(address: try AddressText.host(host).mapProblem(fail), port: port ?? Endpoint.defaultPort)
        case "unix":
            self = try AddressText.unix(rest).mapProblem(fail)
        case "fd":
            guard let number = AddressText.number(rest), let descriptor = Int32(exactly: number) else {
                throw fail("'\(rest)' is not the number of a file descriptor")
            }
            self = .descriptor(descriptor)
        case "":
            throw fail("nothing is written before the first colon")
        default:
            throw fail("'\(parts[0])' is not a kind of address")
        }
    }

    /// Why nobody can listen there; nil when one can try.
    package var problemWhenListening: String? {
        switch self {
        case .unix(_, .some): "a VMM's socket can only be connected to; write unix:PATH to listen on a Unix socket"
        case .tcp(let address, _) where !AddressText.isNumeric(address):
            "'\(address)' is a name; listen on a numeric address, such as tcp:127.0.0.1:\(Endpoint.defaultPort)"
        case .vsock, .tcp, .unix, .descriptor: nil
        }
    }

    /// Why nobody can connect to it; nil when one can try.
    package var problemWhenConnecting: String? {
        switch self {
        case .vsock(nil, _): "a CID is needed to connect; vsock::PORT is for listening"
        case .vsock(0, _): "CID 0 is reserved; guests have 3 and above"
        case .vsock(_, 0), .tcp(_, 0): "port 0 is for listening"
        case .vsock, .tcp, .unix, .descriptor: nil
        }
    }

    /// The rule for clear text: it may stay on this machine or go between it and its guests, and cross no network.
    ///
    /// Gives the sentence to refuse with, nil when there is nothing to refuse. An inherited descriptor is judged by the
    /// endpoint that `Listener.localEndpoint` or `Connection.endpoint` gives for it, which is never `.descriptor` when
    /// it is TCP.
    package func clearTextRefusal(insecure: Bool) -> String? {
        guard !insecure, case .tcp(let address, _) = self, !AddressText.isLoopback(address) else { return nil }
        return """
            \(self) would carry what a guest does over the network in clear text: use vsock or a Unix socket; \
            --insecure, on both sides, allows it all the same
            """
    }
}

extension Endpoint: CustomStringConvertible {
    /// The address as it is parsed.
    package var description: String {
        switch self {
        case .vsock(let cid, let port): "vsock:\(cid.map { "\($0)" } ?? ""):\(port)"
        case .tcp(let address, let port):
            address.utf8.contains(UInt8(ascii: ":")) ? "tcp:[\(address)]:\(port)" : "tcp:\(address):\(port)"
        case .unix(let path, let port): port.map { "unix:\(path)?\($0)" } ?? "unix:\(path)"
        case .descriptor(let number): "fd:\(number)"
        }
    }
}
