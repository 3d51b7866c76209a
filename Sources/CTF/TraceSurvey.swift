import TraceModel

/// What has to be known of a machine's traces before the first event is told: its role, the names of its tasks, when its
/// vCPUs were in guest mode, and when its own events were. One reading of the files.
///
/// Bounded: of a long trace every second, fourth, eighth … second is kept, which is plenty to find out how two clocks
/// differ.
struct TraceSurvey {
    /// A host's thread that runs a vCPU.
    struct VCPUThread {
        let tid: Int32
        /// As `kvm_exit` tells; nil when it does not.
        var number: Int32?
        /// From each `kvm_entry` to the `kvm_exit` after it, ascending.
        var windows: [(entry: UInt64, exit: UInt64)] = []
        /// Of the seconds, each so-manyth is kept.
        fileprivate var stride: UInt64 = 1
        fileprivate var entered: UInt64?

        /// Whether the windows of that time are here.
        func keeps(_ host: Int64) -> Bool { UInt64(clamping: host) / TraceSurvey.block % stride == 0 }
    }

    private(set) var events: UInt64 = 0
    private(set) var kvmEvents: UInt64 = 0
    private(set) var first: TraceTicks?
    private(set) var last: TraceTicks?
    /// Latest name of each task that a statedump or a switch named first.
    private(set) var names: [Int32: Comm] = [:]
    /// Thread group of each thread, as far as a statedump or a fork tells.
    private(set) var processes: [Int32: Int32] = [:]
    private(set) var cpus: Set<Int> = []
    /// Times of all events, by CPU.
    private(set) var times: [Int: [UInt64]] = [:]
    private(set) var threads: [Int32: VCPUThread] = [:]
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

    private var keptTimes = 0
    private var keptWindows = 0
    private var timeStride: UInt64 = 1
    private var windowStride: UInt64 = 1
    fileprivate static let block: UInt64 = 1_000_000_000

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
        guard let firstHeader = batch.headers.first, let lastHeader = batch.headers.last else { return }
        first = min(first ?? firstHeader.ticks, firstHeader.ticks)
        last = max(last ?? lastHeader.ticks, lastHeader.ticks)
        let records = batch.records.span.bytes
        var kept = times[batch.cpu] ?? []
        times[batch.cpu] = nil
        for header in batch.headers {
            let ticks = header.ticks.rawValue
            if ticks / Self.block % timeStride == 0 {
                kept.append(ticks)
                keptTimes += 1
            }
            let meaning = fields.meanings[Int(header.typeIndex)]
            guard meaning != .other else { continue }
            apply(meaning, header, records, fields, cpu: batch.cpu)
        }
        times[batch.cpu] = kept
        if keptTimes > Limits.surveyedTimes { thinTimes() }
        if keptWindows > Limits.surveyedTimes { thinWindows() }
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
            if header.pid != ThreadTracker.unknown {
                threads[header.pid, default: VCPUThread(tid: header.pid)].entered = ticks
            }
        case .exit:
            kvmEvents &+= 1
            guard header.pid != ThreadTracker.unknown else { return }
            exited(header.pid, fields.value(.vcpu, records, header), ticks)
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

    private mutating func exited(_ tid: Int32, _ number: Int64?, _ ticks: UInt64) {
        guard threads[tid] != nil || threads.count < Limits.vcpus else { return }
        threads[tid, default: VCPUThread(tid: tid)].number =
            number.flatMap { Int32(exactly: $0) } ?? threads[tid]?.number
        guard let entered = threads[tid]?.entered else { return }
        threads[tid]?.entered = nil
        guard entered / Self.block % windowStride == 0 else { return }
        threads[tid]?.stride = windowStride
        threads[tid]?.windows.append((entered, ticks))
        keptWindows += 1
    }

    /// Begins anew with what was when; names and roles stay.
    mutating func forgetTimes() {
        first = nil
        last = nil
        times = [:]
        for tid in threads.keys { threads[tid]?.windows = [] }
        vmsync = []
        packets = SyncPackets()
        (keptTimes, keptWindows) = (0, 0)
        (timeStride, windowStride) = (1, 1)
    }

    private mutating func thinTimes() {
        timeStride *= 2
        keptTimes = 0
        for cpu in times.keys {
            times[cpu]?.removeAll { $0 / Self.block % timeStride != 0 }
            keptTimes += times[cpu]?.count ?? 0
        }
    }

    private mutating func thinWindows() {
        windowStride *= 2
        keptWindows = 0
        for tid in threads.keys {
            threads[tid]?.stride = windowStride
            threads[tid]?.windows.removeAll { $0.entry / Self.block % windowStride != 0 }
            keptWindows += threads[tid]?.windows.count ?? 0
        }
    }
}
