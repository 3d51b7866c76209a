import RecordingSupport
import Testing
import TraceModel

/// A million real events, decoded by us and by trace-cmd, compared line by line: time, CPU, pid, event, every field.
@Suite(.serialized)
struct DecodingAgainstTraceCmdTests {
    /// Events with integers of all sizes and signs, pointers, task names, arrays and dynamic strings.
    private static let events =
        Recording.usualEvents + [
            "workqueue", "signal", "task", "ipi", "irq_vectors", "rcu", "tlb", "filemap", "writeback", "ext4",
            "block", "msr", "csd", "power", "percpu", "mmap", "syscalls/sys_enter_openat", "syscalls/sys_enter_execve",
            "syscalls/sys_exit_openat", "syscalls/sys_enter_mmap", "cgroup", "x86_fpu", "maple_tree", "vmscan",
        ]
    private static let goal = 1_100_000

    private static var missing: String? {
        TracingInstance.missing() ?? (ChildProcess.find("trace-cmd") == nil ? "trace-cmd" : nil)
    }

    @Test(.enabled(if: missing == nil, "needs \(missing ?? "nothing")"), .timeLimit(.minutes(10)))
    func `every event and field is what trace-cmd reads`() throws {
        let traceCmd = try #require(ChildProcess.find("trace-cmd"))
        let recording = try Recording.make(label: "decode", events: Self.events) {
            $0 >= Self.goal || $1 > 25
        }
        let folder = try TemporaryFolder()
        let file = try recording.writeTraceDat(to: folder.path, traceCmd: traceCmd, printFormats: false)
        var anomalies = AnomalyCounts()
        var compared = 0
        var differences = 0
        var types: Set<UInt16> = []
        for (cpu, bytes) in recording.pages {
            let one = Recording(
                pages: [(cpu, bytes)], subBufferBytes: recording.subBufferBytes, formats: recording.formats)
            let report = try ChildProcess([traceCmd, "report", "-i", file, "-R", "-N", "-t", "--cpu", "\(cpu)"])
            var lines = LineReader(report.output)
            var text = TraceCmdRawText(recording.formats)
            one.decode(anomalies: &anomalies) { batch in
                for header in batch.headers {
                    let ours = text.line(header, in: batch)
                    var theirs = lines.next()
                    while let line = theirs, line.starts(with: "cpus=".utf8) { theirs = lines.next() }
                    compared += 1
                    types.insert(header.typeIndex)
                    if let theirs, ours.isShown(by: theirs) { continue }
                    differences += 1
                    if differences > 10 { continue }
                    Issue.record(
                        """
                        event \(compared), CPU \(cpu):
                        ours   …\(String(decoding: ours.task + [0x20] + ours.rest, as: UTF8.self))
                        theirs \(theirs.map { String(decoding: $0, as: UTF8.self) } ?? "no line")
                        """)
                }
            }
            #expect(lines.next() == nil, "trace-cmd has more events of CPU \(cpu)")
            let isReported = report.wait()
            #expect(isReported)
        }
        print("compared \(compared) events of \(types.count) types with trace-cmd: \(differences) differ")
        #expect(differences == 0)
        #expect(anomalies.nonZero.isEmpty, "\(anomalies.nonZero)")
        #expect(compared >= 1_000_000)
    }

    @Test(.enabled(if: TracingInstance.missing() == nil, "needs \(TracingInstance.missing() ?? "nothing")"))
    func `as many events come out of large sub-buffers as the kernel says are in`() throws {
        try #require(Files.exists("\(TracingInstance.tracing)/buffer_subbuf_size_kb"), "needs Linux 6.8")
        var entries = 0
        let recording = try Recording.make(label: "large", megabytes: 64, subBufferKilobytes: 64) { events, _ in
            entries = events
            return true
        }
        #expect(recording.subBufferBytes == 65_536)
        var anomalies = AnomalyCounts()
        var decoded = 0
        recording.decode(anomalies: &anomalies) { decoded += $0.headers.count }
        #expect(anomalies.nonZero.isEmpty, "\(anomalies.nonZero)")
        // Counted before tracing stopped: a few more may have come.
        #expect(decoded >= entries && decoded < entries + entries / 10, "\(decoded) decoded, \(entries) counted")
    }
}
