import TraceModel

/// Events of one CPU on their way into one packet.
///
/// CTF 1.8 counts lost events per packet: those that a packet's header counts were lost between the end of the packet
/// before and its own end. So a packet ends where a loss is.
struct PacketBuffer {
    let cpu: Int
    private(set) var headers: [EventHeader] = []
    private(set) var records: [UInt8] = []
    /// Host time of each event.
    private(set) var times: [UInt64] = []
    /// Events lost before the first; nil where none were.
    var lost: UInt64?
    /// The largest bound on the error of these times.
    var boundNanoseconds: Int64 = 0

    init(cpu: Int) { self.cpu = cpu }

    /// Large enough that its header costs nothing; the sink keeps the packet that is being written in memory.
    static let events = 8192

    var isFull: Bool { times.count >= PacketBuffer.events || records.count >= Limits.batchRecordBytes }

    /// How many more events it takes.
    var room: Int { isFull ? 0 : PacketBuffer.events - times.count }

    /// Events of a batch, in one piece; a time that steps back becomes that of the event before.
    mutating func append(_ range: Range<Int>, of batch: EventBatch, at hostTimes: [HostTime]) {
        guard !range.isEmpty else { return }
        var low = UInt32.max
        var high: UInt32 = 0
        for header in batch.headers[range] {
            low = min(low, header.offset)
            high = max(high, header.offset + header.length)
        }
        let shift = records.count - Int(low)
        records.append(contentsOf: batch.records[Int(low)..<Int(high)])
        var last = times.last ?? 0
        for index in range {
            var header = batch.headers[index]
            header.offset = UInt32(truncatingIfNeeded: Int(header.offset) + shift)
            headers.append(header)
            last = max(last, UInt64(clamping: hostTimes[index].nanoseconds))
            times.append(last)
        }
    }

    /// One that is full takes none.
    mutating func append(_ sample: StealRecord) {
        guard !isFull else { return }
        headers.append(
            EventHeader(
                ticks: TraceTicks(0), offset: UInt32(truncatingIfNeeded: records.count),
                length: UInt32(sample.record.count), pid: 0, typeIndex: UInt16(truncatingIfNeeded: sample.typeIndex),
                flags: 0, preemptCount: 0))
        records += sample.record
        times.append(max(times.last ?? 0, UInt64(clamping: sample.time.nanoseconds)))
    }
}

/// A sample of steal time as an event's record: see `CTFMark.stealFormat`.
struct StealRecord {
    let typeIndex: Int
    let time: HostTime
    let record: [UInt8]

    init(typeIndex: Int, time: HostTime, nanoseconds: UInt64, order: ByteOrder) {
        self.typeIndex = typeIndex
        self.time = time
        let number = order == .native ? nanoseconds : nanoseconds.byteSwapped
        record = [UInt8](repeating: 0, count: 8) + withUnsafeBytes(of: number) { Array($0) }
    }
}
