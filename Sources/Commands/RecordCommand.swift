import ArgumentParser
import Collector
import Console
import Glibc
import SessionLog
import Threading
import Thresholds
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
        .init("--max-size", takesValue: true), .init("--rotate", takesValue: true),
        .init("--keep-last", takesValue: true), .init("--save-on", takesValue: true),
        .init("--compress", takesValue: false),
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
        let writer = try LogWriter(
            creating: directory, retention: settings.retention, isCompressed: settings.isCompressed)
        let session = LiveSession(
            options: options, writer: writer,
            flightRecorder: FlightRecorder(
                directory: directory, thresholds: settings.thresholds,
                quietNanoseconds: settings.retention.keptNanoseconds ?? Settings.quietNanoseconds))
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
        var isCompressed = false
        var retention = LogRetention()
        var thresholds: [Threshold] = []
        /// Between two saves by thresholds, when no time says how much is kept.
        static let quietNanoseconds: Int64 = 60_000_000_000

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
                case "--max-size", "--rotate", "--keep-last", "--save-on": try keep(name, value ?? "")
                case "-q": isQuiet = true
                case "--compress": isCompressed = true
                case "--format": format = try OutputFormat(argument: value)
                default: wantsHelp = true
                }
            }
            if !thresholds.isEmpty, !retention.isRing {
                throw SessionArguments.Problem(
                    description: "--save-on saves what --keep-last or --max-size keeps: give one of them too")
            }
        }

        private mutating func keep(_ name: String, _ value: String) throws {
            func problem(_ what: String) -> SessionArguments.Problem {
                SessionArguments.Problem(description: "\(name) '\(value)' is \(what)")
            }
            switch name {
            case "--keep-last":
                guard let time = Quantities.nanoseconds(value, unit: "s"), time >= 1_000_000_000 else {
                    throw problem("no time of a second or more, such as 60s or 10m")
                }
                retention.keep(nanoseconds: time)
            case "--save-on": thresholds.append(try Threshold(value))
            default:
                guard let bytes = Quantities.bytes(value), bytes >= LogRetention.leastSegmentBytes else {
                    throw problem("no size of 1M or more, such as 512M or 2G")
                }
                if name == "--rotate" { retention.segmentBytes = bytes } else { retention.keep(bytes: bytes) }
            }
        }
    }
}

/// A recording under way: the progress line, the signals, the command, the end.
private final class Recording {
    private let session: LiveSession
    private let settings: RecordCommand.Settings
    private let directory: String
    private let signals = SignalCounter([SIGINT, SIGTERM, SIGHUP], mark: SIGUSR1)
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
        var shownAt = begin
        var savesAsked = 0
        // Often enough to end when it was asked for, and to the millisecond when a time was given.
        while !session.wait(nanoseconds: Recording.stepNanoseconds(sinceBegin: begin, seconds: settings.seconds)) {
            for notice in session.takeNotices() { status.note("tandem: \(notice)") }
            let now = MonotonicClock.nanoseconds()
            let elapsed = Double(now - begin) / 1e9
            if signals.markCount > savesAsked {
                savesAsked = signals.markCount
                session.save()
            }
            let isOver = settings.seconds.map { elapsed >= $0 } ?? false || child.map { !$0.isRunning } ?? false
            switch (signals.count, stopCount) {
            case (2..., ...1): abort()
            case (1..., 0): stop("stopping: draining the guests …")
            default: if isOver, stopCount == 0 { stop(nil) }
            }
            guard !settings.isQuiet, now - shownAt >= 500_000_000 else { continue }
            shownAt = now
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

    private static func stepNanoseconds(sinceBegin begin: Int64, seconds: Double?) -> Int64 {
        guard let seconds else { return 20_000_000 }
        let left = begin + Int64(seconds * 1e9) - MonotonicClock.nanoseconds()
        return left > 0 ? min(20_000_000, left) : 20_000_000
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
        // Into a pipe it is still in a buffer, and the status, which is not, would end up in its middle.
        fflush(nil)
        if let failure = session.failure {
            status.note("tandem: error: the recording is incomplete: \(failure)")
            return 1
        }
        if !settings.isQuiet { status.note("recorded into \(directory)") }
        if stopCount == 2 { return 130 }
        return child?.exitStatus ?? 0
    }
}
