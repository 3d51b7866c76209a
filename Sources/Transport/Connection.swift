import CLinux
import Glibc

/// A byte stream to one peer, over whichever kind of socket, with time limits on every call.
///
/// Calls block the calling thread and never longer than they are told; `shutdown` from another thread ends all of them.
/// Reading and writing may be done by two threads at once; two writers would mix their bytes. The descriptor itself may
/// be blocking or not: every call passes MSG_DONTWAIT, so that an inherited socket, whose flags are shared with the
/// process that handed it over, is left as it was. A closed peer never raises SIGPIPE.
package final class Connection: Sendable {
    /// What was connected to; for an accepted or inherited socket its own local address, if its kind has one.
    package let endpoint: Endpoint
    package let peer: Peer
    private let socket: SocketDescriptor

    /// Connects, in `timeoutMilliseconds` altogether.
    ///
    /// `resolve` turns a host's name into numeric addresses, which are tried in their order; the static agent has no
    /// resolver and gives none.
    package static func connect(
        to endpoint: Endpoint, timeoutMilliseconds: Int, resolve: (String) -> Resolution = Resolution.none
    ) throws(TransportError) -> Connection {
        try Dialer(endpoint: endpoint, timeoutMilliseconds: timeoutMilliseconds).connect(resolve: resolve)
    }

    /// Takes over a connected stream socket, and closes it when it cannot be used.
    init(adopting descriptor: Int32, to endpoint: Endpoint?) throws(Errno) {
        socket = try SocketDescriptor(adopting: descriptor)
        let local = SocketOptions.localEndpoint(of: descriptor)
        self.endpoint = endpoint ?? local ?? .descriptor(descriptor)
        peer = try SocketOptions.peer(of: descriptor)
        if case .tcp = self.endpoint { SocketOptions.sendAtOnce(descriptor) }
    }

    deinit { socket.close() }

    /// Reads what is there, at least one byte; 0 at the end of the stream, which `shutdown` on this side is too.
    package func read(
        into buffer: UnsafeMutableRawBufferPointer, timeoutMilliseconds: Int?
    ) throws(TransportError) -> Int {
        precondition(!buffer.isEmpty, "an empty buffer cannot tell the end of the stream")
        var deadline: Deadline?
        let count = try socket.use { descriptor throws(TransportError) in
            while !socket.isStopped {
                let count = recv(descriptor, buffer.baseAddress, buffer.count, Int32(MSG_DONTWAIT))
                if count >= 0 { return count }
                let error = Errno.last
                guard try mayRetry(.read, after: error, POLLIN, &deadline, timeoutMilliseconds) else { break }
            }
            return 0
        }
        return count ?? 0
    }

    /// Writes all of `bytes`. The time limit starts anew whenever the peer takes some of them: a slow peer is waited for
    /// and a stuck one is not. After an error the stream is cut somewhere in `bytes`, so that it can only be closed.
    package func write(_ bytes: UnsafeRawBufferPointer, timeoutMilliseconds: Int?) throws(TransportError) {
        var written = 0
        var deadline: Deadline?
        let isDone = try socket.use { descriptor throws(TransportError) in
            while written < bytes.count {
                if socket.isStopped { return false }
                let rest = UnsafeRawBufferPointer(rebasing: bytes[written...])
                let flags = Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL)
                let count = send(descriptor, rest.baseAddress, rest.count, flags)
                if count >= 0 {
                    written += count
                    deadline = nil
                    continue
                }
                let error = Errno.last
                guard try mayRetry(.write, after: error, POLLOUT, &deadline, timeoutMilliseconds) else { return false }
            }
            return true
        }
        guard isDone == true else { throw TransportError(.write, endpoint, .shutDown) }
    }

    /// Tells the peer that nothing more will come, and goes on reading: the end of a drain.
    package func finishWriting() throws(TransportError) {
        let result = socket.use { shutdownWriting($0) }
        if let error = result ?? nil { throw TransportError(.write, endpoint, .system(error.code)) }
    }

    /// Ends the stream in both directions; a thread that reads sees its end, and one that writes fails. From any thread.
    package func shutdown() { socket.stop() }

    /// Shuts down and gives the descriptor back, as soon as no thread is in a call. From any thread, any number of times.
    package func close() { socket.close() }

    /// After a call that failed: waits if it only has to wait; false when this side shut down meanwhile.
    ///
    /// `deadline` is set by the first wait, so that a call that need not wait does not read the clock.
    private func mayRetry(
        _ operation: TransportError.Operation, after error: Errno, _ events: Int32, _ deadline: inout Deadline?,
        _ timeoutMilliseconds: Int?
    ) throws(TransportError) -> Bool {
        switch error.code {
        case EINTR: return true
        case EAGAIN:
            let end = deadline ?? Deadline(afterMilliseconds: timeoutMilliseconds)
            deadline = end
            do throws(Errno) {
                switch try socket.wait(for: events, until: end) {
                case .ready: return true
                case .stopped: return false
                case .timedOut: break
                }
            } catch {
                throw TransportError(operation, endpoint, .system(error.code))
            }
            throw TransportError(operation, endpoint, .timedOut(milliseconds: timeoutMilliseconds ?? 0))
        default:
            // A shutdown in another thread can turn into an error of the call that it overtakes.
            if socket.isStopped { return false }
            throw TransportError(operation, endpoint, .system(error.code))
        }
    }
}

extension Connection {
    /// Reads at most `count` bytes; an empty array at the end of the stream.
    package func read(upTo count: Int, timeoutMilliseconds: Int?) throws(TransportError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let received = try bytes.withUnsafeMutableBufferPointer { buffer throws(TransportError) in
            try read(into: UnsafeMutableRawBufferPointer(buffer), timeoutMilliseconds: timeoutMilliseconds)
        }
        bytes.removeLast(count - received)
        return bytes
    }

    package func write(_ bytes: [UInt8], timeoutMilliseconds: Int?) throws(TransportError) {
        try bytes.withUnsafeBufferPointer { buffer throws(TransportError) in
            try write(UnsafeRawBufferPointer(buffer), timeoutMilliseconds: timeoutMilliseconds)
        }
    }

    /// Takes over a connected stream socket that the parent process handed over.
    package convenience init(inherited number: Int32) throws(TransportError) {
        do throws(Errno) {
            try SocketOptions.checkInherited(number, isListening: false)
            try self.init(adopting: number, to: nil)
        } catch {
            throw TransportError(.connect, .descriptor(number), .system(error.code))
        }
    }
}

/// `Glibc.shutdown` by a name that `Connection.shutdown` does not hide.
private func shutdownWriting(_ descriptor: Int32) -> Errno? {
    shutdown(descriptor, Int32(SHUT_WR)) == 0 ? nil : Errno.last
}
