import Glibc
import Views

/// The screen of a terminal: raw mode, the alternate screen, frames drawn by their differences, and everything undone.
///
/// Signals stay enabled in raw mode, so that Ctrl-C, Ctrl-Z and Ctrl-\ keep their meaning for the whole job and not only
/// for this process. The terminal is opened a second time to write to it without blocking: the flag of the descriptor
/// that was inherited is shared with the shell, and a terminal that stands still (a suspended ssh, a paused tmux) must
/// not stop the program from hearing a key or a signal.
///
/// Used by one thread at a time.
package final class TerminalDriver {
    private let input: Int32
    private let output: Int32
    private let ownsOutput: Bool
    private let abilities: TerminalAbilities
    private var savedSettings = termios()
    private var isEntered = false
    /// What the terminal shows once `pending` is written; nil when unknown.
    private var shown: ScreenGrid?
    private var pending: [UInt8] = []
    private var written = 0

    // DEC private modes: 1049 the alternate screen, 25 the cursor, 7 wrapping at the right edge.
    private static let greeting = "\u{1b}[?1049h\u{1b}[?25l\u{1b}[?7l"
    private static let farewell = "\u{1b}[0m\u{1b}[?7h\u{1b}[?25h\u{1b}[?1049l"

    /// `input` and `output` are descriptors of one terminal and stay the caller's.
    package init(
        input: Int32 = STDIN_FILENO, output: Int32 = STDOUT_FILENO, abilities: TerminalAbilities
    ) throws(TerminalError) {
        guard isatty(input) == 1 else { throw TerminalError("read keys: the input is no terminal") }
        guard isatty(output) == 1 else { throw TerminalError("draw: the output is no terminal") }
        self.input = input
        self.abilities = abilities
        let reopened = open("/proc/self/fd/\(output)", O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
        // After su(1) the terminal may belong to someone else; then the inherited descriptor has to do.
        ownsOutput = reopened >= 0
        self.output = reopened >= 0 ? reopened : output
    }

    deinit {
        leave()
        if ownsOutput { close(output) }
    }

    package static func isTerminal(_ descriptor: Int32) -> Bool { isatty(descriptor) == 1 }

    /// Columns and rows; 80 × 24 when the terminal does not know.
    package static func size(of descriptor: Int32) -> (width: Int, height: Int) {
        var size = winsize()
        let answer = ioctl(descriptor, UInt(TIOCGWINSZ), &size)
        guard answer == 0, size.ws_col > 0, size.ws_row > 0 else { return (80, 24) }
        return (Int(size.ws_col), Int(size.ws_row))
    }

    var size: (width: Int, height: Int) { TerminalDriver.size(of: output) }

    /// Takes the terminal over. `wakePipe` gets the number of each signal that the loop has to act on.
    func enter(wakePipe: Int32) throws(TerminalError) {
        guard !isEntered else { return }
        try waitForForeground()
        guard tcgetattr(input, &savedSettings) == 0 else { throw TerminalError("read the terminal's settings") }
        guard
            TerminalRescue.arm(
                output: output, settings: savedSettings, farewell: TerminalDriver.farewell, wakePipe: wakePipe)
        else { throw TerminalError("take the terminal: this process already draws on one", code: EBUSY) }
        isEntered = true
        do throws(TerminalError) { try makeRaw() } catch {
            leave()
            throw error
        }
    }

    /// A job in the background stops here until it is brought to the front, as any reader of a terminal does. Otherwise
    /// the settings saved would be those of the shell's line editor.
    private func waitForForeground() throws(TerminalError) {
        // -1 when this is not the controlling terminal; then there are no jobs to mind.
        for _ in 0..<16 where tcgetpgrp(input) > 0 && tcgetpgrp(input) != getpgrp() { kill(0, SIGTTIN) }
        // Nobody can bring an orphaned process group to the front; the signal does nothing to it.
        guard tcgetpgrp(input) <= 0 || tcgetpgrp(input) == getpgrp() else {
            throw TerminalError("take the terminal: it belongs to another job", code: EPERM)
        }
    }

    /// Once more after a stop that was not ours (SIGSTOP): the shell has set the terminal to its own liking.
    func reclaim() throws(TerminalError) {
        guard isEntered else { return }
        try makeRaw()
    }

    private func makeRaw() throws(TerminalError) {
        var settings = savedSettings
        settings.c_iflag &= ~tcflag_t(IXON | ICRNL | INLCR | IGNCR | ISTRIP)
        settings.c_lflag &= ~tcflag_t(ICANON | ECHO | ECHONL | IEXTEN)
        settings.c_lflag |= tcflag_t(ISIG)
        withUnsafeMutableBytes(of: &settings.c_cc) {
            $0[Int(VMIN)] = 0
            $0[Int(VTIME)] = 0
        }
        // From the background the process is stopped in here, and continued with EINTR.
        while tcsetattr(input, TCSANOW, &settings) != 0 {
            guard errno == EINTR else { throw TerminalError("set the terminal to raw mode") }
        }
        pending.append(contentsOf: TerminalDriver.greeting.utf8)
        shown = nil
    }

    /// Gives the terminal back as it was; safe to repeat.
    func leave() {
        guard isEntered else { return }
        isEntered = false
        // A frame that is half written stays so: the next ESC ends whatever sequence it was cut in.
        pending = Array(TerminalDriver.farewell.utf8)
        written = 0
        // A terminal that stands still gets a fifth of a second.
        var tries = 20
        while !flush(), tries > 0 {
            var descriptor = pollfd(fd: output, events: Int16(POLLOUT), revents: 0)
            poll(&descriptor, 1, 10)
            tries -= 1
        }
        pending = []
        written = 0
        shown = nil
        // From the background this would stop the process (SIGTTOU); with the signal blocked it is allowed.
        var background = sigset_t()
        var before = sigset_t()
        sigemptyset(&background)
        sigaddset(&background, SIGTTOU)
        pthread_sigmask(SIG_BLOCK, &background, &before)
        tcflush(input, TCIFLUSH)
        tcsetattr(input, TCSANOW, &savedSettings)
        TerminalRescue.disarm()
        pthread_sigmask(SIG_SETMASK, &before, nil)
    }

    /// Whether an earlier frame is still on its way; a new one would only make the queue longer.
    var isBusy: Bool { written < pending.count }

    /// Draws the frame; what the terminal does not take at once is left to `flush`.
    func draw(_ frame: Frame) {
        let size = size
        let grid = ScreenGrid(abilities.adapted(frame), width: size.width, height: size.height)
        pending.append(contentsOf: grid.bytes(after: shown, abilities.screenPalette))
        shown = grid
        _ = flush()
    }

    /// Everything on the screen is to be written again.
    func forgetScreen() { shown = nil }

    /// Writes what the terminal takes without waiting. True when nothing is left, also when the terminal is gone: there
    /// is no one to show it to, and reading tells the loop.
    func flush() -> Bool {
        while written < pending.count {
            let count = pending.withUnsafeBytes {
                write(output, $0.baseAddress.map { $0 + written }, $0.count - written)
            }
            if count > 0 {
                written += count
            } else if errno == EAGAIN {
                return false
            } else if errno != EINTR {
                break
            }
        }
        pending.removeAll(keepingCapacity: true)
        written = 0
        return true
    }

    // MARK: For the session's poll

    var inputDescriptor: Int32 { input }
    var outputDescriptor: Int32 { output }

    /// Bytes typed so far; nil when the terminal is gone.
    func readKeys(hasInput: Bool) -> [UInt8]? {
        guard hasInput else { return [] }
        var bytes = [UInt8](repeating: 0, count: 1_024)
        let count = bytes.withUnsafeMutableBytes { read(input, $0.baseAddress, $0.count) }
        // With VMIN 0 a terminal answers 0 for "nothing there"; poll said there is something, so it is the end.
        guard count > 0 else { return count < 0 && (errno == EINTR || errno == EAGAIN) ? [] : nil }
        return Array(bytes.prefix(count))
    }
}
