import Foundation
import Testing
import TraceModel
import Wire

/// The protocol's page cannot lie: its message table and its example session are compared with what the code does.
///
/// After a deliberate change of the protocol, TANDEM_UPDATE_GOLDEN=1 writes the example anew; the diff is the review.
struct ProtocolPageTests {
    private static let path = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Sources/Wire/Wire.docc/Protocol.md")

    private static let format = """
        name: tick
        ID: 7
        format:
        \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
        \tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;
        \tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;
        \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

        \tfield:int step;\toffset:8;\tsize:4;\tsigned:1;

        print fmt: "%d", REC->step
        """

    /// Two events of `demo:tick`, 100 ticks apart; one was lost between them.
    private static var batch: [UInt8] {
        let field = EventField(name: "step", type: "int", offset: 8, size: 4, isSigned: true, kind: .integer)
        let format = EventFormat(kernelID: 7, system: "demo", name: "tick", fields: [field], text: format)
        var batch = EventBatch(cpu: 1)
        for (index, step) in [UInt8(5), 6].enumerated() {
            batch.headers.append(
                EventHeader(
                    ticks: TraceTicks(1000 + 100 * UInt64(index)), offset: UInt32(12 * index), length: 12, pid: 42,
                    typeIndex: 0, flags: 1, preemptCount: 0))
            batch.records += [7, 0, 1, 0, 42, 0, 0, 0, step, 0, 0, 0]
        }
        batch.losses = [LossMark(index: 1, place: .ringBuffer, count: 1)]
        var encoder = BatchEncoder(formats: FormatTable(byteOrder: .little, longSize: 8, formats: [format]))
        return encoder.encode(batch)
    }

    private static let session: [(label: String, message: Message)] = [
        ("collector: hello", .hello(Hello(role: .collector, program: "tandem", hostname: "host"))),
        (
            "agent:     hello",
            .hello(Hello(role: .agent, program: "tandem-agent", hostname: "g1", bootID: "b-1", cpuCount: 2))
        ),
        (
            "collector: request",
            .request(
                SessionRequest(
                    clock: .monoRaw, bufferKiBPerCPU: 4096, events: [.init(pattern: "demo:tick")],
                    flushMilliseconds: 20, creditBytes: 65_536, holder: "host"))
        ),
        (
            "agent:     prepared",
            .prepared(
                Prepared(
                    token: 99, clock: .monoRaw, byteOrder: .little, longSize: 8, subBufferBytes: 4096,
                    bufferKiBPerCPU: 4096, cpus: [0, 1], instance: "tandem-agent-9-1"))
        ),
        ("agent:     format", .format(FormatMessage(system: "demo", text: format))),
        ("agent:     taskNames", .taskNames(TaskNamesMessage(tasks: [.init(tid: 42, comm: "loop")]))),
        ("agent:     ready", .ready),
        ("collector: hello (on the probe connection)", .hello(Hello(role: .probe, program: "tandem", token: 99))),
        ("collector: probe", .probe(id: 1)),
        ("agent:     probeReply", .probeReply(id: 1, received: TraceTicks(900), sent: TraceTicks(901))),
        ("collector: start", .start),
        ("agent:     batch", .batch(batch)),
        ("agent:     watermark", .watermark(TraceTicks(1200))),
        (
            "agent:     statistics",
            .statistics(
                SourceStatistics(
                    cpus: [.init(cpu: 1, overrun: 1, read: 2, shed: 0, delivered: 2)], cpuNanoseconds: 1000,
                    residentBytes: 4096, isFinal: false))
        ),
        ("agent:     onlineCPUs", .onlineCPUs([0, 1])),
        (
            "agent:     steal",
            .steal(StealSample(ticks: TraceTicks(1200), cpus: [.init(cpu: 1, nanoseconds: 30_000_000)]))
        ),
        ("collector: credit", .credit(8192)),
        ("collector: drain", .drain),
        ("agent:     drained", .drained),
        ("either:    error", .error(PeerError(.busy, "busy, held by host"))),
    ]

    /// Sixteen bytes a line; the header on a line of its own.
    private static var rendered: String {
        session.map { label, message in
            let bytes = message.frame.bytes
            var lines = ["# \(label)", hex(bytes[..<Frame.headerBytes])]
            for start in stride(from: Frame.headerBytes, to: bytes.count, by: 16) {
                lines.append("  " + hex(bytes[start..<min(start + 16, bytes.count)]))
            }
            return lines.joined(separator: "\n")
        }.joined(separator: "\n")
    }

    private static func hex(_ bytes: ArraySlice<UInt8>) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: " ")
    }

    @Test func `the example session of the page is what the code sends`() throws {
        let page = try String(contentsOf: Self.path, encoding: .utf8)
        let begin = try #require(page.range(of: "```session\n"))
        let end = try #require(page.range(of: "\n```", range: begin.upperBound..<page.endIndex))
        if ProcessInfo.processInfo.environment["TANDEM_UPDATE_GOLDEN"] == "1" {
            let updated = page.replacingCharacters(in: begin.upperBound..<end.lowerBound, with: Self.rendered)
            try updated.write(to: Self.path, atomically: true, encoding: .utf8)
        }
        #expect(String(page[begin.upperBound..<end.lowerBound]) == Self.rendered)
    }

    @Test func `the page's message table has every message with its number, and says which may be skipped`() throws {
        let page = try String(contentsOf: Self.path, encoding: .utf8)
        let rows = page.split(separator: "\n").filter { $0.hasPrefix("| ") && $0.contains("` | ") }
        for code in Message.Code.allCases {
            let row = rows.first { $0.hasPrefix("| \(code.rawValue) | `\(code)` |") }
            #expect(row?.contains("May be skipped") == code.isSkippable, "\(code)")
        }
    }

    @Test func `the example session has every message`() {
        #expect(Set(Self.session.map(\.message.code)) == Set(Message.Code.allCases))
    }

    @Test func `the annotated batch of the page is the one of the session`() throws {
        let page = try String(contentsOf: Self.path, encoding: .utf8)
        let begin = try #require(page.range(of: "```batch\n"))
        let end = try #require(page.range(of: "\n```", range: begin.upperBound..<page.endIndex))
        #expect(bytes(hex: String(page[begin.upperBound..<end.lowerBound])) == Self.batch)
    }

    @Test func `the limits that the page states are the code's`() throws {
        let page = try String(contentsOf: Self.path, encoding: .utf8)
        for (name, value) in [
            ("frameBytes", Limits.frameBytes), ("greetingBytes", Limits.greetingBytes), ("textBytes", Limits.textBytes),
            ("formatBytes", Limits.formatBytes), ("filterBytes", Limits.filterBytes),
            ("eventPatterns", Limits.eventPatterns), ("formats", Limits.formats),
            ("descriptionBytes", Limits.descriptionBytes), ("taskNames", Limits.taskNames), ("cpus", Limits.cpus),
            ("batchEvents", Limits.batchEvents),
            ("batchRecordBytes", Limits.batchRecordBytes), ("batchLosses", Limits.batchLosses),
            ("creditBytes", Limits.creditBytes), ("answerMilliseconds", Limits.answerMilliseconds),
            ("silenceMilliseconds", Limits.silenceMilliseconds), ("setupMilliseconds", Limits.setupMilliseconds),
            ("drainSilenceMilliseconds", Limits.drainSilenceMilliseconds),
            ("drainMilliseconds", Limits.drainMilliseconds),
        ] {
            #expect(page.contains("| `\(name)` | \(value) |"), "\(name) is \(value)")
        }
    }
}
