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
            --to ctf writes CTF 1.8, one trace for the host and one for each guest, in one directory. All times are the
            host's, so the traces line up as they are; events and fields have LTTng's names.

              tandem export run.tandem --to ctf -o run-ctf
              babeltrace2 run-ctf
            """)

    enum Format: String, CaseIterable, ExpressibleByArgument {
        case ctf
    }

    @OptionGroup var session: SessionFileArguments

    @Option(name: .customLong("to"), help: "The format: ctf.")
    var format: Format

    @Option(name: [.customShort("o"), .customLong("output")], help: "The file or directory to be made.")
    var output: String

    func run() throws {
        switch format {
        case .ctf: try CTFConversion.run(session, into: output)
        }
    }
}

/// A session through the pipeline, whose runs become a CTF trace of each machine.
enum CTFConversion {
    static func run(_ session: SessionFileArguments, into output: String) throws {
        let conversion = try Conversion(into: output)
        do {
            let (survey, end) = try survey(try session.open(), conversion)
            let export = try CTFExport(survey, end: end, into: conversion.temporary)
            let input = try session.open()
            var pipeline = CollectorPipeline()
            pipeline.observe { export.append($0, $1) }
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
        try conversion.run(input, "looking through the session") { next in
            survey.take(next)
            apply(next, to: &pipeline)
        }
        return (survey, pipeline.horizon)
    }

    private static func apply(_ input: PipelineInput, to pipeline: inout CollectorPipeline) {
        pipeline.apply(input)
        // Threads were identified when the session was live; the answers are in the recording.
        _ = pipeline.takeUnidentifiedThreads()
    }
}
