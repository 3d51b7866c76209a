import ArgumentParser
import CTF
import Collector
import Foundation
import SessionLog
import TraceFiles

/// Everything that a session can be read from.
enum SessionFiles {
    /// Asked in this order; each looks at a path's name and first bytes.
    static var kinds: [any SessionFileKind.Type] { [RecordingKind.self, TraceDatKind.self, CTFKind.self] }

    static func open(_ paths: SessionPaths) throws -> any SessionInput {
        guard let kind = kinds.first(where: { $0.claims(paths.path) }) else {
            throw SessionArguments.Problem(
                description: "'\(paths.path)' is not there, or holds no session; a session is "
                    + kinds.map { $0.description }.joined(separator: ", or "))
        }
        return try kind.open(paths)
    }
}

/// How verbs that read a session name it.
struct SessionFileArguments: ParsableArguments {
    @Argument(
        help: ArgumentHelp(
            "The session: a directory made by 'tandem record', or the host's file of 'trace-cmd record'.",
            valueName: "session"))
    var path: String

    @Option(
        name: .customShort("A"),
        help: ArgumentHelp(
            "A guest's file, where the session is a host's file of another program.", valueName: "[name=]guest"))
    var guests: [String] = []

    @Option(
        name: .customLong("ts-offset"), parsing: .unconditionalSingleValue,
        help: ArgumentHelp(
            "Nanoseconds to add to each time of a guest, where its file does not know the host's clock.",
            valueName: "[name=]ns"))
    var offsets: [String] = []

    @Option(
        name: .customLong("ts2secs"),
        help: ArgumentHelp("Ticks of the trace clock in a second, where no file says it.", valueName: "hz"))
    var ticksPerSecond: Double?

    /// What the files do not say is said here, once; not by whoever goes through them `again`.
    func open(again: Bool = false) throws -> any SessionInput {
        var paths = SessionPaths(path: path, guests: guests.map { SessionPaths.Guest(argument: $0) })
        paths.clockHints.ticksPerSecond = ticksPerSecond
        for offset in offsets {
            let parts = offset.split(separator: "=", maxSplits: 1)
            guard let number = parts.last.flatMap({ Int64($0) }) else {
                throw SessionArguments.Problem(
                    description: "--ts-offset '\(offset)' is no number of nanoseconds, and no NAME=NANOSECONDS")
            }
            paths.clockHints.offsets.append(
                SessionPaths.ClockHints.Offset(
                    name: parts.count == 2 ? String(parts[0]) : nil, nanoseconds: number))
        }
        let input = try SessionFiles.open(paths)
        // A recording is cheap to read, and its index is made of how far it was read.
        guard !(input is RecordedInput) else { return input }
        for notice in again ? [] : (input as? TraceDatInput)?.notices ?? [] {
            FileHandle.standardError.write(Data("tandem: \(notice)\n".utf8))
        }
        return sysconf(Int32(_SC_NPROCESSORS_ONLN)) > 1 ? ReadAhead(input) : input
    }
}
