import ArgumentParser
import CTF
import Collector
import SessionLog
import TraceModel

/// `tandem export`: a session for other programs.
struct ExportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Write a session for other programs.",
        discussion: """
            --to trace-dat writes files of trace-cmd into one directory, trace.dat of the host and trace-NAME.dat of each guest,
            paired as 'trace-cmd record -A' does it.

              tandem export run.tandem --to trace-dat
              trace-cmd report -i run-trace-dat/trace.dat -i run-trace-dat/trace-web1.dat
              kernelshark run-trace-dat/trace.dat -a run-trace-dat/trace-web1.dat

            --to ctf writes CTF 1.8, one trace for the host and one for each guest, in one directory. All times are the
            host's, so the traces line up as they are; events and fields have LTTng's names.

              tandem export run.tandem --to ctf -o run-ctf
              babeltrace2 run-ctf
            """)

    enum Format: String, CaseIterable, ExpressibleByArgument {
        case traceDat = "trace-dat"
        case ctf
    }

    @OptionGroup var session: SessionFileArguments

    @Option(name: .customLong("to"), help: "The format: trace-dat or ctf.")
    var format: Format

    @Option(
        name: [.customShort("o"), .customLong("output")], help: "The directory to be made; SESSION-FORMAT without it.")
    var output: String?

    func run() throws {
        switch format {
        case .traceDat: try TraceDatConversion.run(session, into: output ?? defaultOutput)
        case .ctf: try CTFConversion.run(session, into: output ?? defaultOutput)
        }
    }

    /// Here, and named after the session: `run-ctf` of `../run.tandem`.
    private var defaultOutput: String {
        let name = session.path.split(separator: "/").last.map(String.init) ?? "session"
        let ending = [".tandem", ".dat"].first { name.hasSuffix($0) && name.count > $0.count } ?? ""
        return "\(name.dropLast(ending.count))-\(format.rawValue)"
    }
}

/// A session through the pipeline, whose runs become a CTF trace of each machine.
enum CTFConversion {
    static func run(_ session: SessionFileArguments, into output: String) throws {
        let conversion = try Conversion(into: output)
        do {
            let (survey, end) = try survey(try session.open(), conversion)
            let export = try CTFExport(survey, end: end, into: conversion.temporary)
            let input = try session.open(again: true)
            var pipeline = CollectorPipeline()
            pipeline.observe { export.append($0, $1) }
            pipeline.observeGuests(steal: { export.sample($0, $1, at: $2) })
            try conversion.run(input, "exporting") { next in
                apply(next, to: &pipeline)
                if let failure = export.failure { throw failure }
            }
            try export.finish()
            if let shortfall = input.shortfall { conversion.note("tandem: \(shortfall)") }
            try conversion.finish()
        } catch {
            CTFWriter.discard(conversion.temporary)
            throw error
        }
    }

    private static func survey(
        _ input: any SessionInput, _ conversion: Conversion
    ) throws -> (CTFExportSurvey, end: HostTime) {
        var survey = CTFExportSurvey()
        var pipeline = CollectorPipeline()
        pipeline.observeGuests(end: { survey.end($0, at: $1, isFailure: $2) })
        try conversion.run(input, "looking through the session") { next in
            survey.take(next)
            apply(next, to: &pipeline)
        }
        return (survey, pipeline.hostReached)
    }

    private static func apply(_ input: PipelineInput, to pipeline: inout CollectorPipeline) {
        pipeline.apply(input)
        // Threads were identified when the session was live; the answers are in the recording.
        _ = pipeline.takeUnidentifiedThreads()
    }
}
