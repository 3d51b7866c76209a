import Decoding
import TraceModel

/// The events of one CPU in one buffer.
struct EventStream {
    private var reader: SubBufferReader
    private var decoder: SubBufferDecoder
    /// The time of the next sub-buffer.
    private var nextSubBuffer: UInt64?
    /// Decoded and not yet taken, where there are several streams to merge.
    private(set) var pending: EventBatch
    private var taken = 0
    private var takenLosses = 0

    init(
        _ reader: SubBufferReader, _ decoder: SubBufferDecoder, in bytes: RawSpan, _ decompress: TraceDatDecompressor
    ) throws(TraceDatError) {
        self.reader = reader
        self.decoder = decoder
        pending = EventBatch(cpu: reader.cpu)
        nextSubBuffer = try self.reader.advance(in: bytes, decompress)
    }

    /// The time of the next event, or the start of the sub-buffer that holds it.
    var next: UInt64? { head?.ticks.rawValue ?? nextSubBuffer }

    var head: EventHeader? { taken < pending.headers.count ? pending.headers[taken] : nil }

    var bytesRead: Int { reader.bytesRead }

    var hasMore: Bool { nextSubBuffer != nil }

    /// Appends the next sub-buffer's events.
    mutating func decode(
        in bytes: RawSpan, into batch: inout EventBatch, _ anomalies: inout AnomalyCounts,
        _ decompress: TraceDatDecompressor
    ) throws(TraceDatError) {
        reader.take(in: bytes) { decoder.decode($0, cpu: batch.cpu, into: &batch, anomalies: &anomalies) }
        nextSubBuffer = try reader.advance(in: bytes, decompress)
    }

    /// Decodes until there is a next event to compare with those of others; losses behind the last one stay in `pending`.
    mutating func fill(
        in bytes: RawSpan, _ anomalies: inout AnomalyCounts, _ decompress: TraceDatDecompressor
    ) throws(TraceDatError) {
        while head == nil, nextSubBuffer != nil {
            let losses = pending.losses[takenLosses...].map { LossMark(index: 0, place: $0.place, count: $0.count) }
            var batch = EventBatch(cpu: pending.cpu)
            swap(&batch, &pending)
            batch.removeAll(cpu: pending.cpu)
            batch.losses = losses.suffix(TraceDatEvents.turnLosses)
            (taken, takenLosses) = (0, 0)
            try decode(in: bytes, into: &batch, &anomalies, decompress)
            pending = batch
        }
    }

    /// Moves the next event, and the losses before it, to the end of `batch`; without an event, the losses only.
    mutating func move(to batch: inout EventBatch) {
        while takenLosses < pending.losses.count, pending.losses[takenLosses].index <= taken {
            var loss = pending.losses[takenLosses]
            loss.index = batch.headers.count
            batch.losses.append(loss)
            takenLosses += 1
        }
        guard var header = head else { return }
        let start = Int(header.offset)
        header.offset = UInt32(batch.records.count)
        batch.records.append(contentsOf: pending.records[start..<start + Int(header.length)])
        batch.headers.append(header)
        taken += 1
    }
}

/// The events of one CPU over all buffers, in order.
struct EventLane {
    let cpu: Int
    var streams: [EventStream]

    var next: UInt64? { streams.lazy.compactMap(\.next).min() }

    /// One turn.
    mutating func read(
        in bytes: RawSpan, into batch: inout EventBatch, _ anomalies: inout AnomalyCounts,
        _ decompress: TraceDatDecompressor
    ) throws(TraceDatError) {
        guard streams.count > 1 else {
            repeat {
                try streams[0].decode(in: bytes, into: &batch, &anomalies, decompress)
            } while streams[0].hasMore && hasRoom(batch)
            return
        }
        while hasRoom(batch) {
            for index in streams.indices { try streams[index].fill(in: bytes, &anomalies, decompress) }
            var first: (stream: Int, ticks: UInt64)?
            for (index, stream) in streams.enumerated() {
                guard let head = stream.head else { continue }
                if let known = first, known.ticks <= head.ticks.rawValue { continue }
                first = (index, head.ticks.rawValue)
            }
            guard let first else { break }
            streams[first.stream].move(to: &batch)
        }
        // Losses behind the last event of all.
        if next == nil { for index in streams.indices { streams[index].move(to: &batch) } }
    }

    var bytesRead: Int { streams.reduce(0) { $0 + $1.bytesRead } }

    private func hasRoom(_ batch: EventBatch) -> Bool {
        batch.headers.count < TraceDatEvents.turnEvents && batch.records.count < TraceDatEvents.turnRecordBytes
            && batch.losses.count < TraceDatEvents.turnLosses
    }
}
