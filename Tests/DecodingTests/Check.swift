import Decoding
import Testing
import TraceModel

/// One decoded event, as a test states it.
struct Event: Equatable {
    var ticks: UInt64
    var pid: Int32
    var type: Int
    var record: [UInt8]
}

/// What came out of a run of the decoder, in a form that failures show well.
struct Decoded: Equatable {
    var events: [Event] = []
    var losses: [LossMark] = []
    var anomalies: [Anomaly: UInt64] = [:]

    init() {}

    init(_ batch: EventBatch, _ counts: AnomalyCounts) {
        events = batch.headers.map { header in
            let start = Int(header.offset)
            return Event(
                ticks: header.ticks.rawValue, pid: header.pid, type: Int(header.typeIndex),
                record: [UInt8](batch.records[start..<start + Int(header.length)]))
        }
        losses = batch.losses
        for (anomaly, count) in counts.nonZero { anomalies[anomaly] = count }
    }
}

/// Event 5 is `small` (nothing but the common bytes), 9 is `large` (a `u64` at 8); they have the type indexes 0 and 1.
func formats(_ order: ByteOrder = .little, longSize: Int = 8) -> FormatTable {
    let value = EventField(name: "value", type: "u64", offset: 8, size: 8, isSigned: false, kind: .integer)
    return FormatTable(
        byteOrder: order, longSize: longSize,
        formats: [
            EventFormat(kernelID: 5, system: "test", name: "small", fields: [], text: ""),
            EventFormat(kernelID: 9, system: "test", name: "large", fields: [value], text: ""),
        ])
}

func decode(_ pages: [[UInt8]], _ table: FormatTable = formats()) -> Decoded {
    var decoder = SubBufferDecoder(formats: table)
    var batch = EventBatch(cpu: 0)
    var anomalies = AnomalyCounts()
    for page in pages { decoder.decode(page.span.bytes, cpu: 0, into: &batch, anomalies: &anomalies) }
    return Decoded(batch, anomalies)
}

/// Decodes `pages` and compares everything; also that counting agrees with decoding when nothing was wrong.
func check(
    _ pages: [[UInt8]], _ table: FormatTable = formats(), events: [Event], losses: [LossMark] = [],
    anomalies: [Anomaly: UInt64] = [:], sourceLocation: SourceLocation = #_sourceLocation
) {
    let decoded = decode(pages, table)
    #expect(decoded.events == events, sourceLocation: sourceLocation)
    #expect(decoded.losses == losses, sourceLocation: sourceLocation)
    #expect(decoded.anomalies == anomalies, sourceLocation: sourceLocation)
    guard anomalies.isEmpty else { return }
    let counted = pages.reduce(0) {
        $0
            + SubBufferDecoder.countEvents(
                in: $1.span.bytes, longSize: table.longSize, byteOrder: table.byteOrder
            ).events
    }
    #expect(counted == UInt64(events.count), sourceLocation: sourceLocation)
}
