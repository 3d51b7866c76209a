import CTF
import Collector
import Foundation
import SessionLog
import Threading
import TraceModel
import Wire

enum Fixtures {
    static let directory = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Fixtures")

    static func path(_ name: String) -> String { directory.appending(path: name).path }

    /// The lab's recordings, where they are: set TANDEM_LAB_DATA to the directory that holds `lttng-plain`.
    static var lab: String? {
        guard let path = ProcessInfo.processInfo.environment["TANDEM_LAB_DATA"] else { return nil }
        return FileManager.default.fileExists(atPath: "\(path)/lttng-plain") ? path : nil
    }

    /// Whoever preloads it tells LTTng of its memory: `liblttng-ust1`.
    static let tracedLibrary = "/usr/lib/x86_64-linux-gnu/liblttng-ust-libc-wrapper.so.1"

    static var hasLTTng: Bool {
        let programs = ["lttng", "lttng-sessiond", "lttng-relayd", "babeltrace2", "setpriv"].map { "/usr/bin/\($0)" }
        return (programs + [tracedLibrary]).allSatisfy { FileManager.default.fileExists(atPath: $0) }
    }

    static var hasBabeltrace: Bool { FileManager.default.isExecutableFile(atPath: "/usr/bin/babeltrace2") }
}

/// A directory that is gone afterwards.
final class Scratch {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.appending(path: "tandem-ctf-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// A copy of a fixture, to be damaged.
    func copy(_ name: String) throws -> String {
        let target = "\(path)/\(name.split(separator: "/").last ?? "trace")"
        try FileManager.default.copyItem(atPath: Fixtures.path(name), toPath: target)
        return target
    }
}

/// Everything that a reader gave.
struct Everything {
    var batches: [EventBatch] = []
    var watermarks: [TraceTicks?] = []
    var formats: [EventFormat] = []
    var problems: [String] = []
    var anomalies: [Anomaly: UInt64] = [:]

    init(_ reader: MachineReader) {
        while let step = reader.next() {
            batches += step.batches
            watermarks.append(step.watermark)
        }
        formats = reader.formats
        problems = reader.problems
        anomalies = reader.anomalies
    }

    var events: Int { batches.reduce(0) { $0 + $1.headers.count } }
    var losses: [LossMark] { batches.flatMap(\.losses) }

    var counts: [String: Int] {
        var counts: [String: Int] = [:]
        for batch in batches {
            for header in batch.headers { counts[formats[Int(header.typeIndex)].fullName, default: 0] += 1 }
        }
        return counts
    }

    /// As in babeltrace2's text, in ftrace's words: `name { field = value, … }`, sorted by time.
    var lines: [(ticks: TraceTicks, text: String)] {
        var lines: [(TraceTicks, String)] = []
        for batch in batches {
            for header in batch.headers { lines.append((header.ticks, line(header, of: batch))) }
        }
        return lines.sorted { $0.0 < $1.0 }
    }

    private func line(_ header: EventHeader, of batch: EventBatch) -> String {
        let format = formats[Int(header.typeIndex)]
        let record = Array(batch.records[Int(header.offset)..<Int(header.offset) + Int(header.length)])
        let fields = format.fields.map { field in
            switch field.kind {
            case .integer:
                let number = IntegerField(field, byteOrder: .native)?.value(in: batch.records.span.bytes, of: header)
                let value = number ?? 0
                return "\(field.name) = " + (field.isSigned ? "\(value)" : "\(UInt64(bitPattern: value))")
            case .text:
                let bytes = record[field.offset..<field.offset + field.size].prefix { $0 != 0 }
                return "\(field.name) = \"\(String(decoding: bytes, as: UTF8.self))\""
            case .dynamic:
                let word = record[field.offset..<field.offset + 4].reversed().reduce(0) { $0 << 8 | Int($1) }
                let all = record[(word & 0xffff)...].prefix(word >> 16)
                if field.type.hasPrefix("__data_loc int") { return "\(field.name) = \(Self.list(Array(all)))" }
                let bytes = all.prefix { $0 != 0 }
                return "\(field.name) = \"\(String(decoding: bytes, as: UTF8.self))\""
            default: return "\(field.name) = ?"
            }
        }
        return "\(format.name) { \(fields.joined(separator: ", ")) }"
    }

