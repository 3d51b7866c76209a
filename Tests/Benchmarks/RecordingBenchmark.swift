import Collector
import RecordingSupport
import SessionLog
import TraceModel
import Wire

/// `tandem-bench recording`: a long recording, made of a short one that is told over and over with times that go on. What
/// writing it costs, with the analysis and its checkpoints as in a live session and without, how large it is, and how soon
/// the state at any instant is found in it.
enum RecordingBenchmark {
    private static let demo = "Sources/Commands/Resources/demo-recording"

    static func run(_ arguments: ArraySlice<String>) throws {
        var arguments = arguments
        let isCompressed = arguments.first == "--compress"
        if isCompressed { arguments = arguments.dropFirst() }
        let events = arguments.first.flatMap { Int($0) } ?? 100_000_000
        let folder = arguments.dropFirst().first ?? demo
        let space = try TemporaryFolder()
        let plain = try write(
            folder, events: min(events, 20_000_000), into: "\(space.path)/plain", isCompressed, isAnalyzed: false)
        show("write", plain)
        let path = "\(space.path)/run"
        let whole = try write(folder, events: events, into: path, isCompressed, isAnalyzed: true)
        show("write, analyze, checkpoints", whole)
        print("\(tenths(Double(whole.bytes) / Double(whole.events))) bytes/event, compressed: \(isCompressed)")
        try lookUp(path)
    }

    private struct Written {
        var events = 0
        var bytes: UInt64 = 0
        var cpuNanoseconds: UInt64 = 0
        var wallNanoseconds: UInt64 = 0
    }

    private static func show(_ name: String, _ written: Written) {
        let events = Double(written.events)
        print(
            "\(padded(name, 30)) \(written.events) events, \(tenths(Double(written.cpuNanoseconds) / events)) ns/event of",
            "CPU time, \(tenths(1000 * events / Double(written.wallNanoseconds))) M events/s")
    }

    private static func write(
        _ folder: String, events: Int, into path: String, _ isCompressed: Bool, isAnalyzed: Bool
    ) throws -> Written {
        var session = try RepeatedSession(RecordedInput(try LogReader(opening: folder)))
        let writer = try LogWriter(creating: path, isCompressed: isCompressed)
        var recorder = LogRecorder(writer: writer)
        var pipeline = CollectorPipeline()
        var written = Written()
        func tell(_ inputs: [PipelineInput]) throws {
            let (cpu, wall) = (Clock.threadCPUNanoseconds(), Clock.nanoseconds())
            for input in inputs {
                if let problem = recorder.write(input) { throw BenchmarkInput.UsageError(description: problem) }
                guard isAnalyzed else { continue }
                pipeline.apply(input)
                _ = pipeline.takeUnidentifiedThreads()
                if let problem = recorder.follow(pipeline) { throw BenchmarkInput.UsageError(description: problem) }
            }
            if let problem = recorder.flush() { throw BenchmarkInput.UsageError(description: problem) }
            written.cpuNanoseconds += Clock.threadCPUNanoseconds() - cpu
            written.wallNanoseconds += Clock.nanoseconds() - wall
        }
        try tell(session.preparation)
        while written.events < events {
            try tell(session.repetition)
            written.events += session.eventCount
            session.moveOn()
        }
        written.bytes = writer.bytesWritten
        return written
    }

    /// The state at twenty instants, each by a reader of its own, as `tandem report --at` does it.
    private static func lookUp(_ path: String) throws {
        var whole = Replay(RecordedInput(try LogReader(opening: path)))
        let window = try whole.snapshot(at: SessionTime.clock(HostTime(nanoseconds: .max))).window
        var milliseconds: [Double] = []
        for part in 1...20 as ClosedRange<Int64> {
            let time = window.startNanoseconds + (window.endNanoseconds - window.startNanoseconds) / 21 * part
            let start = Clock.nanoseconds()
            var replay = Replay(RecordedInput(try LogReader(opening: path)))
            let snapshot = try replay.snapshot(at: SessionTime.clock(HostTime(nanoseconds: time)))
            milliseconds.append(Double(Clock.nanoseconds() - start) / 1e6)
            guard snapshot.window.endNanoseconds == time else {
                throw BenchmarkInput.UsageError(
                    description: "the state at \(time) is of \(snapshot.window.endNanoseconds)")
            }
        }
        milliseconds.sort()
        print(
            "state at an instant: median \(tenths(milliseconds[10])) ms, worst \(tenths(milliseconds[19])) ms of 20, over",
            "\(tenths(Double(window.endNanoseconds - window.startNanoseconds) / 1e9)) s of session")
    }
}

/// What a pipeline is told in one session, to be told again and again with times that go on. All clocks count nanoseconds.
struct RepeatedSession {
    private(set) var preparation: [PipelineInput] = []
    private(set) var repetition: [PipelineInput] = []
    private(set) var eventCount = 0
    private var spanNanoseconds: UInt64 = 1

    init(_ input: any SessionInput) throws {
        let decoded = DecodedSession(input)
        var (first, last) = (UInt64.max, UInt64.min)
        while let next = try decoded.next() {
            switch next {
            case .batch(let source, let batch):
                eventCount += batch.headers.count
                if source == .host, let begin = batch.headers.first, let end = batch.headers.last {
                    first = min(first, begin.ticks.rawValue)
                    last = max(last, end.ticks.rawValue)
                }
                repetition.append(next)
            case .record(.message(let source, .watermark(let ticks))):
                if source == .host { last = max(last, ticks.rawValue) }
                repetition.append(next)
            case .record(.probe): repetition.append(next)
            case .record(.message), .record(.sourceClosed): break
            case .record: preparation.append(next)
            }
        }
        guard eventCount > 0, first < last else { throw BenchmarkInput.UsageError(description: "there are no events") }
        spanNanoseconds = last - first + 1000
    }

    /// The next telling follows the last one in time.
    mutating func moveOn() {
        let span = spanNanoseconds
        for index in repetition.indices {
            switch repetition[index] {
            case .batch(let source, var batch):
                for event in batch.headers.indices {
                    batch.headers[event].ticks = TraceTicks(batch.headers[event].ticks.rawValue &+ span)
                }
                repetition[index] = .batch(source, batch)
            case .record(.message(let source, .watermark(let ticks))):
                repetition[index] = .record(.message(source, .watermark(TraceTicks(ticks.rawValue &+ span))))
            case .record(.probe(let source, let probe)):
                let moved = ClockProbe(
                    hostSent: probe.hostSent.advanced(by: Int64(span)),
                    guestReceived: TraceTicks(probe.guestReceived.rawValue &+ span),
                    guestSent: TraceTicks(probe.guestSent.rawValue &+ span),
                    hostReceived: probe.hostReceived.advanced(by: Int64(span)))
                repetition[index] = .record(.probe(source, moved))
            default: break
            }
        }
    }
}
