import CTF
import TraceModel

/// Traces of machines that know nothing of each other, made by the writer of exports.
struct MadeMachine {
    enum Value {
        case number(UInt64)
        case text(String)
    }

    struct Event {
        var time: UInt64
        /// In ftrace's words, `system:event`.
        var name: String
        var thread: Int32 = 1
        /// The same for all events of a name.
        var fields: [(name: String, value: Value)] = []
    }

    let name: String
    let isHost: Bool
    /// In the order of time.
    let events: [Event]

    /// One directory for each machine.
    static func write(_ machines: [MadeMachine], into directory: String) throws {
        let writer = try CTFWriter(
            directory: directory,
            machines: machines.enumerated().map { number, machine in
                ExportedMachine(
                    name: machine.name, hostname: machine.name, bootID: bootID(number), kernelRelease: "6.1",
                    isHost: machine.isHost, formats: machine.table,
                    // Not an export of our own: times are each machine's own.
                    environment: ["tandem_time_line": "", "tandem_name": machine.name])
            }, clock: ExportedClock(hostBootID: bootID(0), epochOffsetNanoseconds: 1_700_000_000_000_000_000))
        for (number, machine) in machines.enumerated() {
            let batch = machine.batch
            try writer.append(
                batch, times: batch.headers.map { HostTime(nanoseconds: Int64($0.ticks.rawValue)) },
                range: 0..<batch.headers.count, boundNanoseconds: 0, machine: number)
        }
        try writer.finish()
    }

    private static func bootID(_ number: Int) -> String { "01234567-89ab-cdef-0123-45678900000\(number)" }

    private var names: [String] {
        events.reduce(into: []) { names, event in if !names.contains(event.name) { names.append(event.name) } }
    }

    private var table: FormatTable {
        let formats = names.enumerated().map { index, name in
            let parts = name.split(separator: ":")
            var offset = 8
            let fields = (events.first { $0.name == name }?.fields ?? []).map { field in
                defer { offset += 8 }
                return switch field.value {
                case .number:
                    EventField(
                        name: field.name, type: "u64", offset: offset, size: 8, isSigned: false, kind: .integer)
                case .text:
                    EventField(
                        name: field.name, type: "__data_loc char[]", offset: offset, size: 4, isSigned: false,
                        kind: .dynamic)
                }
            }
            return EventFormat(
                kernelID: UInt16(40 + index), system: String(parts[0]), name: String(parts[1]), fields: fields, text: ""
            )
        }
        return FormatTable(byteOrder: .native, longSize: 8, formats: formats)
    }

    private var batch: EventBatch {
        var batch = EventBatch(cpu: 0)
        let types = Dictionary(uniqueKeysWithValues: names.enumerated().map { ($1, $0) })
        func bytes(_ number: UInt64) -> [UInt8] { withUnsafeBytes(of: number) { Array($0) } }
        for event in events {
            var record = [UInt8](repeating: 0, count: 8)
            var texts: [UInt8] = []
            for field in event.fields {
                switch field.value {
                case .number(let number): record += bytes(number)
                case .text(let text):
                    let place = 8 + 8 * event.fields.count + texts.count
                    record += bytes(UInt64(text.utf8.count + 1) << 16 | UInt64(place))
                    texts += Array(text.utf8) + [0]
                }
            }
            record += texts
            batch.headers.append(
                EventHeader(
                    ticks: TraceTicks(event.time), offset: UInt32(batch.records.count), length: UInt32(record.count),
                    pid: event.thread, typeIndex: UInt16(types[event.name] ?? 0), flags: 0, preemptCount: 0))
            batch.records += record
        }
        return batch
    }
}
