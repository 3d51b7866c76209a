/// Events of one CPU of one source, in the order the kernel wrote them: what every door of the house takes.
///
/// Records keep the layout that the source's kernel gave them, packed one after another in one buffer; `headers` is the
/// index into it. Nothing is boxed and nothing is decoded twice: a field is read where it lies, through an
/// `IntegerField` bound once per session.
package struct EventBatch: Hashable, Sendable, Codable {
    package var cpu: Int
    package var headers: [EventHeader]
    package var records: [UInt8]
    /// Gaps, in ascending order of `index`. Each lies between event `index - 1` of this CPU (perhaps in an earlier
    /// batch) and event `index`.
    package var losses: [LossMark]

    package init(cpu: Int) {
        self.cpu = cpu
        headers = []
        records = []
        losses = []
    }

    package var isEmpty: Bool { headers.isEmpty && losses.isEmpty }

    /// Empties the batch and keeps its storage, so that a steady state allocates nothing.
    package mutating func removeAll(cpu: Int) {
        self.cpu = cpu
        headers.removeAll(keepingCapacity: true)
        records.removeAll(keepingCapacity: true)
        losses.removeAll(keepingCapacity: true)
    }
}

/// Where one event lies in its batch, and the common part of every ftrace record.
package struct EventHeader: Hashable, Sendable {
    package var ticks: TraceTicks
    /// Start of the record in `EventBatch.records`; `offset + length` never passes the end of it.
    package var offset: UInt32
    /// Bytes of the record, the eight common ones included; at least 8.
    package var length: UInt32
    /// `common_pid`: the thread that was current when the event fired.
    package var pid: Int32
    /// Index in the source's `FormatTable`.
    package var typeIndex: UInt16
    /// `common_flags` (include/linux/trace_events.h, `trace_flag_type`).
    package var flags: UInt8
    package var preemptCount: UInt8

    @inlinable
    package init(
        ticks: TraceTicks, offset: UInt32, length: UInt32, pid: Int32, typeIndex: UInt16, flags: UInt8,
        preemptCount: UInt8
    ) {
        self.ticks = ticks
        self.offset = offset
        self.length = length
        self.pid = pid
        self.typeIndex = typeIndex
        self.flags = flags
        self.preemptCount = preemptCount
    }
}

/// Events that existed and never arrived.
package struct LossMark: Hashable, Sendable, Codable {
    package enum Place: UInt8, Hashable, Sendable, CaseIterable, Codable {
        /// Overwritten in the kernel's ring buffer before they were read.
        case ringBuffer = 0
        /// Dropped by the agent, before encoding, because the collector was too slow.
        case agent = 1
        /// The end of a sub-buffer that could not be decoded.
        case malformed = 2
    }

    /// The event in this batch before which the gap lies; `headers.count` when it lies after the last.
    package var index: Int
    package var place: Place
    /// Exact number, or nil when the kernel says only that there was a loss.
    package var count: UInt64?

    package init(index: Int, place: Place, count: UInt64?) {
        self.index = index
        self.place = place
        self.count = count
    }
}

/// How a batch that waits for the merge is written into a checkpoint: headers as three words each. What is read back keeps the
/// rules of batches, because others rely on them without looking.
extension EventBatch {
    private enum Key: CodingKey { case cpu, headers, records, losses }

    package func encode(to encoder: any Encoder) throws {
        var fields = encoder.container(keyedBy: Key.self)
        try fields.encode(cpu, forKey: .cpu)
        try fields.encode(headers.flatMap(\.words), forKey: .headers)
        try fields.encode(records, forKey: .records)
        try fields.encode(losses, forKey: .losses)
    }

    package init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: Key.self)
        self.init(cpu: try fields.decode(Int.self, forKey: .cpu))
        let words = try fields.decode([UInt64].self, forKey: .headers)
        records = try fields.decode([UInt8].self, forKey: .records)
        losses = try fields.decode([LossMark].self, forKey: .losses)
        headers = stride(from: 0, to: words.count - words.count % 3, by: 3).map {
            EventHeader(words[$0], words[$0 + 1], words[$0 + 2])
        }
        let isSound =
            words.count % 3 == 0
            && headers.allSatisfy { $0.length >= 8 && Int($0.offset) + Int($0.length) <= records.count }
            && losses.allSatisfy { (0...headers.count).contains($0.index) }
        guard isSound else {
            throw DecodingError.dataCorruptedError(
                forKey: .headers, in: fields, debugDescription: "a batch breaks the rules of batches")
        }
    }
}

extension EventHeader {
    fileprivate var words: [UInt64] {
        [
            ticks.rawValue, UInt64(offset) | UInt64(length) << 32,
            UInt64(UInt32(bitPattern: pid)) | UInt64(typeIndex) << 32 | UInt64(flags) << 48
                | UInt64(preemptCount) << 56,
        ]
    }

    fileprivate init(_ ticks: UInt64, _ place: UInt64, _ rest: UInt64) {
        self.init(
            ticks: TraceTicks(ticks), offset: UInt32(truncatingIfNeeded: place),
            length: UInt32(truncatingIfNeeded: place >> 32), pid: Int32(truncatingIfNeeded: rest),
            typeIndex: UInt16(truncatingIfNeeded: rest >> 32), flags: UInt8(truncatingIfNeeded: rest >> 48),
            preemptCount: UInt8(truncatingIfNeeded: rest >> 56))
    }
}
