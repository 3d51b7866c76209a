package import TraceModel

/// Turns ring-buffer sub-buffers of one source into batches of events.
///
/// A sub-buffer stands alone: it starts with its own time, and what is wrong in it ends with it. Between sub-buffers only
/// the last time of each CPU is kept, so that the events of a CPU are always in order. Records are copied as they are and
/// packed one after another; nothing of a record but its eight common bytes is looked at, because views and analysis
/// read each field where it lies.
package struct SubBufferDecoder: Sendable {
    private let byteOrder: ByteOrder
    private let longSize: Int
    private let kinds: RecordKinds
    /// By CPU: the time of its last event.
    private var lastTicks: [UInt64] = []

    package init(formats: FormatTable) {
        byteOrder = formats.byteOrder
        longSize = formats.longSize
        kinds = RecordKinds(formats)
    }

    /// Appends the events of one sub-buffer to `batch`, with a mark wherever some are missing.
    ///
    /// An event that lies before the one before it, on the same CPU, is moved up to it. A record that is shorter than its
    /// format is dropped and marked as lost, because state that is built on its like is no longer sure. After the first
    /// item that makes no sense the rest of the sub-buffer is given up: there is no way to find the next one.
    ///
    /// The caller empties `batch` before it holds 4 GiB; `Limits.batchRecordBytes` is far below.
    package mutating func decode(
        _ page: RawSpan, cpu: Int, into batch: inout EventBatch, anomalies: inout AnomalyCounts
    ) {
        precondition(
            batch.records.count + page.byteCount <= UInt32.max, "this batch was never emptied: its offsets have 32 bits"
        )
        if byteOrder == .native {
            decode(page, NativeOrder.self, cpu: cpu, into: &batch, anomalies: &anomalies)
        } else {
            decode(page, SwappedOrder.self, cpu: cpu, into: &batch, anomalies: &anomalies)
        }
    }

    private mutating func decode<Order: WordOrder>(
        _ page: RawSpan, _ order: Order.Type, cpu: Int, into batch: inout EventBatch, anomalies: inout AnomalyCounts
    ) {
        guard let header = SubBufferHeader(page, longSize: longSize, order) else {
            anomalies.add(.subBufferTooShort)
            batch.losses.mark(.malformed, count: nil, at: batch.headers.count)
            return
        }
        if header.hasLoss { batch.losses.mark(.ringBuffer, count: header.lost, at: batch.headers.count) }

        let isKnownCPU = cpu >= 0 && cpu < Limits.cpus
        if isKnownCPU, cpu >= lastTicks.count {
            lastTicks.append(contentsOf: repeatElement(0, count: cpu + 1 - lastTicks.count))
        }
        var packer = RecordPacker<Order>(header, lastTicks: isKnownCPU ? lastTicks[cpu] : 0)
        packer.pack(page, kinds, headers: &batch.headers, records: &batch.records)
        if isKnownCPU { lastTicks[cpu] = packer.lastTicks }

        for index in packer.droppedBefore { batch.losses.mark(.malformed, count: 1, at: index) }
        anomalies.add(.recordShorterThanFormat, UInt64(packer.droppedBefore.count))
        anomalies.add(.unknownEventType, packer.unknownTypes)
        anomalies.add(.timeWentBack, packer.stepsBack)
        // A commit past the end cuts a record in two as a rule: one cause, one anomaly.
        if let fault = header.isCommitPastEnd ? .subBufferCommitPastEnd : packer.fault {
            anomalies.add(fault)
            batch.losses.mark(.malformed, count: nil, at: batch.headers.count)
        }
    }

    /// What is lost when a whole sub-buffer is shed undecoded: its own events, and those that were lost before it.
    ///
    /// `lost` is nil when their number is not known; a sub-buffer that cannot be walked to its end counts as such.
    package static func countEvents(
        in page: RawSpan, longSize: Int, byteOrder: ByteOrder
    ) -> (events: UInt64, lost: UInt64?, hasLoss: Bool) {
        byteOrder == .native
            ? countEvents(in: page, longSize: longSize, NativeOrder.self)
            : countEvents(in: page, longSize: longSize, SwappedOrder.self)
    }

    private static func countEvents<Order: WordOrder>(
        in page: RawSpan, longSize: Int, _ order: Order.Type
    ) -> (events: UInt64, lost: UInt64?, hasLoss: Bool) {
        guard let header = SubBufferHeader(page, longSize: longSize, order) else { return (0, nil, true) }
        var walk = SubBufferWalk<Order>(header)
        var events: UInt64 = 0
        while walk.next(in: page) != nil { events &+= 1 }
        if header.isCommitPastEnd || walk.fault != nil { return (events, nil, true) }
        return (events, header.lost, header.hasLoss)
    }
}

extension [LossMark] {
    /// Marks of one place at one index whose numbers are known become one, so that a sub-buffer full of bad records
    /// gives no more marks than events.
    fileprivate mutating func mark(_ place: LossMark.Place, count: UInt64?, at index: Int) {
        if let last, last.index == index, last.place == place, let known = last.count, let count {
            let (sum, overflow) = known.addingReportingOverflow(count)
            self[endIndex - 1].count = overflow ? .max : sum
        } else {
            append(LossMark(index: index, place: place, count: count))
        }
    }
}
