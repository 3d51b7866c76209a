import Decoding
import TraceModel
import Wire

/// Event formats as tracefs prints them, with the offsets of Linux 6.18 (x86-64), written out by hand.
enum KernelTexts {
    static let host = [switched, waking, processExit, entry, exit]
    static let guest = [switched, waking]

    static let switched = message(
        "sched", "sched_switch", 372,
        [
            "char prev_comm[16] 8 16", "pid_t prev_pid 24 4", "int prev_prio 28 4", "long prev_state 32 8",
            "char next_comm[16] 40 16", "pid_t next_pid 56 4", "int next_prio 60 4",
        ])
    static let waking = message(
        "sched", "sched_waking", 375,
        ["char comm[16] 8 16", "pid_t pid 24 4", "int prio 28 4", "int target_cpu 32 4"])
    static let processExit = message(
        "sched", "sched_process_exit", 369, ["char comm[16] 8 16", "pid_t pid 24 4", "int prio 28 4"])
    static let entry = message("kvm", "kvm_entry", 115, ["unsigned int vcpu_id 8 4", "unsigned long rip 16 8"])
    static let exit = message(
        "kvm", "kvm_exit", 103,
        [
            "unsigned int exit_reason 8 4", "unsigned long guest_rip 16 8", "u32 isa 24 4", "unsigned int vcpu_id 56 4",
        ])

    /// What KVM says when it sets the clocks of a machine.
    static let clockChanges = [
        message(
            "kvm", "kvm_write_tsc_offset", 95,
            ["unsigned int vcpu_id 8 4", "__u64 previous_tsc_offset 16 8", "__u64 next_tsc_offset 24 8"]),
        message(
            "kvm", "kvm_update_master_clock", 94,
            ["bool use_master_clock 8 1", "unsigned int host_clock 12 4", "bool offset_matched 16 1"]),
    ]

    static func table(_ messages: [FormatMessage]) throws -> FormatTable {
        var table = FormatTable(byteOrder: .native, longSize: 8)
        for message in messages { table.append(try EventFormatParser.parse(message.text, system: message.system)) }
        return table
    }

    /// Each field: its declaration, its offset, its size.
    private static func message(_ system: String, _ name: String, _ id: Int, _ fields: [String]) -> FormatMessage {
        let lines = fields.map { field in
            let words = field.split(separator: " ")
            let isSigned = field.hasPrefix("int") || field.hasPrefix("pid_t") || field.hasPrefix("long")
            return "\tfield:\(words.dropLast(2).joined(separator: " "));\toffset:\(words[words.count - 2]);"
                + "\tsize:\(words[words.count - 1]);\tsigned:\(isSigned ? 1 : 0);\n"
        }
        let common = """
            name: \(name)
            ID: \(id)
            format:
            \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
            \tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;
            \tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;
            \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;


            """
        return FormatMessage(system: system, text: common + lines.joined() + "\nprint fmt: \"%d\", REC->common_pid\n")
    }
}

extension EventBatch {
    /// Appends an event of the named type.
    mutating func append(
        _ name: String, of table: FormatTable, at ticks: UInt64, pid: Int32, _ integers: [String: Int64] = [:],
        comms: [String: String] = [:]
    ) {
        guard let index = table.formats.firstIndex(where: { $0.name == name }) else { return }
        let format = table.formats[index]
        var record = [UInt8](repeating: 0, count: (format.minimumLength + 7) & ~7)
        func store(_ value: Int64, at offset: Int, size: Int) {
            for byte in 0..<size { record[offset + byte] = UInt8(truncatingIfNeeded: value >> (8 * byte)) }
        }
        store(Int64(format.kernelID), at: 0, size: 2)
        store(Int64(pid), at: 4, size: 4)
        for field in format.fields {
            if let value = integers[field.name] { store(value, at: field.offset, size: field.size) }
            for (place, byte) in (comms[field.name] ?? "").utf8.prefix(15).enumerated() {
                record[field.offset + place] = byte
            }
        }
        headers.append(
            EventHeader(
                ticks: TraceTicks(ticks), offset: UInt32(records.count), length: UInt32(record.count), pid: pid,
                typeIndex: UInt16(index), flags: 0, preemptCount: 0))
        records += record
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): the same numbers for the same seed, so that a failure can be run again.
struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }

    mutating func below(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &self) }

    mutating func chance(_ percent: Int) -> Bool { below(100) < percent }
}
