import ArgumentParser
import Collector
import Console
import Glibc
import Threading
import TraceModel
import Views

/// `tandem top`: the live view, of the running session or of one of its own.
struct TopCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "top", abstract: "Watch every vCPU live.", discussion: SessionHelp.top)

    @Argument(parsing: .captureForPassthrough, help: .hidden)
    var arguments: [String] = []

    private static let options: [SessionArguments.Option] = [
        .init("-d", "--delay", takesValue: true), .init("-n", "--iterations", takesValue: true),
        .init("--once", takesValue: false), .init("--format", takesValue: true), .init("--sort", takesValue: true),
        .init("--table", takesValue: true), .init("--session", takesValue: true),
        .init("--no-attach", takesValue: false),
        .init("-h", "--help", takesValue: false),
    ]

    func run() throws {
        let settings = try Settings(arguments)
        if settings.wantsHelp {
            print(SessionHelp.top)
            return
        }
        let source = try SessionSource.open(settings)
        defer { source.close() }
        let isInteractive = settings.format == .table && settings.count == nil && isatty(STDOUT_FILENO) == 1
        if isInteractive {
            try InteractiveTop.run(source: source, options: settings.options)
        } else {
            try PlainTop(source: source, settings: settings).run()
        }
        if let problem = source.problem { throw SessionArguments.Problem(description: problem) }
    }

    struct Settings {
        var session: SessionArguments
        var delaySeconds = 1.0
        var count: Int?
        var format = OutputFormat.table
        /// Which rows `--format csv` prints.
        var table = CSVTable.vcpus
        var options = TopOptions()
        var socket: String?
        var mayAttach = true
        var wantsHelp = false

        init(_ arguments: [String]) throws {
            session = try SessionArguments.parse(arguments, verbOptions: TopCommand.options)
            for (name, value) in session.others { try take(name, value) }
            options.intervalMilliseconds = Int(delaySeconds * 1000)
            guard session.command.isEmpty else {
                throw SessionArguments.Problem(description: "top runs no command; that is 'tandem record -- COMMAND'")
            }
        }

        private mutating func take(_ name: String, _ value: String?) throws {
            func number(_ range: ClosedRange<Double>) throws -> Double {
                guard let value, let number = Double(value), range.contains(number) else {
                    throw SessionArguments.Problem(
                        description: "\(name) '\(value ?? "")' is not a number from \(range.lowerBound) to "
                            + "\(range.upperBound)")
                }
                return number
            }
            switch name {
            case "-d": delaySeconds = try number(0.1...3600)
            case "-n": count = Int(try number(1...1e9))
            case "--once": count = 1
            case "--format": format = try OutputFormat(argument: value)
            case "--sort":
                guard let column = TopColumn(rawValue: value ?? ""), TopColumn.sortable.contains(column) else {
                    throw SessionArguments.Problem(
                        description: "--sort '\(value ?? "")' is no column; columns are "
                            + TopColumn.sortable.map(\.rawValue).joined(separator: ", "))
                }
                options.sort = column
                options.grouping = .flat
            case "--table":
                guard let table = CSVTable(rawValue: value ?? "") else {
                    throw SessionArguments.Problem(
                        description: "--table '\(value ?? "")' is none; tables of --format csv are "
                            + CSVTable.allCases.map(\.rawValue).joined(separator: ", "))
                }
                self.table = table
                format = .csv
            case "--session": socket = value
            case "--no-attach": mayAttach = false
            default: wantsHelp = true
            }
        }
    }
}

/// Frames as text, one after the other, for pipes and files.
private struct PlainTop {
    let source: any SnapshotSource
    let settings: TopCommand.Settings

    func run() throws {
        let signals = SignalCounter([SIGINT, SIGTERM, SIGHUP])
        var options = settings.options
        options.isInteractive = false
        if settings.format == .csv { emit(settings.table.header) }
        // The first frame covers a whole interval too: rates need two snapshots.
        var previous = try source.next()
        var printed = 0
        while printed < settings.count ?? .max {
            let deadline = MonotonicClock.nanoseconds() + Int64(settings.delaySeconds * 1e9)
            while MonotonicClock.nanoseconds() < deadline, signals.count == 0 {
                MonotonicClock.sleep(nanoseconds: min(50_000_000, deadline - MonotonicClock.nanoseconds()))
            }
            guard signals.count == 0, let current = try source.next() else { return }
            switch settings.format {
            case .json: emit(SnapshotJSON.text(current) + "\n")
            case .csv: emit(settings.table.rows(current))
            case .table:
                let frame = TopView.text(
                    current: current, previous: previous, options: options, width: Terminal.width ?? 160)
                emit((printed > 0 ? "\n" : "") + frame.plainText)
            }
            previous = current
            printed += 1
        }
    }

    private func emit(_ text: String) {
        print(text, terminator: text.hasSuffix("\n") ? "" : "\n")
        fflush(nil)
    }
}
