import Collector
import RecordingSupport
import SessionLog
import TraceFiles
import TraceModel

/// `tandem-bench import`: trace.dat files to a recording on disk, beside `trace-cmd report` of the same files.
///
/// Everything counts: decompression, decoding, encoding, and the writing of the recording; see `TextBenchmark`.
enum ImportBenchmark {
    static func run(_ arguments: ArraySlice<String>) throws {
        try TraceCmdReport.withFiles(arguments, run)
    }

    private static func run(host: String, guests: [String]) throws {
        let paths = SessionPaths(path: host, guests: guests.map { SessionPaths.Guest(argument: $0) })
        var bytesWritten: UInt64 = 0
        var events = 0
        let read = try Measurement(runs: 5) {
            let input = try TraceDatInput(paths)
            var events = 0
            while let next = try input.next() {
                if case .batch(_, let batch) = next { events += batch.headers.count }
            }
            return events
        }
        func write(_ input: any SessionInput) throws -> Int {
            let folder = try TemporaryFolder()
            let writer = try LogWriter(creating: "\(folder.path)/run.tandem")
            defer { writer.discard() }
            var recorder = LogRecorder(writer: writer)
            events = 0
            while let next = try input.next() {
                if case .batch(_, let batch) = next { events += batch.headers.count }
                if let problem = recorder.write(next) { throw BenchmarkInput.UsageError(description: problem) }
            }
            if let problem = recorder.flush() { throw BenchmarkInput.UsageError(description: problem) }
            bytesWritten = recorder.bytesWritten
            return events
        }
        let written = try Measurement(runs: 5) { try write(try TraceDatInput(paths)) }
        let elapsed = try Measurement(runs: 5, by: Clock.nanoseconds) {
            try write(ReadAhead(try TraceDatInput(paths)))
        }
        print("\(1 + guests.count) files, \(events) events, \(bytesWritten) bytes written")
        read.show("read: decompress, decode, in order")
        written.show("import: read, encode, write")
        elapsed.show("import, elapsed time with a second thread")
        TraceCmdReport.show(
            of: [host] + guests, events: events, cpu: written.median, elapsed: elapsed.median, "the import")
    }
}
