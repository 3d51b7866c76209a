import Decoding
package import TraceModel

/// The events of a file's buffers as batches, of all CPUs nearly in time.
///
/// Always the CPU whose next sub-buffer begins earliest goes on, so that little has to wait for a merge. That time is also
/// the watermark: no CPU has anything earlier left. Several buffers are several recordings of the same CPUs; the events of
/// one CPU are merged here, because whoever takes them expects each CPU in order.
package struct TraceDatEvents {
    /// A CPU's turn ends with the batch that passes one of these: larger batches take fewer bytes on disk, smaller ones wait
    /// for less.
    static let turnRecordBytes = 64 << 10
    static let turnEvents = 4096
    static let turnLosses = 256

    private var lanes: [EventLane] = []
    package private(set) var anomalies = AnomalyCounts()
    /// No event that is still to come lies before this; nil when there are none.
    package private(set) var watermark: TraceTicks?

    /// `buffers` are some of the file's, and stamped by one clock.
    package init(
        _ file: TraceDatFile, buffers: [TraceDatFile.Buffer], in bytes: RawSpan, decompress: TraceDatDecompressor
    ) throws(TraceDatError) {
        let decoder = SubBufferDecoder(formats: file.formats)
        for buffer in buffers {
            for data in buffer.cpus {
                let reader = try SubBufferReader(data, subBufferBytes: buffer.subBufferBytes, of: file, in: bytes)
                let stream = try EventStream(reader, decoder, in: bytes, decompress)
                if let lane = lanes.firstIndex(where: { $0.cpu == data.cpu }) {
                    lanes[lane].streams.append(stream)
                } else {
                    lanes.append(EventLane(cpu: data.cpu, streams: [stream]))
                }
            }
        }
        watermark = earliest.map { TraceTicks($0.ticks) }
    }

    /// Puts the next events of one CPU into `batch`, which is emptied before; false when there are no more.
    package mutating func read(
        in bytes: RawSpan, into batch: inout EventBatch, decompress: TraceDatDecompressor
    ) throws(TraceDatError) -> Bool {
        guard let turn = earliest?.lane else { return false }
        batch.removeAll(cpu: lanes[turn].cpu)
        try lanes[turn].read(in: bytes, into: &batch, &anomalies, decompress)
        // Never back: a damaged sub-buffer may say any time, and its events are moved up to those before.
        watermark = earliest.map { max(watermark ?? TraceTicks(0), TraceTicks($0.ticks)) }
        return true
    }

    /// Bytes of the file that have been read.
    package var bytesRead: Int { lanes.reduce(0) { $0 + $1.bytesRead } }

    private var earliest: (lane: Int, ticks: UInt64)? {
        var best: (lane: Int, ticks: UInt64)?
        for (lane, candidate) in lanes.enumerated() {
            guard let ticks = candidate.next else { continue }
            if let known = best, known.ticks <= ticks { continue }
            best = (lane, ticks)
        }
        return best
    }
}
