import Decoding
package import TraceModel

/// The events of one buffer of a file as batches, of all CPUs nearly in time.
///
/// Always the CPU whose next sub-buffer begins earliest goes on, so that little has to wait for a merge. That time is also
/// the watermark: no CPU has anything earlier left.
package struct TraceDatEvents {
    /// A CPU's turn ends with the batch that passes one of these: larger batches take fewer bytes on disk, smaller ones wait
    /// for less.
    private static let turnRecordBytes = 64 << 10
    private static let turnEvents = 4096
    private static let turnLosses = 256

    private var cpus: [SubBufferReader] = []
    /// The time of each CPU's next sub-buffer.
    private var next: [UInt64?] = []
    private var decoder: SubBufferDecoder
    package private(set) var anomalies = AnomalyCounts()
    /// No event that is still to come lies before this; nil when there are none.
    package private(set) var watermark: TraceTicks?

    package init(
        _ file: TraceDatFile, buffer: TraceDatFile.Buffer, in bytes: RawSpan, decompress: TraceDatDecompressor
    ) throws(TraceDatError) {
        decoder = SubBufferDecoder(formats: file.formats)
        for cpu in buffer.cpus {
            cpus.append(try SubBufferReader(cpu, subBufferBytes: buffer.subBufferBytes, of: file, in: bytes))
        }
        next = [UInt64?](repeating: nil, count: cpus.count)
        for index in cpus.indices { next[index] = try cpus[index].advance(in: bytes, decompress) }
        watermark = earliest.map { TraceTicks($0.ticks) }
    }

    /// Appends events of one CPU to the empty `batch`; false when there are no more.
    package mutating func read(
        in bytes: RawSpan, into batch: inout EventBatch, decompress: TraceDatDecompressor
    ) throws(TraceDatError) -> Bool {
        guard let turn = earliest?.index else { return false }
        let cpu = cpus[turn].cpu
        batch.removeAll(cpu: cpu)
        repeat {
            cpus[turn].take(in: bytes) { decoder.decode($0, cpu: cpu, into: &batch, anomalies: &anomalies) }
            next[turn] = try cpus[turn].advance(in: bytes, decompress)
        } while next[turn] != nil && batch.headers.count < Self.turnEvents
            && batch.records.count < Self.turnRecordBytes && batch.losses.count < Self.turnLosses
        // Never back: a damaged sub-buffer may say any time, and its events are moved up to those before.
        watermark = earliest.map { max(watermark ?? TraceTicks(0), TraceTicks($0.ticks)) }
        return true
    }

    private var earliest: (index: Int, ticks: UInt64)? {
        var best: (index: Int, ticks: UInt64)?
        for (index, ticks) in next.enumerated() {
            if let ticks, ticks < best?.ticks ?? .max || best == nil { best = (index, ticks) }
        }
        return best
    }
}
