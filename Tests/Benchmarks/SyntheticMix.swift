import Analysis
import Timeline
import TraceModel

/// Two vCPUs of two machines that compete for one host CPU: seven exits and a preemption, or a halt and its wake-up, and
/// so on. The same events for the same arguments.
struct SyntheticMix {
    private let table: FormatTable
    private var batches: [PlacedBatch] = []
    private var batch = EventBatch(cpu: 0)
    private var times: [HostTime] = []
    private var now: Int64 = 0
    private let eventsPerBatch: Int

    init(eventsPerBatch: Int, batches count: Int) {
        self.eventsPerBatch = eventsPerBatch
        table = FormatTable(
            byteOrder: .native, longSize: 8,
            formats: [
                Self.format(1, "sched", "sched_switch", ["prev_pid", "prev_state", "next_pid"]),
                Self.format(2, "sched", "sched_waking", ["pid", "target_cpu"]),
                Self.format(3, "kvm", "kvm_entry", ["vcpu_id"]),
                Self.format(4, "kvm", "kvm_exit", ["exit_reason", "isa", "vcpu_id"]),
            ])
        var round = 0
        while batches.count < count {
            let (here, there): (Int32, Int32) = round % 2 == 0 ? (31, 51) : (51, 31)
            for exit in 0..<7 {
                add("kvm_entry", here, [0])
                add("kvm_exit", here, [[48, 1, 30, 32][exit % 4], 1, 0])
            }
            if round % 3 == 2 {
                add("kvm_entry", here, [0])
                add("kvm_exit", here, [12, 1, 0])
                add("sched_switch", here, [Int64(here), 1, Int64(there)])
                add("sched_waking", there, [Int64(here), 0])
            } else {
                add("sched_switch", here, [Int64(here), 0, Int64(there)])
            }
            round += 1
        }
    }

    var session: AnalyzedSession {
        let table = table
        return AnalyzedSession(
            batches: batches,
            preparation: [
                { $0.bind(.host, name: "host", formats: table) },
                { $0.identify(VMFacts(vmmPID: 30, vmm: "qemu", name: "web", vcpuThreads: [.init(tid: 31, vcpu: 0)])) },
                { $0.identify(VMFacts(vmmPID: 50, vmm: "qemu", name: "db", vcpuThreads: [.init(tid: 51, vcpu: 0)])) },
            ])
    }

    /// Eight bytes a field, behind the eight common ones.
    private static func format(_ id: UInt16, _ system: String, _ name: String, _ fields: [String]) -> EventFormat {
        EventFormat(
            kernelID: id, system: system, name: name,
            fields: fields.enumerated().map {
                EventField(name: $1, type: "long", offset: 8 + 8 * $0, size: 8, isSigned: true, kind: .integer)
            }, text: "")
    }

    private mutating func add(_ name: String, _ pid: Int32, _ values: [Int64]) {
        guard let type = table.formats.firstIndex(where: { $0.name == name }) else { return }
        now += 700
        let offset = batch.records.count
        batch.records += [UInt8](repeating: 0, count: 8)
        for value in values { withUnsafeBytes(of: value) { batch.records += $0 } }
        batch.headers.append(
            EventHeader(
                ticks: TraceTicks(UInt64(now)), offset: UInt32(offset), length: UInt32(batch.records.count - offset),
                pid: pid, typeIndex: UInt16(type), flags: 0, preemptCount: 0))
        times.append(HostTime(nanoseconds: now))
        guard batch.headers.count == eventsPerBatch else { return }
        batches.append(PlacedBatch(source: .host, batch: batch, times: times, boundNanoseconds: 0, epoch: 1))
        batch = EventBatch(cpu: 0)
        times = []
    }
}
