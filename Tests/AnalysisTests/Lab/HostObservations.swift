import Decoding
import SessionLog
import Timeline
import TraceModel
import Wire

/// The host's events of a session, as the oracle takes them: decoded once more, by names of fields, one at a time.
struct HostObservations {
    private(set) var list: [Observation] = []
    private var table: FormatTable?
    private var decoder: BatchDecoder?
    private var clock: ClockMap?

    init(_ input: any SessionInput) throws {
        while let next = try input.next() {
            switch next {
            case .record(.sourceOpened(.host, let facts, let messages, _)):
                var table = FormatTable(byteOrder: facts.prepared.byteOrder, longSize: facts.prepared.longSize)
                for message in messages {
                    table.append(try EventFormatParser.parse(message.text, system: message.system))
                }
                self.table = table
                decoder = BatchDecoder(formats: table)
                clock = ClockMap(clock: facts.prepared.clock, identity: true)
            case .record(.clock(.host, let facts)): clock?.learn(facts)
            case .record(.message(.host, .batch(let body))):
                if let batch = try decoder?.decode(body) { add(batch) }
            case .batch(.host, let batch): add(batch)
            default: break
            }
        }
        // One order of all CPUs; events of one instant keep that of their CPU.
        list = list.enumerated().sorted {
            ($0.element.at, $0.element.cpu, $0.offset) < ($1.element.at, $1.element.cpu, $1.offset)
        }
        .map(\.element)
    }

    private mutating func add(_ batch: EventBatch) {
        guard let placed = clock?.place(batch, from: .host), let table else { return }
        var losses = batch.losses[...]
        for (header, time) in zip(batch.headers, placed.times) {
            while let loss = losses.first, batch.headers[loss.index...].first == header {
                losses.removeFirst()
                list.append(Observation(cpu: batch.cpu, at: time.nanoseconds, current: header.pid, happening: .lost()))
            }
            let happening = Self.happening(header, table.formats[Int(header.typeIndex)], table.byteOrder, batch.records)
            list.append(
                Observation(cpu: batch.cpu, at: time.nanoseconds, current: header.pid, happening: happening))
        }
    }

    private static func happening(
        _ header: EventHeader, _ format: EventFormat, _ order: ByteOrder, _ records: [UInt8]
    ) -> Happening {
        func value(_ name: String) -> Int64 {
            IntegerField(name, of: format, byteOrder: order)?.value(in: records.span.bytes, of: header) ?? 0
        }
        func tid(_ name: String) -> Int32 { Int32(truncatingIfNeeded: value(name)) }
        switch format.fullName {
        case "sched:sched_switch": return .switched(tid("prev_pid"), tid("next_pid"), state: value("prev_state"))
        case "sched:sched_waking": return .waking(tid("pid"), on: Int(value("target_cpu")))
        case "sched:sched_wakeup": return .wakeup(tid("pid"), on: Int(value("target_cpu")))
        case "sched:sched_migrate_task": return .migrated(tid("pid"), to: Int(value("dest_cpu")))
        case "kvm:kvm_entry": return .entry(header.pid)
        case "kvm:kvm_exit": return .exit(header.pid, value("exit_reason"), isa: value("isa"))
        case "kvm:kvm_userspace_exit":
            return .userspaceExit(header.pid, reason: value("reason"), errno: value("errno"))
        default: return .other(header.pid)
        }
    }
}
