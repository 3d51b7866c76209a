import Collector
import EventText
import RecordingSupport
import SessionLog
import TraceFiles
import TraceModel

/// `tandem-bench text`: all events of trace.dat files as merged text, beside `trace-cmd report` of the same files.
///
/// Everything counts: decompression, decoding, the merge, and the writing of the text into nothing.
enum TextBenchmark {
    static func run(_ arguments: ArraySlice<String>) throws {
        try TraceCmdReport.withFiles(arguments, run)
    }

    private static func run(host: String, guests: [String]) throws {
        let paths = SessionPaths(path: host, guests: guests.map { SessionPaths.Guest(argument: $0) })
        let events = try eventCount(paths)
        var bytes = 0
        let text = try Measurement(runs: 5) {
            bytes = 0
            let listing = EventListing(try TraceDatInput(paths), .init(), .init())
            try listing.run { part in
                bytes += part.count
                return true
            }
            return events
        }
        print("\(1 + guests.count) files, \(events) events, \(bytes) bytes of text")
        text.show("merged text")
        TraceCmdReport.show(of: [host] + guests, events: events, beside: text.median, "the merged text")
    }

    private static func eventCount(_ paths: SessionPaths) throws -> Int {
        let input = try TraceDatInput(paths)
        var events = 0
        while let next = try input.next() {
            if case .batch(_, let batch) = next { events += batch.headers.count }
        }
        return events
    }
}

/// `trace-cmd report` of files, into nothing.
enum TraceCmdReport {
    /// Runs with the trace.dat files that are named, the host's first, or with one that is made.
    static func withFiles(
        _ arguments: ArraySlice<String>, _ run: (_ host: String, _ guests: [String]) throws -> Void
    ) throws {
        if let host = arguments.first, host.hasSuffix(".dat") { return try run(host, Array(arguments.dropFirst())) }
        let input = try BenchmarkInput(arguments)
        guard let file = input.traceDat else {
            throw BenchmarkInput.UsageError(description: "trace-cmd is needed to make a trace.dat file")
        }
        // The input is removed with its folder when nobody holds it any more.
        try withExtendedLifetime(input) { try run(file, []) }
    }

    /// Says how much longer it takes than something else, in nanoseconds of CPU time per event.
    static func show(of files: [String], events: Int, beside other: Double, _ name: String) {
        guard let shell = ChildProcess.find("sh"), ChildProcess.find("trace-cmd") != nil else { return }
        let start = Clock.childrenCPUNanoseconds()
        do {
            try ChildProcess.run(
                [shell, "-c", "exec trace-cmd report \"$@\" >/dev/null 2>&1", "sh"] + files.flatMap { ["-i", $0] })
        } catch {
            return print("trace-cmd report failed: \(error)")
        }
        let report = Double(Clock.childrenCPUNanoseconds() - start) / Double(max(events, 1))
        print(
            "\(padded("trace-cmd report, the same files", 44)) \(tenths(report)) ns/event,",
            "\(tenths(report / other)) times as long as \(name)")
    }
}
