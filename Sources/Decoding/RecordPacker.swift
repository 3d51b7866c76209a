import TraceModel

/// What the hot loop needs of each format, by the kernel's event id.
struct RecordKinds: Sendable {
    struct Kind {
        /// Larger than any record when the id has no format: one comparison finds short and unknown records.
        var minimumLength: UInt32
        var typeIndex: UInt16

        static let unknown = Kind(minimumLength: .max, typeIndex: 0)
    }

    /// As long as the largest id asks for: 19 KiB with every event of Linux 6.18, not 512 KiB for every possible one.
    private let kinds: [Kind]

    init(_ table: FormatTable) {
        var kinds = [Kind](repeating: .unknown, count: table.formats.reduce(0) { max($0, Int($1.kernelID) + 1) })
        for (index, format) in table.formats.enumerated() {
            kinds[Int(format.kernelID)] = Kind(
                minimumLength: UInt32(clamping: format.minimumLength), typeIndex: UInt16(truncatingIfNeeded: index))
        }
        self.kinds = kinds
    }

    @inline(__always)
    subscript(id: UInt16) -> Kind { Int(id) < kinds.count ? kinds[Int(id)] : .unknown }
}

/// Copies the records of one sub-buffer into a batch: the hot loop of the whole product.
///
/// What is rare is only noted here and told by the decoder afterwards, so that the loop stays in registers.
struct RecordPacker<Order: WordOrder> {
    private var walk: SubBufferWalk<Order>
    private let dataBytes: Int
    /// Time of the CPU's last event, before and after.
    private(set) var lastTicks: UInt64
    /// Events that lay before the one before them.
    private(set) var stepsBack: UInt64 = 0
    /// Events whose type no format describes.
    private(set) var unknownTypes: UInt64 = 0
    /// For each record that was too short for its format, the index of the event that follows it.
    private(set) var droppedBefore: [Int] = []

    /// Why the walk ended before the end of the data.
    var fault: Anomaly? { walk.fault }

    /// `type`, `flags`, `preempt_count` and `pid`: the fields that every record starts with.
    private static var commonBytes: Int { 8 }
    /// Records are copied in pieces of this size, past their end, where there is room: nearly all fit into one, and a
    /// `memcpy` for each costs 1 ns more (7.4 against 6.4, measured).
    private static var copyBytes: Int { 64 }

    init(_ header: SubBufferHeader, lastTicks: UInt64) {
        walk = SubBufferWalk(header)
        dataBytes = header.data.count
        self.lastTicks = lastTicks
    }

    /// Appends every sound record of `page` to `records`, and its header to `headers`.
    mutating func pack(
        _ page: borrowing RawSpan, _ kinds: RecordKinds, headers: inout [EventHeader], records: inout [UInt8]
    ) {
        // The spans below are the free ends of the arrays, and count from 0.
        let firstIndex = headers.count
        let firstOffset = records.count
        // Each record costs four bytes of its own besides the common ones, so that neither capacity can be exceeded.
        headers.append(addingCapacity: dataBytes / (4 + Self.commonBytes)) { headers in
            records.append(addingCapacity: dataBytes + Self.copyBytes) { records in
                unsafe records.withUnsafeMutableBufferPointer { buffer, used in
                    guard let base = UnsafeMutableRawPointer(buffer.baseAddress) else { return }
                    used = unsafe pack(
                        page, kinds, headers: &headers, firstIndex: firstIndex, to: base, firstOffset: firstOffset)
                }
            }
        }
    }

    /// Gives the bytes used at `base`.
    @inline(__always)
    private mutating func pack(
        _ page: borrowing RawSpan, _ kinds: RecordKinds, headers: inout OutputSpan<EventHeader>, firstIndex: Int,
        to base: UnsafeMutableRawPointer, firstOffset: Int
    ) -> Int {
        // Locals instead of properties: the compiler keeps them in registers.
        var walk = self.walk
        var last = lastTicks
        var end = 0
        while let record = walk.next(in: page) {
            guard record.length >= Self.commonBytes else {
                noteShort(before: firstIndex &+ headers.count)
                continue
            }
            let common = unsafe page.unsafeLoadUnaligned(fromByteOffset: record.start, as: UInt64.self).littleEndian
            let kind = kinds[Order.word16(UInt16(truncatingIfNeeded: common).littleEndian)]
            guard record.length >= Int(kind.minimumLength) else {
                if kind.minimumLength == .max {
                    unknownTypes &+= 1
                } else {
                    noteShort(before: firstIndex &+ headers.count)
                }
                continue
            }
            if walk.ticks < last { stepsBack &+= 1 } else { last = walk.ticks }
            headers.append(
                EventHeader(
                    ticks: TraceTicks(last), offset: UInt32(truncatingIfNeeded: firstOffset &+ end),
                    length: UInt32(truncatingIfNeeded: record.length),
                    pid: Int32(bitPattern: Order.word32(UInt32(truncatingIfNeeded: common >> 32).littleEndian)),
                    typeIndex: kind.typeIndex, flags: UInt8(truncatingIfNeeded: common >> 16),
                    preemptCount: UInt8(truncatingIfNeeded: common >> 24)))
            unsafe Self.copy(record, of: page, to: base + end)
            end &+= record.length
        }
        self.walk = walk
        lastTicks = last
        return end
    }

    /// Copies a record, and perhaps up to 63 bytes of what follows it in the sub-buffer, which the next record overwrites.
    @inline(__always)
    private static func copy(
        _ record: SubBufferWalk<Order>.Record, of page: borrowing RawSpan, to target: UnsafeMutableRawPointer
    ) {
        var done = 0
        while done < record.length, page.byteCount &- record.start &- done >= copyBytes {
            let piece = unsafe page.unsafeLoadUnaligned(
                fromUncheckedByteOffset: record.start &+ done, as: SIMD8<UInt64>.self)
            unsafe target.storeBytes(of: piece, toByteOffset: done, as: SIMD8<UInt64>.self)
            done &+= copyBytes
        }
        if done < record.length {
            let rest = page.extracting(record.start &+ done..<record.start &+ record.length)
            unsafe rest.withUnsafeBytes {
                unsafe UnsafeMutableRawBufferPointer(start: target + done, count: $0.count).copyMemory(from: $0)
            }
        }
    }

    @inline(never)
    private mutating func noteShort(before index: Int) { droppedBefore.append(index) }
}
