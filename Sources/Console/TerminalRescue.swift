import Glibc
import Synchronization

/// Gives the terminal back whatever happens: a user whose shell no longer echoes does not trust a tool again.
///
/// Three ways out are covered here; the fourth, an ordinary return or throw, is `TerminalDriver.leave`.
/// * SIGINT, SIGTERM, SIGHUP, SIGTSTP, SIGCONT and SIGWINCH are only passed on: the handler writes the signal's number
///   into a pipe, and the session's loop acts on it. When a second one that ends the program comes before the first was
///   taken up, the loop is stuck: then the terminal is restored at once and the signal takes its default course.
/// * SIGQUIT and the signals of a crash restore the terminal and go on to whatever handled them before, such as Swift's
///   backtrace, or a core dump.
/// * `exit` called anywhere in the program runs `atexit`.
/// Only SIGKILL cannot be covered; `reset` or `stty sane` helps then.
///
/// Handlers run between any two instructions of any thread, so they call only async-signal-safe functions
/// (signal-safety(7)): write, tcsetattr, sigaction, raise. They read what was prepared before they were installed. There
/// is one terminal of a process, hence one rescue.
enum TerminalRescue {
    private struct Prepared {
        var output: Int32 = -1
        var settings = termios()
        var farewell = UnsafeMutableBufferPointer<UInt8>(start: nil, count: 0)
        /// Previous actions by signal number (1…64 on Linux).
        let previous: UnsafeMutablePointer<sigaction>

        init() {
            previous = .allocate(capacity: 65)
            previous.initialize(repeating: sigaction(), count: 65)
        }
    }

    // One allocation for the life of the process: a handler must never meet freed memory. Written only while `isArmed`
    // is false, read only while it is true.
    private nonisolated(unsafe) static let prepared: UnsafeMutablePointer<Prepared> = {
        let pointer = UnsafeMutablePointer<Prepared>.allocate(capacity: 1)
        pointer.initialize(to: Prepared())
        return pointer
    }()
    private static let isArmed = Atomic<Bool>(false)
    private static let wakePipe = Atomic<Int32>(-1)
    /// Signals that ask for the end and were not taken up yet.
    private static let unansweredStops = Atomic<Int>(0)

    static let passedOn: [Int32] = [SIGINT, SIGTERM, SIGHUP, SIGTSTP, SIGCONT, SIGWINCH]
    private static let fatal: [Int32] = [SIGQUIT, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS]

    /// From now on a dying process writes `farewell` to `output` and gives it `settings` back. False when a terminal is
    /// already in use by this process.
    static func arm(output: Int32, settings: termios, farewell: String, wakePipe pipe: Int32) -> Bool {
        guard !isArmed.load(ordering: .acquiring) else { return false }
        _ = registerAtExit
        prepared.pointee.output = output
        prepared.pointee.settings = settings
        prepared.pointee.farewell.deallocate()
        let bytes = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: farewell.utf8.count)
        _ = bytes.initialize(from: farewell.utf8)
        prepared.pointee.farewell = bytes
        wakePipe.store(pipe, ordering: .releasing)
        unansweredStops.store(0, ordering: .releasing)
        isArmed.store(true, ordering: .sequentiallyConsistent)
        for number in passedOn { install(number, passOn) }
        for number in fatal { install(number, rescue) }
        return true
    }

    /// The earlier handlers are back; the terminal itself is the caller's to restore.
    static func disarm() {
        guard isArmed.load(ordering: .acquiring) else { return }
        for number in passedOn + fatal { putBack(number) }
        isArmed.store(false, ordering: .sequentiallyConsistent)
        wakePipe.store(-1, ordering: .releasing)
    }

    /// The loop has taken up the signals that came so far.
    static func answeredStops() { unansweredStops.store(0, ordering: .releasing) }

    /// Restores the terminal from any context; harmless when repeated.
    private static func restore() {
        guard isArmed.load(ordering: .acquiring) else { return }
        let state = prepared.pointee
        _ = write(state.output, state.farewell.baseAddress, state.farewell.count)
        _ = withUnsafePointer(to: state.settings) { tcsetattr(state.output, TCSANOW, $0) }
    }

    // MARK: Handlers

    // Stored C functions and not closures at the call: a closure formed in main-actor code would carry that isolation
    // into the handler and die there.
    private typealias Handler =
        @convention(c) (Int32, UnsafeMutablePointer<siginfo_t>?, UnsafeMutableRawPointer?) -> Void

    private static let passOn: Handler = { number, _, _ in
        let savedErrno = errno
        let endsProgram = number == SIGINT || number == SIGTERM || number == SIGHUP
        if endsProgram, TerminalRescue.unansweredStops.add(1, ordering: .relaxed).oldValue > 0 {
            TerminalRescue.restore()
            TerminalRescue.setDefault(number)
            raise(number)
        } else {
            var byte = UInt8(truncatingIfNeeded: number)
            _ = write(TerminalRescue.wakePipe.load(ordering: .acquiring), &byte, 1)
        }
        errno = savedErrno
    }

    private static let rescue: Handler = { number, information, _ in
        let savedErrno = errno
        TerminalRescue.restore()
        TerminalRescue.putBack(number)
        // A fault happens again when the handler returns, and meets the earlier handler with its true context. A signal
        // that was sent does not: send it again.
        if (information?.pointee.si_code ?? 0) <= 0 { raise(number) }
        errno = savedErrno
    }

    private static let registerAtExit: Void = {
        atexit { TerminalRescue.restore() }
    }()

    private static func install(_ number: Int32, _ handler: @escaping Handler) {
        var action = sigaction()
        action.__sigaction_handler.sa_sigaction = handler
        // Everything is blocked in the handler, SIGTTOU too: a program in the background must be able to restore.
        sigfillset(&action.sa_mask)
        action.sa_flags = SA_SIGINFO | SA_ONSTACK
        sigaction(number, &action, prepared.pointee.previous + Int(number))
    }

    private static func putBack(_ number: Int32) {
        sigaction(number, prepared.pointee.previous + Int(number), nil)
    }

    private static func setDefault(_ number: Int32) {
        var action = sigaction()
        action.__sigaction_handler.sa_handler = nil
        sigaction(number, &action, nil)
    }
}
