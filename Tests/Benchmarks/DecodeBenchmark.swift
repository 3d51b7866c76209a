import Decoding
import RecordingSupport
import TraceModel

/// `tandem-bench decode`: sub-buffers to batches.
///
/// Twice, because the memory matters as much as the work: sub-buffers streamed from main memory, as when a recording is
/// decoded, and sub-buffers that are in the cache, as right after a `read()` from the kernel.
enum DecodeBenchmark {
    /// Sub-buffers decoded between two looks at the clock when they are to be in the cache.
    private static let cachedBytes = 128 << 10

    static func run(_ input: borrowing BenchmarkInput) throws {
        let recording = input.recording
        var anomalies = AnomalyCounts()
        var events = 0
        var bytes = 0
        recording.decode(anomalies: &anomalies) { batch in
            events += batch.headers.count
            bytes += batch.records.count
        }
        let subBuffers = recording.pages.reduce(0) { $0 + $1.bytes.count } / recording.subBufferBytes
        print(
            "\(recording.pages.count) CPUs, \(subBuffers) sub-buffers of \(recording.subBufferBytes) bytes, \(events) events,",
            "\(tenths(Double(bytes) / Double(max(events, 1)))) record bytes an event")
        for (anomaly, count) in anomalies.nonZero { print("anomaly \(anomaly.label): \(count)") }

        let streamed = Measurement {
            var decoded = 0
            var anomalies = AnomalyCounts()
            recording.decode(anomalies: &anomalies) { decoded += $0.headers.count }
            return decoded
        }
        streamed.show("decode, sub-buffers from main memory")
        cached(recording).show("decode, sub-buffers in the cache")
        Measurement { count(recording) }.show("count only, sub-buffers from main memory")

        if let file = input.traceDat, let shell = ChildProcess.find("sh") {
            let start = Clock.childrenCPUNanoseconds()
            try ChildProcess.run([shell, "-c", "exec trace-cmd report -i \"$0\" >/dev/null 2>&1", file])
            let report = Double(Clock.childrenCPUNanoseconds() - start) / Double(max(events, 1))
            print(
                "\(padded("trace-cmd report, the same events", 44)) \(tenths(report)) ns/event,",
                "\(tenths(report / streamed.minimum)) times as long as decoding from main memory")
        }
    }

    private static func cached(_ recording: Recording) -> Measurement {
        let fresh = SubBufferDecoder(formats: recording.formats)
        var anomalies = AnomalyCounts()
        var batch = EventBatch(cpu: 0)
        func decode(_ pages: RawSpan) -> Int {
            batch.removeAll(cpu: 0)
            var decoder = fresh
            for start in stride(from: 0, to: pages.byteCount, by: recording.subBufferBytes) {
                decoder.decode(
                    pages.extracting(start..<min(start + recording.subBufferBytes, pages.byteCount)), cpu: 0,
                    into: &batch, anomalies: &anomalies)
            }
            return batch.headers.count
        }
        var runs: [Double] = []
        for _ in 0..<9 {
            var events = 0
            var nanoseconds: UInt64 = 0
            let piece = max(cachedBytes, recording.subBufferBytes)
            for (_, bytes) in recording.pages {
                for start in stride(from: 0, to: bytes.count, by: piece) {
                    let pages = bytes.span.bytes.extracting(start..<min(start + piece, bytes.count))
                    _ = decode(pages)
                    let before = Clock.threadCPUNanoseconds()
                    events += decode(pages)
                    nanoseconds += Clock.threadCPUNanoseconds() - before
                }
            }
            runs.append(Double(nanoseconds) / Double(max(events, 1)))
        }
        return Measurement(nanosecondsPerEvent: runs)
    }

    private static func count(_ recording: Recording) -> Int {
        var events: UInt64 = 0
        for (_, bytes) in recording.pages {
            for start in stride(from: 0, to: bytes.count, by: recording.subBufferBytes) {
                let page = bytes.span.bytes.extracting(start..<min(start + recording.subBufferBytes, bytes.count))
                events +=
                    SubBufferDecoder.countEvents(
                        in: page, longSize: recording.formats.longSize, byteOrder: recording.formats.byteOrder
                    ).events
            }
        }
        return Int(events)
    }
}
