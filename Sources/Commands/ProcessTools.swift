import Foundation
import Glibc
import Synchronization
import Threading

/// Counts the signals that ask us to end, so that the loop that looks after the session decides what they mean.
final class SignalCounter: Sendable {
    private let counter = Atomic<Int>(0)
    private let marks = Atomic<Int>(0)

    /// Blocks the signals in every thread made from now on and counts them in one of its own; `mark`, which asks for something
    /// else than an end, apart from the others.
    init(_ signals: [Int32], mark: Int32? = nil) {
        var set = sigset_t()
        sigemptyset(&set)
        for signal in signals { sigaddset(&set, signal) }
        if let mark { sigaddset(&set, mark) }
        pthread_sigmask(SIG_BLOCK, &set, nil)
        let waited = set
        Threading.Thread.start("signals") { [self] in
            while true {
                var set = waited
                var signal: Int32 = 0
                guard sigwait(&set, &signal) == 0 else { continue }
                if signal == mark {
                    marks.add(1, ordering: .relaxed)
                } else {
                    counter.add(1, ordering: .relaxed)
                }
            }
        }
    }

    var count: Int { counter.load(ordering: .relaxed) }
    var markCount: Int { marks.load(ordering: .relaxed) }
}

enum Terminal {
    /// Columns of standard output, or nil when it is no terminal.
    static var width: Int? { width(of: STDOUT_FILENO) }

    static func width(of descriptor: Int32) -> Int? {
        guard isatty(descriptor) == 1 else { return nil }
        var size = winsize()
        guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }
}

/// One line that is written over in place, and notes that scroll above it. Without a terminal, only the notes are printed.
final class StatusLine {
    private let descriptor: Int32
    private var isShown = false

    init(descriptor: Int32) { self.descriptor = descriptor }

    func show(_ line: (_ width: Int) -> String) {
        guard let width = Terminal.width(of: descriptor) else { return }
        emit("\r\u{1b}[K" + line(width - 1))
        isShown = true
    }

    func note(_ text: String) {
        clear()
        emit(text + "\n")
    }

    func clear() {
        if isShown { emit("\r\u{1b}[K") }
        isShown = false
    }

    private func emit(_ text: String) {
        var text = text
        text.withUTF8 { _ = write(descriptor, $0.baseAddress, $0.count) }
    }
}

/// The command that a recording lasts for. It inherits our standard streams.
final class ChildProcess {
    private let process = Process()
    private(set) var problem: String?

    static func start(_ command: [String]) -> ChildProcess {
        let child = ChildProcess()
        child.process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        child.process.arguments = ["--"] + command
        do {
            try child.process.run()
        } catch {
            child.problem = "starting '\(command[0])' failed: \(error.localizedDescription)"
        }
        return child
    }

    var isRunning: Bool { problem == nil && process.isRunning }

    var exitStatus: Int32? {
        problem != nil ? 127 : process.isRunning ? nil : process.terminationStatus
    }

    func end() {
        if isRunning { process.terminate() }
    }
}
