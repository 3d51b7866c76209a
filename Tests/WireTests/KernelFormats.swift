import TraceModel

/// Formats as Linux 6.18 states them in tracefs, `print fmt` and the common fields left out.
enum KernelFormats {
    static let all = [
        schedSwitch, schedWaking, schedStatRuntime, kvmEntry, kvmExit, softirqEntry, softirqExit, sysEnter, bprint,
    ]

    static let schedSwitch = parse(
        "sched",
        """
        name: sched_switch
        ID: 372
        	field:char prev_comm[16];	offset:8;	size:16;	signed:0;
        	field:pid_t prev_pid;	offset:24;	size:4;	signed:1;
        	field:int prev_prio;	offset:28;	size:4;	signed:1;
        	field:long prev_state;	offset:32;	size:8;	signed:1;
        	field:char next_comm[16];	offset:40;	size:16;	signed:0;
        	field:pid_t next_pid;	offset:56;	size:4;	signed:1;
        	field:int next_prio;	offset:60;	size:4;	signed:1;
        """)
    static let schedWaking = parse(
        "sched",
        """
        name: sched_waking
        ID: 375
        	field:char comm[16];	offset:8;	size:16;	signed:0;
        	field:pid_t pid;	offset:24;	size:4;	signed:1;
        	field:int prio;	offset:28;	size:4;	signed:1;
        	field:int target_cpu;	offset:32;	size:4;	signed:1;
        """)
    static let schedStatRuntime = parse(
        "sched",
        """
        name: sched_stat_runtime
        ID: 363
        	field:__data_loc char[] comm;	offset:8;	size:4;	signed:0;
        	field:pid_t pid;	offset:12;	size:4;	signed:1;
        	field:u64 runtime;	offset:16;	size:8;	signed:0;
        """)
    static let kvmEntry = parse(
        "kvm",
        """
        name: kvm_entry
        ID: 115
        	field:unsigned int vcpu_id;	offset:8;	size:4;	signed:0;
        	field:unsigned long rip;	offset:16;	size:8;	signed:0;
        	field:bool immediate_exit;	offset:24;	size:1;	signed:0;
        	field:u32 intr_info;	offset:28;	size:4;	signed:0;
        	field:u32 error_code;	offset:32;	size:4;	signed:0;
        """)
    static let kvmExit = parse(
        "kvm",
        """
        name: kvm_exit
        ID: 103
        	field:unsigned int exit_reason;	offset:8;	size:4;	signed:0;
        	field:unsigned long guest_rip;	offset:16;	size:8;	signed:0;
        	field:u32 isa;	offset:24;	size:4;	signed:0;
        	field:u64 info1;	offset:32;	size:8;	signed:0;
        	field:u64 info2;	offset:40;	size:8;	signed:0;
        	field:u32 intr_info;	offset:48;	size:4;	signed:0;
        	field:u32 error_code;	offset:52;	size:4;	signed:0;
        	field:unsigned int vcpu_id;	offset:56;	size:4;	signed:0;
        	field:u64 requests;	offset:64;	size:8;	signed:0;
        """)
    static let softirqEntry = parse(
        "irq",
        """
        name: softirq_entry
        ID: 223
        	field:unsigned int vec;	offset:8;	size:4;	signed:0;
        """)
    static let softirqExit = parse(
        "irq",
        """
        name: softirq_exit
        ID: 222
        	field:unsigned int vec;	offset:8;	size:4;	signed:0;
        """)
    static let sysEnter = parse(
        "raw_syscalls",
        """
        name: sys_enter
        ID: 443
        	field:long id;	offset:8;	size:8;	signed:1;
        	field:unsigned long args[6];	offset:16;	size:48;	signed:0;
        """)
    static let bprint = parse(
        "ftrace",
        """
        name: bprint
        ID: 6
        	field:unsigned long ip;	offset:8;	size:8;	signed:0;
        	field:const char * fmt;	offset:16;	size:8;	signed:0;
        	field:u32 buf[];	offset:24;	size:0;	signed:0;
        """)

    static func table(byteOrder: ByteOrder = .little) -> FormatTable {
        FormatTable(byteOrder: byteOrder, longSize: 8, formats: all)
    }

    /// Enough of a parser for the texts above, so that these tests need no other room.
    private static func parse(_ system: String, _ text: String) -> EventFormat {
        var format = EventFormat(kernelID: 0, system: system, name: "", fields: [], text: text)
        for line in text.split(separator: "\n") {
            let words = line.split { $0 == ";" || $0 == "\t" }.map { $0.split(separator: ":", maxSplits: 1)[1] }
            if line.hasPrefix("name") { format.name = String(words[0].dropFirst()) }
            if line.hasPrefix("ID") { format.kernelID = UInt16(words[0].dropFirst()) ?? 0 }
            guard line.hasPrefix("\tfield"), let offset = Int(words[1]), let size = Int(words[2]) else { continue }
            let declaration = words[0]
            let name = declaration.split(separator: " ").last?.split(separator: "[").first ?? ""
            let kind: EventField.Kind =
                if declaration.hasPrefix("__data_loc") { .dynamic } else if declaration.contains("[") {
                    declaration.contains("char") ? .text : .bytes
                } else { .integer }
            format.fields.append(
                EventField(
                    name: String(name), type: String(declaration), offset: offset, size: size,
                    isSigned: words[3] == "1", kind: kind))
        }
        return format
    }
}

extension EventBatch {
    /// Appends a record whose common bytes agree with its header, as a decoder makes it.
    mutating func append(
        _ formats: FormatTable, type: Int, ticks: UInt64, pid: Int32, flags: UInt8 = 0, preemptCount: UInt8 = 0,
        body: [UInt8]
    ) {
        let isBig = formats.byteOrder == .big
        let id = formats.formats[type].kernelID
        headers.append(
            EventHeader(
                ticks: TraceTicks(ticks), offset: UInt32(records.count), length: UInt32(8 + body.count), pid: pid,
                typeIndex: UInt16(type), flags: flags, preemptCount: preemptCount))
        records += withUnsafeBytes(of: isBig ? id.bigEndian : id.littleEndian) { Array($0) }
        records += [flags, preemptCount]
        records += withUnsafeBytes(of: isBig ? pid.bigEndian : pid.littleEndian) { Array($0) }
        records += body
    }
}
