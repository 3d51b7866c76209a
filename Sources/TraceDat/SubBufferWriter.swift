package import TraceModel

/// Rebuilds ring-buffer sub-buffers of one CPU from batches: the mirror of `SubBufferDecoder`.
///
/// Layout (kernel/trace/ring_buffer.c; include/linux/ring_buffer.h, `struct ring_buffer_event`): a 64-bit time and a long
/// called commit, then for each record 32 bits of length and time difference, and the record's own bytes. A difference of
/// more than 27 bits stands in an item of its own before the record. Records go in byte for byte; which sub-buffer each
/// lay in is not kept in a batch, so that they are packed anew.
package struct SubBufferWriter {
    private let subBufferBytes: Int
    private let longSize: Int
    private let order: ByteOrder
    /// The sub-buffer under way, header included; empty before the first event.
    private var page: ByteBuilder
    private var startTicks: UInt64 = 0
    private var lastTicks: UInt64 = 0
    /// Losses that go into the header of the next sub-buffer.
    private var loss: (isLost: Bool, count: UInt64?) = (false, nil)
    /// Those of the one under way.
    private var pageLoss: (isLost: Bool, count: UInt64?) = (false, nil)
    /// Records that fit into no sub-buffer, which nothing that a kernel wrote can be.
    package private(set) var refused: UInt64 = 0

    private static let deltaBits: UInt64 = 27
    private static let missed: UInt64 = 1 << 31
    private static let missedCountStored: UInt64 = 1 << 30

    package init(subBufferBytes: Int, longSize: Int, byteOrder: ByteOrder) {
        self.subBufferBytes = subBufferBytes
        self.longSize = longSize
        order = byteOrder
        page = ByteBuilder(order: byteOrder)
    }

    private var headerBytes: Int { 8 + longSize }

    /// Appends the batch's events, and every sub-buffer that gets full to `output`.
    package mutating func append(_ batch: EventBatch, to output: inout [UInt8]) {
        var nextLoss = 0
        for (index, header) in batch.headers.enumerated() {
            while nextLoss < batch.losses.count, batch.losses[nextLoss].index <= index {
                note(batch.losses[nextLoss], to: &output)
                nextLoss += 1
            }
            append(header, of: batch.records, to: &output)
        }
        for loss in batch.losses[nextLoss...] { note(loss, to: &output) }
    }

    /// The last sub-buffer. Losses behind the last event are told by one without events.
    package mutating func finish(to output: inout [UInt8]) {
        close(to: &output)
        guard loss.isLost else { return }
        open(at: lastTicks)
        close(to: &output)
    }

    /// Lost events are told at the start of a sub-buffer only.
    private mutating func note(_ mark: LossMark, to output: inout [UInt8]) {
        close(to: &output)
        if loss.isLost {
            loss.count = loss.count.flatMap { known in mark.count.map { known &+ $0 } }
        } else {
            loss = (true, mark.count)
        }
    }

    private mutating func append(_ header: EventHeader, of records: [UInt8], to output: inout [UInt8]) {
        let length = Int(header.length)
        let ticks = header.ticks.rawValue
        // The first word; the length where it does not fit into five bits; the record, rounded up.
        let isShort = length % 4 == 0 && length <= 112 && length > 0
        let size = 4 + (isShort ? 0 : 4) + (length + 3) / 4 * 4
        guard size + 8 <= subBufferBytes - headerBytes - longSize else {
            refused += 1
            return
        }
        var delta = page.bytes.isEmpty ? 0 : ticks &- lastTicks
        let extends = delta >> Self.deltaBits != 0
        // 32 more bits are what an extension has.
        if !page.bytes.isEmpty, delta >> 59 != 0 || page.bytes.count + size + (extends ? 8 : 0) > end {
            close(to: &output)
            delta = 0
        }
        if page.bytes.isEmpty { open(at: ticks) }
        if delta >> Self.deltaBits != 0 {
            item(30, delta & (1 << Self.deltaBits - 1))
            page.put(UInt32(truncatingIfNeeded: delta >> Self.deltaBits))
            delta = 0
        }
        item(isShort ? UInt32(length / 4) : 0, delta)
        if !isShort { page.put(UInt32(length + 4)) }
        let start = Int(header.offset)
        page.bytes.append(contentsOf: records[start..<start + length])
        page.pad(to: 4)
        lastTicks = ticks
    }

    /// Where the data end, with room for the number of lost events behind them.
    private var end: Int { subBufferBytes - (pageLoss.count == nil ? 0 : longSize) }

    private mutating func item(_ typeLength: UInt32, _ delta: UInt64) {
        let delta = UInt32(truncatingIfNeeded: delta)
        page.put(order == .big ? typeLength << 27 | delta : delta << 5 | typeLength)
    }

    private mutating func open(at ticks: UInt64) {
        pageLoss = loss
        loss = (false, nil)
        page.put(ticks)
        page.put(zeros: longSize)
        startTicks = ticks
        lastTicks = ticks
    }

    private mutating func close(to output: inout [UInt8]) {
        guard !page.bytes.isEmpty else { return }
        var commit = UInt64(page.bytes.count - headerBytes)
        if pageLoss.isLost {
            commit |= Self.missed
            if let count = pageLoss.count {
                commit |= Self.missedCountStored
                page.put(long: count, size: longSize)
            }
        }
        page.pad(to: subBufferBytes)
        page.replace(long: commit, size: longSize, at: 8)
        output += page.bytes
        page.removeAll()
        pageLoss = (false, nil)
    }
}
