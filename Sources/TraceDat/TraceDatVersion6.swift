import TraceModel

/// Version 6: everything in one fixed order, nothing compressed (trace-cmd.dat.v6(5)).
extension TraceDatFile {
    mutating func readVersion6(_ file: RawSpan, _ cursor: inout ByteCursor) throws(TraceDatError) {
        try readHeaderInfo(file, &cursor)
        try readFtraceEvents(file, &cursor)
        try readEventFormats(file, &cursor)
        let symbols = try cursor.length32(file, "the size of the symbols")
        if symbols > 0 { kallsyms = .plain(try cursor.range(symbols, "the symbols")) }
        let printk = try cursor.length32(file, "the size of the trace_printk formats")
        _ = try cursor.range(printk, "the trace_printk formats")
        let names = try cursor.length64(file, "the size of the task names")
        guard names <= Limits.traceDatSectionBytes else {
            throw TraceDatError("the task names", "\(names) bytes are too many", offset: cursor.at)
        }
        readTasks(try cursor.text(file, names, "the task names"))
        options.cpuCount = Int(try cursor.word32(file, "the number of CPUs"))
        // An instance's data lie elsewhere, and are described there as the top-level buffer's are here.
        var instances: [(name: String, place: UInt64)] = []
        try readData(name: "", file, &cursor, &instances)
        for instance in instances {
            var place = ByteCursor(file, from: Int(clamping: instance.place), order: byteOrder)
            var nested: [(name: String, place: UInt64)] = []
            try readData(name: instance.name, file, &place, &nested)
        }
    }

    /// Options, then the places of each CPU's data, then the clock.
    private mutating func readData(
        name: String, _ file: RawSpan, _ cursor: inout ByteCursor, _ instances: inout [(name: String, place: UInt64)]
    ) throws(TraceDatError) {
        if cursor.skip(Self.tag("options  "), in: file) { try readOptions(file, &cursor, &instances) }
        if cursor.skip(Self.tag("latency  "), in: file) { throw Self.latencyTracer }
        guard cursor.skip(Self.tag("flyrecord"), in: file) else {
            throw TraceDatError("the events", "they are not where they should be", offset: cursor.at)
        }
        let count = options.cpuCount ?? 0
        guard count <= Limits.cpus else { throw TraceDatError("a buffer", "\(count) CPUs are more than a kernel has") }
        var cpus: [CPUData] = []
        for cpu in 0..<count {
            let start = try cursor.word64(file, "the place of a CPU's data")
            let length = try cursor.word64(file, "the size of a CPU's data")
            let range = try Self.checkedRange(start, length, in: file, cpu: cpu)
            if !range.isEmpty { cpus.append(CPUData(cpu: cpu, range: range, isCompressed: false)) }
        }
        var clock = options.clock ?? ""
        // Files of trace-cmd before 2.9 end their head here.
        if let length = try? cursor.length64(file, "the size of the clock's name"), length <= Limits.textBytes,
            let text = try? cursor.text(file, length, "the clock's name"), let used = TraceDatOptions.clockInUse(text)
        {
            clock = used
        }
        add(Buffer(name: name, clock: clock, subBufferBytes: subBufferBytes, cpus: cpus))
    }

    private mutating func readOptions(
        _ file: RawSpan, _ cursor: inout ByteCursor, _ instances: inout [(name: String, place: UInt64)]
    ) throws(TraceDatError) {
        while true {
            let number = try cursor.word16(file, "an option's number")
            guard number != 0 else { return }
            let length = try cursor.length32(file, "an option's size")
            let range = try cursor.range(length, "an option")
            guard let code = TraceDatOptions.Code(rawValue: number) else { continue }
            let data = file.extracting(range)
            switch code {
            case .buffer:
                var inside = ByteCursor(data, order: byteOrder)
                let place = try inside.word64(data, "the place of a buffer")
                guard instances.count < Limits.traceDatBuffers else {
                    throw TraceDatError("the buffers", "there are more than \(Limits.traceDatBuffers)")
                }
                instances.append((try inside.terminatedText(data, "a buffer's name"), place))
            default: try options.read(code, data, order: byteOrder)
            }
        }
    }

    private static func tag(_ name: String) -> [UInt8] { Array(name.utf8) + [0] }
}
