import ArgumentParser
import Collector
import SessionLog

/// `tandem import`: a session that another program recorded, as a recording of ours.
struct ImportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Make a recording of what another program recorded.",
        discussion: """
            What 'trace-cmd record -A g1@3 …' wrote is a file of the host and one of each guest:

              tandem import trace.dat -A trace-g1.dat -o run.tandem

            The files say which guest each is of and how its clock relates to the host's. Where they do not, because they
            were recorded apart, --ts-offset says it. Every verb that takes a recording takes such files at once, too.
            """)

    @OptionGroup var session: SessionFileArguments

    @Option(name: [.customShort("o"), .customLong("output")], help: "The recording to be made.")
    var output: String

    @Flag(help: "Compress the recording (zstd): less space, and some more time here and whenever it is read.")
    var compress = false

    func run() throws {
        let conversion = try Conversion(into: output)
        let input = try session.open()
        let writer = try LogWriter(creating: conversion.temporary, isCompressed: compress)
        do {
            var recorder = LogRecorder(writer: writer)
            try conversion.run(input, "importing") { next in
                if let problem = recorder.write(next) { throw SessionArguments.Problem(description: problem) }
            }
            if let problem = recorder.flush() { throw SessionArguments.Problem(description: problem) }
            if let shortfall = input.shortfall { conversion.note("tandem: \(shortfall)") }
            try conversion.finish()
        } catch {
            writer.discard()
            throw error
        }
    }
}
