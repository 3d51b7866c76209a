import ArgumentParser
import Collector
import Glibc
import Views

/// `tandem replay`: a recording through the pipeline and the views of a live session.
struct ReplayCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replay", abstract: "Play a recording through the live view.")

    @OptionGroup var session: SessionFileArguments

    @Option(help: "How many times faster than it happened, or 'max': no view, only the result.")
    var speed = "1"

    @Option(help: ArgumentHelp("Begin at this instant, such as 12.5 (seconds after the start).", valueName: "time"))
    var from: SessionTime?

    @Option(help: ArgumentHelp("End at this instant.", valueName: "time"))
    var to: SessionTime?

    @Option(help: "Output format of the result: table, json or csv.")
    var format = "table"

    func run() throws {
        guard let format = OutputFormat(rawValue: format) else {
            throw ValidationError("--format is one of table, json, csv")
        }
        let number = Double(speed)
        guard speed == "max" || number.map({ $0 > 0 && $0.isFinite }) == true else {
            throw ValidationError("--speed is a number above 0, or max")
        }
        let source = try ReplaySource(
            try session.open(), speed: speed == "max" ? nil : number, from: from, to: to, staysOpen: true)
        try Player(source: source, format: format).play()
    }
}

/// Shows a replay where there is a terminal, and its result everywhere.
struct Player {
    let source: ReplaySource
    let format: OutputFormat

    func play() throws {
        if format == .table, source.isPaced, isatty(STDOUT_FILENO) == 1 {
            var options = TopOptions()
            options.intervalMilliseconds = 500
            try InteractiveTop.run(source: source, options: options)
        }
        try source.finish()
        switch format {
        case .table: print(SummaryView.render(source.snapshot, width: Terminal.width ?? 120).plainText)
        case .json: print(SnapshotJSON.text(source.snapshot))
        case .csv: print(CSVView.header + CSVView.rows(source.snapshot), terminator: "")
        }
        if let problem = source.problem { throw SessionArguments.Problem(description: problem) }
    }
}
