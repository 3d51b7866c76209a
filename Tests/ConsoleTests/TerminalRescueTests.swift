import Console
import Foundation
import Glibc
import Testing
import Views

/// Ways out of a running view that no `defer` sees. Each one happens to a process of its own, in which whatever would
/// have handled the end looks at the terminal first and says 42 when it is sane.
struct TerminalRescueTests {
    @Test
    func `a trap gives the terminal back before it is handled`() async {
        await #expect(processExitsWith: .exitCode(42)) {
            try Victim.start()
            fatalError("on purpose")
        }
    }

    @Test
    func `a memory fault gives the terminal back before it is handled`() async {
        await #expect(processExitsWith: .exitCode(42)) {
            try Victim.start()
            UnsafeMutablePointer<Int>(bitPattern: 8)?.pointee = 1
        }
    }

    @Test
    func `an abort gives the terminal back before it is handled`() async {
        await #expect(processExitsWith: .exitCode(42)) {
            try Victim.start()
            abort()
        }
    }

    @Test(arguments: [0, 1])
    func `a signal that was sent is sent again after the rescue`(index: Int) async {
        // An exit test's body captures nothing, so each signal has its own.
        if index == 0 {
            await #expect(processExitsWith: .exitCode(42)) {
                try Victim.start()
                kill(getpid(), SIGQUIT)
                sleep(5)
            }
        } else {
            await #expect(processExitsWith: .exitCode(42)) {
                try Victim.start()
                kill(getpid(), SIGSEGV)
                sleep(5)
            }
        }
    }

    @Test
    func `exit called anywhere gives the terminal back`() async {
        await #expect(processExitsWith: .exitCode(42)) {
            // Functions run in reverse order: this one after the rescue, which is registered later.
            atexit { Victim.report() }
            try Victim.start()
            exit(0)
        }
    }

    @Test
    func `a second Ctrl-C ends a program whose loop is stuck`() async {
        await #expect(processExitsWith: .signal(SIGINT)) {
            try Victim.start(isStuck: true)
            kill(getpid(), SIGINT)
            // Two that are pending at once count as one.
            usleep(100_000)
            kill(getpid(), SIGINT)
            sleep(5)
        }
    }
}

/// Runs a view in this process and looks at its terminal when the process dies.
private enum Victim {
    nonisolated(unsafe) private static var terminal: PseudoTerminal?
    private static let handler: @convention(c) (Int32) -> Void = { _ in Victim.report() }

    static func start(isStuck: Bool = false) throws {
        for signal in [SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGABRT, SIGQUIT] { Glibc.signal(signal, handler) }
        let terminal = try PseudoTerminal()
        self.terminal = terminal
        let session = try TopSession()
        let abilities = TerminalAbilities(isTerminal: true) { _ in "xterm" }
        Thread.detachNewThread {
            let driver = try? TerminalDriver(input: terminal.inside, output: terminal.inside, abilities: abilities)
            if let driver { _ = try? session.run(TopModel(), on: driver) { _ in sleep(isStuck ? 10 : 0) } }
        }
        _ = terminal.read(until: "waiting")
        try #require(!terminal.isSane)
        if isStuck {
            terminal.type("+")
            usleep(300_000)
        }
    }

    static func report() {
        guard let terminal else { _exit(1) }
        let isRestored = terminal.isSane && terminal.read { $0.hasSuffix(farewell) }.hasSuffix(farewell)
        _exit(isRestored ? 42 : 43)
    }
}
