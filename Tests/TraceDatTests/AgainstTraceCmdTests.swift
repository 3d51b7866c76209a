import RecordingSupport
import Testing
import TraceDat
import TraceFiles
import TraceModel

/// Every event of a file and every field, against the text that trace-cmd makes of the same file.
struct AgainstTraceCmdTests {
    private static let traceCmd = ChildProcess.find("trace-cmd")

    @Test(.enabled(if: traceCmd != nil, "needs trace-cmd"), arguments: Samples.all)
    func `events, their order and every field are what trace-cmd reports`(name: String) throws {
        try check(Samples.path(name))
    }

    @Test(
        .enabled(
            if: traceCmd != nil && Samples.labFolder != nil,
            "needs trace-cmd, and TANDEM_LAB_DATA: a folder of folders with recordings of 'trace-cmd record -A'"))
    func `whole recordings of the lab are what trace-cmd reports`() throws {
        let files = try Samples.labFiles()
        #expect(!files.isEmpty)
        for file in files { try check(file) }
    }

    @Test(.enabled(if: traceCmd != nil, "needs trace-cmd"), arguments: [ByteOrder.little, .big])
    func `trace-cmd reports what we write, with its losses`(order: ByteOrder) throws {
        let folder = try TemporaryFolder()
        let path = "\(folder.path)/trace.dat"
        let times = (0..<300).map { UInt64(1_000_000_000) + $0 * 70_000_000_000 }
        let marks = [
            LossMark(index: 100, place: .ringBuffer, count: 5), LossMark(index: 200, place: .ringBuffer, count: nil),
        ]
        try Files.write(SyntheticFile.bytes(order: order, events: [1: times], losses: [1: marks]) { _ in }, to: path)
        let report = try ChildProcess([try #require(Self.traceCmd), "report", "-t", "-i", path])
        var lines = LineReader(report.output)
        var events: [String] = []
        var losses: [(before: Int, text: String)] = []
        while let line = lines.next() {
            let text = String(decoding: line, as: UTF8.self)
            if text.contains("DROPPED") { losses.append((events.count, text)) }
            if text.contains("tick:") { events.append(text) }
        }
        let isReported = report.wait()
        #expect(isReported)
        #expect(events.count == times.count)
        for (index, event) in events.enumerated() {
            let seconds = times[index] / 1_000_000_000
            #expect(event.contains("a task-42") && event.contains("[001]"), "\(event)")
            #expect(event.contains(" \(seconds).000000000: tick:") && event.hasSuffix(" \(index)"), "\(event)")
        }
        #expect(losses.map(\.before) == [100, 200])
        #expect(losses.first?.text.contains("5 EVENTS DROPPED") == true)
    }

    private func check(_ path: String) throws {
        let traceCmd = try #require(Self.traceCmd)
        let folder = try TemporaryFolder()
        // Without print formats trace-cmd shows the plain value of every field; they can be blanked where nothing is
        // compressed.
        var plain = path
        if !path.hasSuffix(".v6.dat") {
            plain = "\(folder.path)/plain.dat"
            try ChildProcess.run([traceCmd, "convert", "-i", path, "-o", plain, "--compression", "none"])
        }
        var bytes = try Files.read(plain)
        Recording.blankPrintFormats(&bytes)
        plain = "\(folder.path)/blank.dat"
        try Files.write(bytes, to: plain)

        let source = try TraceDatSource(opening: path)
        var text = TraceCmdRawText(source.file.formats, areTicksPlain: true)
        var ours: [(ticks: UInt64, cpu: Int, line: TraceCmdRawText.Line)] = []
        let anomalies = try source.readAll { batch in
            for header in batch.headers {
                ours.append((header.ticks.rawValue, batch.cpu, text.line(header, in: batch)))
            }
        }
        #expect(anomalies.nonZero.isEmpty, "\(anomalies.nonZero)")
        // Stable, so that events of one CPU at one time stay in their order.
        ours = ours.enumerated().sorted {
            ($0.element.ticks, $0.element.cpu, $0.offset) < ($1.element.ticks, $1.element.cpu, $1.offset)
        }.map(\.element)

        let report = try ChildProcess([traceCmd, "report", "-i", plain, "-R", "-N", "--raw-ts"])
        var lines = LineReader(report.output)
        var differences = 0
        for (index, event) in ours.enumerated() {
            var theirs = lines.next()
            while let line = theirs, line.starts(with: "cpus=".utf8) { theirs = lines.next() }
            if let theirs, event.line.isShown(by: theirs) { continue }
            differences += 1
            if differences > 5 { continue }
            Issue.record(
                """
                \(path), event \(index):
                ours   …\(String(decoding: event.line.task + [0x20] + event.line.rest, as: UTF8.self))
                theirs \(theirs.map { String(decoding: $0, as: UTF8.self) } ?? "no line")
                """)
        }
        #expect(lines.next() == nil, "trace-cmd has more events")
        let isReported = report.wait()
        #expect(isReported)
        #expect(differences == 0)
        #expect(!ours.isEmpty)
        print("\(path): \(ours.count) events, \(differences) differ")
    }
}
