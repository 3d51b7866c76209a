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

    /// `records` may hold the events of several batches.
    mutating func append(_ header: EventHeader, of batch: EventBatch, at time: UInt64) {
        let start = Int(header.offset)
        var header = header
        header.offset = UInt32(truncatingIfNeeded: records.count)
        records.append(contentsOf: batch.records[start..<start + Int(header.length)])
        headers.append(header)
        times.append(time)
    }
}
