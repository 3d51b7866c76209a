import CLinux
import Glibc
import Synchronization

/// An open socket that several threads may use, and any of them may stop or close.
///
/// Closing a descriptor under a thread that polls it does not wake that thread, and the next socket opened anywhere in
/// the program gets its number, so that the thread would go on with a stranger's bytes. Therefore every use is counted,
/// and the last one to leave after `close` closes. Waiters are woken by an eventfd that they poll beside the socket:
/// shutdown(2) alone wakes no one on a listening vsock socket, and does not reach a socket in the midst of connecting.
final class SocketDescriptor: Sendable {
    private struct State {
        var users = 0
        var isStopped = false
        var isClosing = false
    }

    enum Wait {
        case ready
        case timedOut
        case stopped
    }

    private let descriptor: Int32
    private let wakeDescriptor: Int32
    private let state = Mutex(State())

    /// Takes over `descriptor`: it is closed with this object, or at once when this fails.
    init(adopting descriptor: Int32) throws(Errno) {
        self.descriptor = descriptor
        wakeDescriptor = clinux_eventfd()
        if wakeDescriptor < 0 {
            let error = Errno.last
            Glibc.close(descriptor)
            throw error
        }
    }

    deinit { close() }

    var isStopped: Bool { state.withLock { $0.isStopped } }

    /// Lends the descriptor to `body`; nil when it is closed already.
    func use<Value, Failure: Error>(_ body: (Int32) throws(Failure) -> Value) throws(Failure) -> Value? {
        let isOpen = state.withLock { state in
            if state.isClosing { return false }
            state.users += 1
            return true
        }
        guard isOpen else { return nil }
        defer { leave() }
        return try body(descriptor)
    }

    /// Waits until `events` (poll(2)) can be served, or the peer hung up, which the call that follows will report.
    ///
    /// To be called inside of `use`.
    func wait(for events: Int32, until deadline: Deadline) throws(Errno) -> Wait {
        var waited = 0
        while true {
            // What is there at once is taken, however late it is.
            let next = deadline.nextWait(after: waited)
            var watched = [
                pollfd(fd: descriptor, events: Int16(truncatingIfNeeded: events), revents: 0),
                pollfd(fd: wakeDescriptor, events: Int16(truncatingIfNeeded: POLLIN), revents: 0),
            ]
            let count = poll(&watched, nfds_t(watched.count), next ?? 0)
            if count < 0 {
                let error = Errno.last
                if error.code != EINTR { throw error }
            } else if watched[1].revents != 0 {
                return .stopped
            } else if watched[0].revents != 0 {
                return .ready
            } else if let next {
                waited += Int(next)
            } else {
                return .timedOut
            }
        }
    }

    /// Ends the stream in both directions and wakes every waiter, for good: the eventfd is never read.
    func stop() {
        let isFirst = state.withLock { state in
            if state.isStopped { return false }
            state.isStopped = true
            return true
        }
        guard isFirst else { return }
        _ = use { descriptor in
            // Fails with ENOTCONN on a socket that listens or whose peer is gone: there is nobody to tell.
            shutdown(descriptor, Int32(SHUT_RDWR))
            wake()
        }
    }

    /// Stops, and closes as soon as nobody uses the socket.
    func close() {
        stop()
        let isUnused = state.withLock { state in
            if state.isClosing { return false }
            state.isClosing = true
            return state.users == 0
        }
        if isUnused { release() }
    }

    private func wake() {
        var one: UInt64 = 1
        // Cannot fail: the counter holds 2^64 - 2 and is written once.
        _ = write(wakeDescriptor, &one, MemoryLayout<UInt64>.size)
    }

    private func leave() {
        let isLast = state.withLock { state in
            state.users -= 1
            return state.isClosing && state.users == 0
        }
        if isLast { release() }
    }

    private func release() {
        Glibc.close(descriptor)
        Glibc.close(wakeDescriptor)
    }
}
