import ArgumentParser
import Collector
import Console
import Glibc
import SessionLog
import Threading
import TraceModel
import Views

/// `tandem record`: a session, on disk and for `tandem top` to attach to.
struct RecordCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "record", abstract: "Record this host and its guests.", discussion: SessionHelp.record)

    @Argument(parsing: .captureForPassthrough, help: .hidden)
    var arguments: [String] = []

    private static let options: [SessionArguments.Option] = [
        .init("-o", "--output", takesValue: true), .init("-d", "--duration", takesValue: true),
        .init("-q", "--quiet", takesValue: false), .init("--format", takesValue: true),
        .init("-h", "--help", takesValue: false),
    ]

    func run() throws {
        let settings = try Settings(arguments)
        if settings.wantsHelp {
            print(SessionHelp.record)
            return
        }
        let directory = settings.directory ?? SessionHelp.defaultDirectory(now: time(nil))
        let options = try settings.session.options()
        let writer = try LogWriter(creating: directory)
        let session = LiveSession(options: options, writer: writer)
        do {
            try session.prepare()
        } catch {
            writer.discard()
            throw error
        }
        let status = Recording(session: session, settings: settings, directory: directory).run()
        if status != 0 { throw ExitCode(status) }
    }

    /// What the command line said.
    struct Settings {
        var session: SessionArguments
        var directory: String?
        var seconds: Double?
        var isQuiet = false
        var format = OutputFormat.table
        var wantsHelp = false

        init(_ arguments: [String]) throws {
            session = try SessionArguments.parse(arguments, verbOptions: RecordCommand.options)
            for (name, value) in session.others {
                switch name {
                case "-o": directory = value
                case "-d":
                    guard let text = value, let number = Double(text), number > 0, number < 1e9 else {
                        throw SessionArguments.Problem(description: "-d '\(value ?? "")' is not a number of seconds")
                    }
                    seconds = number
                case "-q": isQuiet = true
                case "--format": format = try OutputFormat(argument: value)
                default: wantsHelp = true
                }
            }
        }
    }
}

/// A recording under way: the progress line, the signals, the command, the end.
private final class Recording {
    private let session: LiveSession
    private let settings: RecordCommand.Settings
    private let directory: String
    private let signals = SignalCounter([SIGINT, SIGTERM, SIGHUP])
    private let status = StatusLine(descriptor: STDERR_FILENO)
    private var stopCount = 0

    init(session: LiveSession, settings: RecordCommand.Settings, directory: String) {
        self.session = session
        self.settings = settings
        self.directory = directory
    }

    func run() -> Int32 {
        var control: ControlServer?
        do {
            control = try ControlServer { [session] in session.snapshot }
        } catch {
            status.note("tandem: 'tandem top' cannot attach: \(error)")
        }
        defer { control?.close() }
        session.start()
        if !settings.isQuiet { status.note("recording into \(directory); Ctrl-C stops, twice aborts") }
        let child = settings.session.command.isEmpty ? nil : ChildProcess.start(settings.session.command)
        if child?.isRunning == false { status.note("tandem: \(child?.problem ?? "the command did not start")") }
        follow(child)
        child?.end()
        status.clear()
        return conclude(child)
    }

    /// Until the session has ended.
    private func follow(_ child: ChildProcess?) {
        let begin = MonotonicClock.nanoseconds()
        var previous: Snapshot?
        while !session.wait(nanoseconds: 500_000_000) {
            for notice in session.takeNotices() { status.note("tandem: \(notice)") }
            let elapsed = Double(MonotonicClock.nanoseconds() - begin) / 1e9
            let isOver = settings.seconds.map { elapsed >= $0 } ?? false || child.map { !$0.isRunning } ?? false
            switch (signals.count, stopCount) {
            case (2..., ...1): abort()
            case (1..., 0): stop("stopping: draining the guests …")
            default: if isOver, stopCount == 0 { stop(nil) }
            }
            guard !settings.isQuiet else { continue }
            let current = session.snapshot
            status.show { width in
                ProgressLine.render(
                    current: current, previous: previous, bytesWritten: session.bytesWritten, width: width
                ).text
            }
            previous = current
        }
        for notice in session.takeNotices() { status.note("tandem: \(notice)") }
    }

    private func stop(_ text: String?) {
        stopCount = 1
        if let text { status.note(text) }
        session.stop()
    }

    private func abort() {
        stopCount = 2
        status.note("aborting: what the guests have not sent is lost")
        session.abort()
    }

    private func conclude(_ child: ChildProcess?) -> Int32 {
        let snapshot = session.snapshot
        switch settings.format {
        case .table: print(SummaryView.render(snapshot, width: Terminal.width ?? 120).plainText)
        case .json: print(SnapshotJSON.text(snapshot))
        case .csv: print(CSVView.header + CSVView.rows(snapshot), terminator: "")
        }
        if let failure = session.failure {
            status.note("tandem: error: the recording is incomplete: \(failure)")
            return 1
        }
        if !settings.isQuiet { status.note("recorded into \(directory)") }
        if stopCount == 2 { return 130 }
        return child?.exitStatus ?? 0
    }
}
