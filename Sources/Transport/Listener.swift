import CLinux
import Glibc

/// A listening socket of whichever kind.
package final class Listener: Sendable {
    /// What is listened on, with the port that was got where any was asked for.
    package let localEndpoint: Endpoint
    private let socket: SocketDescriptor
    private let file: UnixSocketFile?

    /// Connections that may wait to be accepted. An agent serves one collector; the others are told so at once.
    private static let backlog: Int32 = 16

    package init(_ endpoint: Endpoint) throws(TransportError) {
        if let problem = endpoint.problemWhenListening { throw TransportError(.listen, endpoint, .unusable(problem)) }
        do throws(Errno) {
            if case .descriptor(let number) = endpoint {
                try SocketOptions.checkInherited(number, isListening: true)
                // accept(2) knows no MSG_DONTWAIT. The flag is shared with the parent process, and is the one that
                // service managers expect an activated service to set.
                if fcntl(number, F_SETFL, O_NONBLOCK) != 0 { throw Errno.last }
                socket = try SocketDescriptor(adopting: number)
                file = nil
                localEndpoint = SocketOptions.localEndpoint(of: number) ?? endpoint
                return
            }
            guard let address = SocketAddress(endpoint) else { throw Errno(code: EINVAL) }
            let number = clinux_stream_socket(address.family)
            if number < 0 { throw Errno.last }
            socket = try SocketDescriptor(adopting: number)
            if case .unix(let path, _) = endpoint {
                file = try UnixSocketFile(binding: number, to: path, address)
                localEndpoint = endpoint
            } else {
                if case .tcp = endpoint { SocketOptions.reuseAddress(number) }
                try address.call { bind(number, $0, $1) }
                file = nil
                localEndpoint = SocketOptions.localEndpoint(of: number) ?? endpoint
            }
            if listen(number, Listener.backlog) != 0 {
                let error = Errno.last
                file?.remove()
                throw error
            }
        } catch {
            throw TransportError(.listen, endpoint, .system(error.code))
        }
    }

    deinit { close() }

    /// Waits for the next connection; nil when time is up, or the listener was closed by another thread.
    ///
    /// A connection that its peer gave up before it was accepted is passed over. EMFILE and its like are thrown: the
    /// connection still waits, so the caller had better wait too.
    package func accept(timeoutMilliseconds: Int?) throws(TransportError) -> Connection? {
        let deadline = Deadline(afterMilliseconds: timeoutMilliseconds)
        let accepted = try socket.use { descriptor throws(TransportError) -> Connection? in
            do throws(Errno) {
                while !socket.isStopped {
                    let number = clinux_accept(descriptor)
                    if number >= 0 {
                        // The peer has gone again when its address cannot be told.
                        if let connection = try? Connection(adopting: number, to: nil) { return connection }
                        continue
                    }
                    let error = Errno.last
                    switch error.code {
                    case EAGAIN:
                        guard try socket.wait(for: POLLIN, until: deadline) == .ready else { return nil }
                    // Errors of the network that belong to the new connection and not to the listener: accept(2).
                    case EINTR, ECONNABORTED, EPROTO, ENETDOWN, ENOPROTOOPT, EHOSTDOWN, ENONET, EHOSTUNREACH,
                        EOPNOTSUPP, ENETUNREACH, ECONNRESET:
                        continue
                    default:
                        throw error
                    }
                }
                return nil
            } catch {
                throw TransportError(.accept, localEndpoint, .system(error.code))
            }
        }
        return accepted ?? nil
    }

    /// Stops listening and wakes a thread that accepts; removes the file of a Unix socket. Any number of times.
    package func close() {
        if !socket.isStopped { file?.remove() }
        socket.close()
    }
}
