import Timeline
import TraceModel

/// What has to be known of a machine's traces before the first event is told: its role, the names of its tasks, when its
/// vCPUs were in guest mode, and when its own events were. One reading of the files.
struct TraceSurvey {
    private(set) var events: UInt64 = 0
    private(set) var kvmEvents: UInt64 = 0
    private(set) var first: TraceTicks?
    private(set) var last: TraceTicks?
    /// Latest name of each task that a statedump or a switch named first.
    private(set) var names: [Int32: Comm] = [:]
    /// Thread group of each thread, as far as a statedump or a fork tells.
    private(set) var processes: [Int32: Int32] = [:]
    private(set) var cpus: Set<Int> = []
    /// Times of events, and of guest mode.
    private(set) var clocks = ClockSurvey()
    private(set) var vmsync: [VMSync] = []
    private(set) var packets = SyncPackets()
    private(set) var problems: [String] = []
    /// What the trace itself says of how far its times may be off, by CPU.
    private(set) var statedBounds: [Int: StatedBounds] = [:]

    /// An event of the vmsync modules (Trace Compass's addons): a hypercall seen from either side.
    struct VMSync {
        enum Kind { case guestSent, hostReceived, hostSent, guestReceived }

        let kind: Kind
        let count: Int64
        let vm: Int64
        let ticks: UInt64
        let thread: Int32
    }

    init() {}

    init(_ reader: MachineReader) {
        var fields: SurveyFields?
        while let step = reader.next() {
            if fields?.formatCount != reader.formats.count { fields = SurveyFields(reader.formats) }
            for bound in reader.takeNotes().bounds { statedBounds[bound.cpu, default: StatedBounds()].add(bound) }
            guard let fields else { continue }
            for batch in step.batches { add(batch, fields) }
        }
        for bound in reader.takeNotes().bounds { statedBounds[bound.cpu, default: StatedBounds()].add(bound) }
        problems = reader.problems
    }

    mutating func add(_ batch: EventBatch, _ fields: SurveyFields) {
        events &+= UInt64(batch.headers.count)
        cpus.insert(batch.cpu)
        clocks.addLosses(of: batch) { $0.rawValue }
        guard let firstHeader = batch.headers.first, let lastHeader = batch.headers.last else { return }
        first = min(first ?? firstHeader.ticks, firstHeader.ticks)
        last = max(last ?? lastHeader.ticks, lastHeader.ticks)
        clocks.addTimes(of: batch)
        let records = batch.records.span.bytes
        for header in batch.headers {
            let meaning = fields.meanings[Int(header.typeIndex)]
            guard meaning != .other else { continue }
            apply(meaning, header, records, fields, cpu: batch.cpu)
        }
    }

    private mutating func apply(
        _ meaning: SurveyFields.Meaning, _ header: EventHeader, _ records: borrowing RawSpan,
        _ fields: SurveyFields,
        cpu: Int
    ) {
        let ticks = header.ticks.rawValue
        switch meaning {
        case .other: break
        case .entry:
            kvmEvents &+= 1
            guard header.pid != ThreadTracker.unknown else { return clocks.lost(at: ticks) }
            clocks.entered(header.pid, at: ticks)
        case .exit:
            kvmEvents &+= 1
            guard header.pid != ThreadTracker.unknown else { return clocks.lost(at: ticks) }
            clocks.left(header.pid, at: ticks, number: fields.value(.vcpu, records, header))
        case .switched:
            if let tid = fields.value(.nextThread, records, header), names.count < Limits.taskNames {
                let tid = Int32(truncatingIfNeeded: tid)
                if tid != 0, names[tid] == nil {
                    names[tid] = fields.nextComm?.value(in: records, of: header)
                }
            }
        case .process:
            guard let tid = fields.value(.statedumpThread, records, header),
                names.count < Limits.taskNames
            else {
                return
            }
            let thread = Int32(truncatingIfNeeded: tid)
            if let pid = fields.value(.statedumpProcess, records, header) {
                processes[thread] = Int32(truncatingIfNeeded: pid)
            }
            names[thread] = fields.statedumpName(records, header)
        case .packet(let isSent):
            guard let key = fields.packets[Int(header.typeIndex)]?.key(records, header) else { return }
            packets.note(key, isSent: isSent, at: ticks)
        case .vmsync(let kind):
            guard vmsync.count < Limits.surveyedTimes,
                let count = fields.value(.syncCount, records, header)
            else {
                return
            }
            let vm = fields.value(.syncVM, records, header) ?? 0
            vmsync.append(VMSync(kind: kind, count: count, vm: vm, ticks: ticks, thread: header.pid))
        }
    }

    /// Begins anew with what was when; names and roles stay.
    mutating func forgetTimes() {
        first = nil
        last = nil
        clocks.forget()
        vmsync = []
        packets = SyncPackets()
    }
}
