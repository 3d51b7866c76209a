import Collector
import EventText
import RecordingSupport
import SessionLog
import TraceFiles
import TraceModel

/// `tandem-bench text`: all events of trace.dat files as merged text, beside `trace-cmd report` of the same files.
///
/// Everything counts: decompression, decoding, the merge, and the writing of the text into nothing. CPU time is that of one
/// thread that does it all; elapsed time, that of the command's way, which reads ahead with a second one.
enum TextBenchmark {
    static func run(_ arguments: ArraySlice<String>) throws {
        try TraceCmdReport.withFiles(arguments, run)
    }

    private static func run(host: String, guests: [String]) throws {
        let paths = SessionPaths(path: host, guests: guests.map { SessionPaths.Guest(argument: $0) })
        let events = try eventCount(paths)
        var bytes = 0
        func list(_ input: any SessionInput) throws -> Int {
            bytes = 0
            try EventListing(input, .init(), .init()).run { part in
                bytes += part.count
                return true
            }
            return events
        }
        let text = try Measurement(runs: 5) { try list(try TraceDatInput(paths)) }
        let elapsed = try Measurement(runs: 5, by: Clock.nanoseconds) {
            try list(ReadAhead(try TraceDatInput(paths)))
        }
        print("\(1 + guests.count) files, \(events) events, \(bytes) bytes of text")
        text.show("merged text")
        elapsed.show("merged text, elapsed time with a second thread")
        TraceCmdReport.show(
            of: [host] + guests, events: events, cpu: text.median, elapsed: elapsed.median, "the merged text")
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

    /// Says how much longer it takes than something else, in nanoseconds per event.
    static func show(of files: [String], events: Int, cpu: Double, elapsed: Double, _ name: String) {
        guard let shell = ChildProcess.find("sh"), ChildProcess.find("trace-cmd") != nil else { return }
        let start = (cpu: Clock.childrenCPUNanoseconds(), elapsed: Clock.nanoseconds())
        do {
            try ChildProcess.run(
                [shell, "-c", "exec trace-cmd report \"$@\" >/dev/null 2>&1", "sh"] + files.flatMap { ["-i", $0] })
        } catch {
            return print("trace-cmd report failed: \(error)")
        }
        let count = Double(max(events, 1))
        let report = Double(Clock.childrenCPUNanoseconds() - start.cpu) / count
        let waited = Double(Clock.nanoseconds() - start.elapsed) / count
        print(
            "\(padded("trace-cmd report, the same files", 44)) \(tenths(report)) ns/event,",
            "\(tenths(report / cpu)) times the CPU time of \(name);",
            "elapsed \(tenths(waited)), \(tenths(waited / elapsed)) times as long")
    }
}
