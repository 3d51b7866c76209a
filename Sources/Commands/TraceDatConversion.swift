import Collector
import SessionLog
import TraceFiles

/// A session into trace.dat files.
enum TraceDatConversion {
    static func run(_ session: SessionFileArguments, into directory: String) throws {
        let conversion = try Conversion(into: directory)
        let input = DecodedSession(try session.open())
        let output = try TraceDatOutput(directory: conversion.temporary, program: "tandem \(version)")
        do {
            try conversion.run(input, "exporting") { next in
                try output.take(next) { input.hostTime($0, $1, cpu: $2) }
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
