import CLinux
import Glibc

/// What a name server, or whoever else was asked, knows about a host's name.
package enum Resolution: Sendable {
    /// Numeric addresses, best first.
    case addresses([String])
    /// There is none; the text says why.
    case failed(String)

    /// What a program without a resolver answers.
    package static func none(_ name: String) -> Resolution {
        .failed("'\(name)' is a name and this program has no resolver; write a numeric address")
    }
}

/// One attempt to connect, bounded as a whole: resolving aside, no step of it may use more than what is left.
struct Dialer {
    let endpoint: Endpoint
    let timeoutMilliseconds: Int
    private let deadline: Deadline

    init(endpoint: Endpoint, timeoutMilliseconds: Int) {
        self.endpoint = endpoint
        self.timeoutMilliseconds = timeoutMilliseconds
        deadline = Deadline(afterMilliseconds: timeoutMilliseconds)
    }

    func connect(resolve: (String) -> Resolution) throws(TransportError) -> Connection {
        if let problem = endpoint.problemWhenConnecting { throw error(.unusable(problem)) }
        switch endpoint {
        case .descriptor(let number):
            return try Connection(inherited: number)
        case .tcp(let name, let port) where !AddressText.isNumeric(name):
            return try connect(port: port, at: resolve(name))
        case .unix(let path, let port?):
            return try connectThroughVMM(path: path, port: port)
        case .vsock, .tcp, .unix:
            return try connect(at: endpoint)
        }
    }

    /// Every address in turn; the last failure is told.
    private func connect(port: UInt16, at resolution: Resolution) throws(TransportError) -> Connection {
        let addresses: [String]
        switch resolution {
        case .addresses(let list): addresses = list
        case .failed(let text): throw error(.unresolved(text))
        }
        var failure = error(.unresolved("the name has no address"))
        for address in addresses where AddressText.isNumeric(address) {
            do { return try connect(at: .tcp(address: address, port: port)) } catch { failure = error }
        }
        throw failure
    }

    /// Hybrid vsock: the VMM answers one line, and what follows is the guest's. The line is read byte by byte, so that
    /// nothing of the guest's is taken with it.
    private func connectThroughVMM(path: String, port: UInt32) throws(TransportError) -> Connection {
        let connection = try connect(at: .unix(path: path, hybridPort: nil))
        do throws(TransportError) {
            try connection.write(
                HybridGreeting.request(port: port), timeoutMilliseconds: deadline.remainingMilliseconds)
            var line: [UInt8] = []
            while line.last != UInt8(ascii: "\n"), line.count < HybridGreeting.longestReply {
                let byte = try connection.read(upTo: 1, timeoutMilliseconds: deadline.remainingMilliseconds)
                if byte.isEmpty { throw error(.greeting(reply: nil)) }
                line += byte
            }
            guard HybridGreeting.port(inReply: line) != nil else {
                throw error(.greeting(reply: HybridGreeting.printable(line)))
            }
        } catch {
            switch error.cause {
            case .timedOut: throw self.error(.timedOut(milliseconds: timeoutMilliseconds))
            // How Firecracker refuses when bytes of ours were still unread.
            case .system(ECONNRESET), .system(EPIPE): throw self.error(.greeting(reply: nil))
            case .system, .shutDown, .unusable, .unresolved, .greeting: throw self.error(error.cause)
            }
        }
        return connection
    }

    /// One socket to one numeric address.
    private func connect(at place: Endpoint) throws(TransportError) -> Connection {
        guard let address = SocketAddress(place) else {
            throw error(.unusable("it is not an address that a socket can have"))
        }
        do throws(Errno) {
            let number = clinux_stream_socket(address.family)
            if number < 0 { throw Errno.last }
            if case .vsock = place { _ = clinux_vsock_connect_timeout(number, Int64(timeoutMilliseconds)) }
            let isConnected = try establish(number, address)
            guard isConnected else { throw Errno(code: ETIMEDOUT) }
            return try Connection(adopting: number, to: endpoint)
        } catch {
            throw self.error(
                error.code == ETIMEDOUT && deadline.isOver
                    ? .timedOut(milliseconds: timeoutMilliseconds) : .system(error.code))
        }
    }

    /// True when connected, false when time is up; closes the socket unless true.
    private func establish(_ number: Int32, _ address: SocketAddress) throws(Errno) -> Bool {
        var isConnected = false
        defer { if !isConnected { close(number) } }
        while true {
            do throws(Errno) {
                try address.call { Glibc.connect(number, $0, $1) }
                isConnected = true
                return true
            } catch {
                switch error.code {
                // Interrupted: the attempt goes on by itself, as with EINPROGRESS (connect(2)).
                case EINPROGRESS, EINTR:
                    guard try wait(for: number, POLLOUT) else { return false }
                    let code = try SocketOptions.pendingError(number)
                    if code != 0 { throw Errno(code: code) }
                    isConnected = true
                    return true
                // A Unix socket whose queue is full does not go on by itself, and nothing tells when to try again.
                case EAGAIN:
                    if deadline.isOver { return false }
                    poll(nil, 0, min(Dialer.retryMilliseconds, deadline.pollMilliseconds))
                default: throw error
                }
            }
        }
    }

    /// A listener that takes longer than this for one connection is not worth asking more often.
    private static let retryMilliseconds: Int32 = 10

    private func wait(for number: Int32, _ events: Int32) throws(Errno) -> Bool {
        while true {
            var watched = pollfd(fd: number, events: Int16(truncatingIfNeeded: events), revents: 0)
            let count = poll(&watched, 1, deadline.pollMilliseconds)
            if count > 0 { return true }
            if count < 0, errno != EINTR { throw Errno.last }
            if deadline.isOver { return false }
        }
    }

    private func error(_ cause: TransportError.Cause) -> TransportError { TransportError(.connect, endpoint, cause) }
}
