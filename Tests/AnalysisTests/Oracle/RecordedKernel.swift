import Collector
import Decoding
import SessionLog
import TraceModel
import Wire

/// What a real host wrote, as the oracle wants to hear it: the host's events of a session in the order of their times, read
/// with nothing of the timeline and the pipeline.
struct RecordedKernel {
    private(set) var observations: [Observation] = []
    private(set) var start: Int64 = 0
    /// The vCPU threads that were known when the session began.
    private(set) var vcpuThreads: [Int32] = []
    /// Whether the event types were recorded without which the analyzer guesses; the oracle does not.
    private(set) var hasAllTypes = false

    /// The others add to what can be known; both sides miss them alike.
    private static let types: Set = ["sched:sched_switch", "kvm:kvm_entry", "kvm:kvm_exit"]

    private var decoder = BatchDecoder(formats: FormatTable(byteOrder: .native, longSize: 8))
    private var readers: [EventReader] = []
    /// From the host's ticks to its time; nil when they are nanoseconds.
    private var scale: TSCScale?

    init(_ session: any SessionInput) throws {
        while let input = try session.next() {
            switch input {
            case .record(.session(let facts)): start = facts.start.nanoseconds
            case .record(.sourceOpened(.host, let facts, let texts, _)):
                let formats = try texts.map { try EventFormatParser.parse($0.text, system: $0.system) }
                decoder = BatchDecoder(
                    formats: FormatTable(
                        byteOrder: facts.prepared.byteOrder, longSize: facts.prepared.longSize, formats: formats))
                readers = formats.map { EventReader($0, byteOrder: facts.prepared.byteOrder) }
                hasAllTypes = Self.types.isSubset(of: formats.map(\.fullName))
            case .record(.clock(.host, .scale(let scale))): self.scale = scale
            case .record(.machine(let facts)) where observations.isEmpty: vcpuThreads += facts.vcpuThreads.map(\.tid)
            case .record(.message(.host, .batch(let body))): tell(try decoder.decode(body))
            case .batch(.host, let batch): tell(batch)
            default: continue
            }
        }
        // As the merge orders what happened at one instant: CPU by CPU, and as the CPU wrote it.
        observations = observations.enumerated().sorted {
            ($0.element.at, $0.element.cpu, $0.offset) < ($1.element.at, $1.element.cpu, $1.offset)
        }
        .map(\.element)
    }

    private mutating func tell(_ batch: EventBatch) {
        var losses = batch.losses[...]
        for (index, header) in batch.headers.enumerated() {
            let ticks = header.ticks.rawValue
            let time = scale?.hostTime(ticks).nanoseconds ?? Int64(bitPattern: ticks)
            while let loss = losses.first, loss.index <= index {
                observations.append(Observation(cpu: batch.cpu, at: time, current: header.pid, happening: .lost()))
                losses = losses.dropFirst()
            }
            observations.append(
                Observation(
                    cpu: batch.cpu, at: time, current: header.pid,
                    happening: readers[Int(header.typeIndex)].happening(header, in: batch.records)))
        }
    }
}

/// The fields of one event type.
private struct EventReader {
    private let name: String
    private let fields: [String: IntegerField]

    init(_ format: EventFormat, byteOrder: ByteOrder) {
        name = format.fullName
        fields = Dictionary(
            format.fields.compactMap { field in IntegerField(field, byteOrder: byteOrder).map { (field.name, $0) } },
            uniquingKeysWith: { first, _ in first })
    }

    func happening(_ header: EventHeader, in records: [UInt8]) -> Happening {
        func value(_ field: String) -> Int64 { fields[field]?.value(in: records.span.bytes, of: header) ?? -1 }
        func thread(_ field: String) -> Int32 { Int32(truncatingIfNeeded: value(field)) }
        switch name {
        case "sched:sched_switch": return .switched(thread("prev_pid"), thread("next_pid"), state: value("prev_state"))
        case "sched:sched_waking": return .waking(thread("pid"), on: Int(value("target_cpu")))
        case "sched:sched_wakeup": return .wakeup(thread("pid"), on: Int(value("target_cpu")))
        case "sched:sched_migrate_task": return .migrated(thread("pid"), to: Int(value("dest_cpu")))
        case "kvm:kvm_entry": return .entry(header.pid, vcpu: value("vcpu_id"))
        case "kvm:kvm_exit": return .exit(header.pid, value("exit_reason"), isa: value("isa"), vcpu: value("vcpu_id"))
        case "kvm:kvm_userspace_exit":
            return .userspaceExit(header.pid, reason: value("reason"), errno: value("errno"))
        case "kvm:kvm_halt_poll_ns": return .haltPoll(header.pid, new: value("new"))
        case "sched:sched_process_exit": return .ended(thread("pid"))
        default: return .other(header.pid)
        }
    }
}
