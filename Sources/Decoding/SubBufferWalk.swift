import TraceModel

/// Steps from one data record to the next through the data of a sub-buffer, and keeps the running time.
///
/// Each item starts with 32 bits: five of `type_len` and 27 of `time_delta`, allocated from the low end on little-endian
/// kernels and from the high end on big-endian ones (include/linux/ring_buffer.h, `struct ring_buffer_event`; published
/// in tracefs as `events/header_event`). The walk holds positions only; the sub-buffer is passed to each step, so that
/// one walk serves decoding and counting and needs no lifetime annotation.
struct SubBufferWalk<Order: WordOrder> {
    /// Where one record lies in the sub-buffer; always inside of it.
    struct Record {
        let start: Int
        let length: Int
    }

    /// The time of the record that `next` returned last, as the kernel wrote it.
    private(set) var ticks: UInt64
    /// Why the walk ended before the end of the data.
    private(set) var fault: Anomaly?

    private var position: Int
    private let end: Int

    private static var deltaBits: UInt64 { 27 }
    private static var deltaMask: UInt32 { (1 << 27) - 1 }

    init(_ header: SubBufferHeader) {
        ticks = header.ticks
        position = header.data.lowerBound
        end = header.data.upperBound
    }

    /// The next data record, or nil at the end of the data and at the first item that makes no sense.
    @inline(__always)
    mutating func next(in page: borrowing RawSpan) -> Record? {
        while end &- position >= 4 {
            let word = page.word32(at: position, Order.self)
            let typeLength = Order.isBigEndian ? word >> 27 : word & 31
            let delta = UInt64(Order.isBigEndian ? word & Self.deltaMask : word >> 5)
            if typeLength &- 1 < 28 {
                let start = position &+ 4
                let length = Int(typeLength) &* 4
                guard end &- start >= length else { return stop(.recordPastEnd) }
                ticks &+= delta
                position = start &+ length
                return Record(start: start, length: length)
            }
            if typeLength == 0 { return longRecord(delta: delta, in: page) }
            guard pass(typeLength, delta: delta, in: page) else { return nil }
        }
        return position == end ? nil : stop(.recordPastEnd)
    }

    /// A record whose length did not fit into `type_len`: it stands in the next 32 bits, and counts them.
    private mutating func longRecord(delta: UInt64, in page: borrowing RawSpan) -> Record? {
        guard end - position >= 8 else { return stop(.recordPastEnd) }
        let stored = Int(page.word32(at: position + 4, Order.self))
        guard stored > 4 else { return stop(.recordEmpty) }
        let occupied = 4 + (stored + 3) & ~3
        guard end - position >= occupied else { return stop(.recordPastEnd) }
        let record = Record(start: position + 8, length: stored - 4)
        ticks &+= delta
        position += occupied
        return record
    }

    /// Passes an item that is no record. False when the walk ends with it.
    private mutating func pass(_ typeLength: UInt32, delta: UInt64, in page: borrowing RawSpan) -> Bool {
        // RINGBUF_TYPE_PADDING without a delta: whatever follows was never written.
        if typeLength == 29, delta == 0 {
            position = end
            return false
        }
        guard end - position >= 8 else { return stop(.recordPastEnd) != nil }
        let argument = UInt64(page.word32(at: position + 4, Order.self))
        switch typeLength {
        case 29:
            // The rest of a full sub-buffer, or an event that was discarded after it had been written. The time between
            // belongs to the next record in both cases.
            guard UInt64(end - position - 4) >= argument else { return stop(.recordPastEnd) != nil }
            ticks &+= delta
            position += 4 + Int(argument)
        case 30:
            ticks &+= argument << Self.deltaBits &+ delta
            position += 8
        default:
            ticks = AbsoluteStamp.ticks(argument << Self.deltaBits &+ delta, after: ticks)
            position += 8
        }
        return true
    }

    private mutating func stop(_ anomaly: Anomaly) -> Record? {
        fault = anomaly
        return nil
    }
}

/// The full time of an absolute stamp (`RINGBUF_TYPE_TIME_STAMP`), which holds the low 59 bits of it only.
enum AbsoluteStamp {
    private static let range: UInt64 = 1 << 59

    /// Of all times with these low bits, the one nearest to the time before.
    ///
    /// The kernel (`rb_fix_abs_ts`) takes any step back as a wrap of the 59 bits. Then the clock `tai`, whose stamps have
    /// more than 59 bits since 1988 and which is set back at times, would jump 18 years ahead; so a wrap must go over
    /// half of the range here.
    static func ticks(_ stamp: UInt64, after previous: UInt64) -> UInt64 {
        let low = stamp & (range - 1)
        let before = previous & (range - 1)
        let same = previous - before + low
        if low < before { return before - low > range / 2 ? same &+ range : same }
        return low - before > range / 2 && same >= range ? same - range : same
    }
}
