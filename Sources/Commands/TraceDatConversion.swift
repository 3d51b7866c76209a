import Collector
import SessionLog
import TraceFiles

/// A session into trace.dat files.
enum TraceDatConversion {
    static func run(_ session: SessionFileArguments, into directory: String) throws {
        let conversion = try Conversion(into: directory)
        var files = try session.open()
        var succession = AgentSuccession()
        // Only what was live has agents that come back.
        if files is RecordedInput {
            try conversion.run(files, "looking through the session") { succession.take($0) }
            files = try session.open(again: true)
        }
        let input = DecodedSession(files)
        let output = try TraceDatOutput(
            directory: conversion.temporary, program: "tandem \(version)", firsts: succession.firsts)
        do {
            _ = input.takePlacements()
            try conversion.run(input, "exporting") { next in
                try output.take(next) { input.hostTime($0, $1, cpu: $2) }
                for placed in input.takePlacements() { try output.take(placed) }
            }
            try output.finish()
            try conversion.finish()
        } catch {
            conversion.discard()
            throw error
        }
        for notice in output.notices + [input.shortfall].compactMap(\.self) { conversion.note("tandem: \(notice)") }
        conversion.note("exported into \(conversion.destination)")
    }
}
