import Glibc
import Synchronization
package import TraceModel
package import Views

/// Runs the live view on a terminal until it is left: keys and signals in, frames out, snapshots from anywhere.
///
/// One thread calls `run` and sleeps in poll(2) until a key, a signal or a snapshot comes; there is no tick and no
/// waiting for the next interval, so a key is answered with the next frame at once. Only the newest snapshot is kept: a
/// terminal that is slower than the snapshots skips some, and its rates span the time since the one shown before.
package final class TopSession: Sendable {
    /// How the view was left.
    package enum End: Hashable, Sendable {
        /// The user asked for it.
        case quit
        /// SIGINT, SIGTERM or SIGHUP came; the terminal is restored already.
        case signal(Int32)
        /// `stop` was called.
        case stopped
        /// The terminal was closed.
        case terminalGone
    }

    private struct Inbox {
        var snapshot: Snapshot?
        var isStopped = false
    }

    private let inbox = Mutex(Inbox())
    private let wakeRead: Int32
    private let wakeWrite: Int32

    package init() throws(TerminalError) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw TerminalError("make a pipe for signals") }
        for end in ends {
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
        }
        wakeRead = ends[0]
        wakeWrite = ends[1]
    }

    deinit {
        close(wakeRead)
        close(wakeWrite)
    }

    /// From any thread, at any time: this is what the view shows from now on.
    package func publish(_ snapshot: Snapshot) {
        let wasEmpty = inbox.withLock { inbox in
            defer { inbox.snapshot = snapshot }
            return inbox.snapshot == nil
        }
        if wasEmpty { wake() }
    }

    /// From any thread: the view ends.
    package func stop() {
        inbox.withLock { $0.isStopped = true }
        wake()
    }

    private func wake() {
        var byte: UInt8 = 0
        // A full pipe wakes as well.
        _ = write(wakeWrite, &byte, 1)
    }

    /// Draws until the view is left. `onInterval` is told, in milliseconds, how often the user wants snapshots.
    package func run(
        _ model: TopModel, on terminal: TerminalDriver, onInterval: (Int) -> Void
    ) throws(TerminalError) -> End {
        var model = model
        var keys = KeyDecoder()
        var needsDrawing = true
        try terminal.enter(wakePipe: wakeWrite)
        defer { terminal.leave() }
        while true {
            if needsDrawing, !terminal.isBusy {
                let size = terminal.size
                terminal.draw(model.frame(width: size.width, height: size.height))
                needsDrawing = false
            }
            var descriptors = [
                pollfd(fd: terminal.inputDescriptor, events: Int16(POLLIN), revents: 0),
                pollfd(fd: wakeRead, events: Int16(POLLIN), revents: 0),
                pollfd(fd: terminal.isBusy ? terminal.outputDescriptor : -1, events: Int16(POLLOUT), revents: 0),
            ]
            let ready = poll(&descriptors, 3, keys.isPending ? KeyDecoder.escapeMilliseconds : -1)
            if ready < 0, errno != EINTR { throw TerminalError("wait for keys") }
            if descriptors[2].revents != 0 { _ = terminal.flush() }

            for signal in signals() {
                switch signal {
                case SIGWINCH: needsDrawing = true
                case SIGCONT:
                    try terminal.reclaim()
                    needsDrawing = true
                case SIGTSTP:
                    terminal.leave()
                    // The default action, now that our handler is gone: the process stops here until SIGCONT.
                    raise(SIGTSTP)
                    try terminal.enter(wakePipe: wakeWrite)
                    needsDrawing = true
                default: return .signal(signal)
                }
            }
            let (snapshot, isStopped) = inbox.withLock { inbox in
                defer { inbox.snapshot = nil }
                return (inbox.snapshot, inbox.isStopped)
            }
            if isStopped { return .stopped }
            if let snapshot {
                model.show(snapshot)
                needsDrawing = true
            }
            guard let bytes = terminal.readKeys(hasInput: descriptors[0].revents != 0) else { return .terminalGone }
            for key in bytes.isEmpty && ready == 0 ? keys.flush() : keys.decode(bytes) {
                switch model.handle(key) {
                case .none: continue
                case .redraw: break
                case .quit: return .quit
                case .setInterval(let milliseconds): onInterval(milliseconds)
                }
                if key == .character("\u{0c}") { terminal.forgetScreen() }
                needsDrawing = true
            }
        }
    }

    /// The signals that came since the last call, and the pipe empty again.
    private func signals() -> [Int32] {
        var bytes = [UInt8](repeating: 0, count: 64)
        var numbers: [Int32] = []
        while true {
            let count = bytes.withUnsafeMutableBytes { read(wakeRead, $0.baseAddress, $0.count) }
            guard count > 0 else { break }
            numbers += bytes.prefix(count).filter { $0 != 0 }.map { Int32($0) }
        }
        TerminalRescue.answeredStops()
        return numbers
    }
}
