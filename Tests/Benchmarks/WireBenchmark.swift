import Decoding
import RecordingSupport
import TraceModel
import Wire

/// `tandem-bench wire`: batches to frames and back, in bytes and nanoseconds an event.
///
/// Batches of 256 events, about what a round of a busy guest holds: names and predictions start anew in each, so that
/// larger batches look better than life.
enum WireBenchmark {
    private static let eventsPerBatch = 256

    static func run(_ input: borrowing BenchmarkInput) throws {
        let recording = input.recording
        var batches: [EventBatch] = []
        var anomalies = AnomalyCounts()
        recording.decode(anomalies: &anomalies) { batches += split($0) }
        let events = batches.reduce(0) { $0 + $1.headers.count }
        let raw = recording.pages.reduce(0) { $0 + $1.bytes.count }

        var encoder = BatchEncoder(formats: recording.formats)
        let bodies = batches.map { encoder.encode($0) }
        let wire = bodies.reduce(0) { $0 + $1.count + Frame.headerBytes }
        let perEvent = Double(max(events, 1))
        print(
            "\(events) events in \(batches.count) batches: \(tenths(Double(raw) / perEvent)) bytes an event in the ring",
            "buffer, \(tenths(Double(wire) / perEvent)) on the wire, ratio 1/\(tenths(Double(raw) / Double(max(wire, 1))))"
        )

        Measurement {
            for batch in batches { _ = encoder.encode(batch) }
            return events
        }.show("encode")
        var decoder = BatchDecoder(formats: recording.formats)
        Measurement {
            var decoded = 0
            for body in bodies { decoded += (try? decoder.decode(body))?.headers.count ?? 0 }
            return decoded
        }.show("decode")
    }

    private static func split(_ batch: EventBatch) -> [EventBatch] {
        stride(from: 0, to: batch.headers.count, by: eventsPerBatch).map { start in
            let headers = batch.headers[start..<min(start + eventsPerBatch, batch.headers.count)]
            var part = EventBatch(cpu: batch.cpu)
            for var header in headers {
                let record = batch.records[Int(header.offset)..<Int(header.offset + header.length)]
                header.offset = UInt32(part.records.count)
                part.headers.append(header)
                part.records += record
            }
            return part
        }
    }
}