    /// Numbers of four bytes, as babeltrace2 prints a sequence.
    private static func list(_ bytes: [UInt8]) -> String {
        let numbers = stride(from: 0, to: bytes.count, by: 4).map { at in
            bytes[at..<at + 4].reversed().reduce(0) { $0 << 8 | Int($1) }
        }
        return "[ \(numbers.enumerated().map { "[\($0)] = \($1)" }.joined(separator: ", ")) ]"
    }
}

func open(_ path: String) throws -> [MachineReader] {
    var problems: [String] = []
    return try CTFExperiment.open(path, problems: &problems)
}

/// What a program prints.
func output(_ arguments: [String]) throws -> String {
    let process = Process()
    process.executableURL = URL(filePath: arguments[0])
    process.arguments = Array(arguments.dropFirst())
    let pipe = Pipe()
    process.standardOutput = pipe
    try process.run()
    let data = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return String(decoding: data, as: UTF8.self)
}

/// A recording of the lab, by its name in Tests/Fixtures.
func recording(_ name: String) throws -> RecordedInput {
    let tests = Fixtures.directory.deletingLastPathComponent().deletingLastPathComponent()
    return RecordedInput(try LogReader(opening: tests.appending(path: "Fixtures/\(name)").path))
}

/// A session in which each guest tells its steal time, once in a tenth of a second: a counter that grows with the clock.
final class WithSteal: SessionInput {
    private let input: any SessionInput
    private var waiting: PipelineInput?
    private var last: [SourceID: UInt64] = [:]

    init(_ input: any SessionInput) { self.input = input }

    func next() throws -> PipelineInput? {
        if let steal = waiting {
            waiting = nil
            return steal
        }
        let next = try input.next()
        if case .record(.message(let id, .watermark(let ticks)))? = next, id != .host,
            ticks.rawValue > last[id, default: 0] + 100_000_000
        {
            last[id] = ticks.rawValue
            let told = StealSample.CPU(cpu: 0, nanoseconds: ticks.rawValue / 7)
            waiting = .record(.message(id, .steal(StealSample(ticks: ticks, cpus: [told]))))
        }
        return next
    }

    var shortfall: String? { input.shortfall }
    var progress: Double { input.progress }
}

/// A session in which one guest's agent is lost: after so many of its watermarks nothing more comes of it.
final class WithoutAgent: SessionInput {
    private let input: any SessionInput
    private let guest: SourceID
    private var left: Int

    init(_ input: any SessionInput, of guest: SourceID, afterWatermarks count: Int) {
        self.input = input
        self.guest = guest
        left = count
    }

    func next() throws -> PipelineInput? {
        while let next = try input.next() {
            guard next.isOf(guest) else { return next }
            guard left > 0 else { continue }
            guard case .record(.message(_, .watermark)) = next else { return next }
            left -= 1
            guard left > 0 else { return .record(.sourceClosed(guest, reason: "reset by peer", isFailure: true)) }
            return next
        }
        return nil
    }

    var shortfall: String? { input.shortfall }
    var progress: Double { input.progress }
}

extension PipelineInput {
    fileprivate func isOf(_ source: SourceID) -> Bool {
        switch self {
        case .batch(source, _), .record(.message(source, _)), .record(.sourceClosed(source, _, _)): true
        default: false
        }
    }
}

/// Ends this process when libbabeltrace2 does not come back: no test can end a thread that is in there.
final class Watchdog {
    private let isOver = Latch()

    /// `what` is printed then; the files are still there.
    init(_ what: String, seconds: Int64 = 60) {
        Threading.Thread.start("watchdog") { [isOver] in
            isOver.wait(nanoseconds: seconds * 1_000_000_000)
            guard isOver.value == .none else { return }
            print("does not come back: \(what)")
            exit(1)
        }
    }

    deinit { isOver.set(.abandon) }
}

/// The analysis of a whole session.
func pipeline(_ input: any SessionInput) throws -> CollectorPipeline {
    var pipeline = CollectorPipeline()
    while let next = try input.next() {
        pipeline.apply(next)
        _ = pipeline.takeUnidentifiedThreads()
    }
    return pipeline
}

/// The session as `tandem export --to ctf` writes it.
func export(_ session: () throws -> any SessionInput, into directory: String) throws {
    func apply(_ input: any SessionInput, to pipeline: inout CollectorPipeline, _ see: (PipelineInput) -> Void) throws {
        while let next = try input.next() {
            see(next)
            pipeline.apply(next)
            _ = pipeline.takeUnidentifiedThreads()
        }
    }
    var survey = CTFExportSurvey()
    var first = CollectorPipeline()
    first.observeGuests(end: { survey.end($0, at: $1, isFailure: $2) })
    try apply(try session(), to: &first) { survey.take($0) }
    let export = try CTFExport(survey, end: first.hostReached, into: directory)
    var second = CollectorPipeline()
    second.observe { export.append($0, $1) }
    second.observeGuests(steal: { export.sample($0, $1, at: $2) })
    try apply(try session(), to: &second) { _ in }
    try export.finish()
}
