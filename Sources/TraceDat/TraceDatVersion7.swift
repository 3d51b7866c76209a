import TraceModel

/// Version 7: sections anywhere in the file, found through a chain of options (trace-cmd.dat.v7(5)).
extension TraceDatFile {
    mutating func readVersion7(
        _ file: RawSpan, _ cursor: inout ByteCursor, _ decompress: TraceDatDecompressor
    ) throws(TraceDatError) {
        compression = try cursor.terminatedText(file, "the compression's name")
        _ = try cursor.terminatedText(file, "the compression's version")
        var next = try cursor.word64(file, "the place of the options")
        var places: [TraceDatOptions.Code: UInt64] = [:]
        var bufferOptions: [[UInt8]] = []
        var visited = 0
        while next != 0 {
            // A chain that bites its tail would be followed for ever.
            visited += 1
            guard visited <= Limits.traceDatOptionSections else {
                throw TraceDatError(
                    "the options", "there are more than \(Limits.traceDatOptionSections) sections of them")
            }
            let section = try TraceDatSection(.options, at: next, in: file, order: byteOrder)
            let body = try section.body(in: file, order: byteOrder, algorithm: compression, decompress)
            next = try readOptions(body.span.bytes, &places, &bufferOptions)
        }
        for (code, id) in Self.sections {
            guard let place = places[code] else { continue }
            let section = try TraceDatSection(id, at: place, in: file, order: byteOrder)
            if id == .kallsyms {
                kallsyms = .section(section)
                continue
            }
            let body = try section.body(in: file, order: byteOrder, algorithm: compression, decompress)
            try readSection(id, body.span.bytes)
        }
        for option in bufferOptions { try readBuffer(option.span.bytes, file) }
    }

    /// In the order in which they build on each other: the layout of a sub-buffer decides the formats' table.
    private static let sections: [(TraceDatOptions.Code, TraceDatSection.ID)] = [
        (.headerInfo, .headerInfo), (.ftraceEvents, .ftraceEvents), (.eventFormats, .eventFormats),
        (.kallsyms, .kallsyms), (.commandLines, .commandLines),
    ]

    private mutating func readSection(_ id: TraceDatSection.ID, _ bytes: RawSpan) throws(TraceDatError) {
        var cursor = ByteCursor(bytes, order: byteOrder)
        switch id {
        case .headerInfo: try readHeaderInfo(bytes, &cursor)
        case .ftraceEvents: try readFtraceEvents(bytes, &cursor)
        case .eventFormats: try readEventFormats(bytes, &cursor)
        case .commandLines:
            let length = try cursor.length64(bytes, "the size of the task names")
            readTasks(try cursor.text(bytes, length, "the task names"))
        case .options, .buffer, .kallsyms, .printk: break
        }
    }

    /// Reads one section of options and gives the place of the next; 0 after the last.
    private mutating func readOptions(
        _ bytes: RawSpan, _ places: inout [TraceDatOptions.Code: UInt64], _ buffers: inout [[UInt8]]
    ) throws(TraceDatError) -> UInt64 {
        var cursor = ByteCursor(bytes, order: byteOrder)
        while true {
            let number = try cursor.word16(bytes, "an option's number")
            let length = try cursor.length32(bytes, "an option's size")
            let range = try cursor.range(length, "an option")
            // Later versions have more of them.
            guard let code = TraceDatOptions.Code(rawValue: number) else { continue }
            let data = bytes.extracting(range)
            var inside = ByteCursor(data, order: byteOrder)
            switch code {
            case .done: return try inside.word64(data, "the place of the next options")
            case .buffer:
                guard buffers.count < Limits.traceDatBuffers else {
                    throw TraceDatError("the buffers", "there are more than \(Limits.traceDatBuffers)")
                }
                buffers.append(try inside.data(data, length, "a buffer's description"))
            case .headerInfo, .ftraceEvents, .eventFormats, .kallsyms, .printk, .commandLines:
                places[code] = try inside.word64(data, "the place of \(code)")
            case .latencyText: throw Self.latencyTracer
            default: try options.read(code, data, order: byteOrder)
            }
        }
    }

    static var latencyTracer: TraceDatError {
        TraceDatError(
            "the file", "it is the text of a latency tracer, not events; record events with 'trace-cmd record -e'")
    }

    private mutating func readBuffer(_ option: RawSpan, _ file: RawSpan) throws(TraceDatError) {
        var cursor = ByteCursor(option, order: byteOrder)
        let place = try cursor.word64(option, "the place of a buffer")
        let name = try cursor.terminatedText(option, "a buffer's name")
        let clock = try cursor.terminatedText(option, "a buffer's clock")
        let size = try Self.checkedSubBufferBytes(try cursor.word32(option, "the size of a sub-buffer"))
        let count = try cursor.count(option, unit: 20, "a buffer's number of CPUs")
        guard count <= Limits.cpus else { throw TraceDatError("a buffer", "\(count) CPUs are more than a kernel has") }
        // Without a CPU the place may be that of an empty section, or none.
        guard count > 0 else { return add(Buffer(name: name, clock: clock, subBufferBytes: size, cpus: [])) }
        let section = try TraceDatSection(.buffer, at: place, in: file, order: byteOrder)
        var cpus: [CPUData] = []
        for _ in 0..<count {
            let cpu = try Self.checkedCPU(try cursor.word32(option, "a CPU of a buffer"))
            let start = try cursor.word64(option, "the place of a CPU's data")
            let length = try cursor.word64(option, "the size of a CPU's data")
            let range = try Self.checkedRange(start, length, in: file, cpu: cpu)
            if !range.isEmpty { cpus.append(CPUData(cpu: cpu, range: range, isCompressed: section.isCompressed)) }
        }
        add(Buffer(name: name, clock: clock, subBufferBytes: size, cpus: cpus))
    }

    static func checkedCPU(_ number: UInt32) throws(TraceDatError) -> Int {
        guard number < UInt32(Limits.cpus) else {
            throw TraceDatError("a CPU of a buffer", "\(number) is more than a kernel can have")
        }
        return Int(number)
    }

    static func checkedRange(
        _ start: UInt64, _ length: UInt64, in file: RawSpan, cpu: Int
    ) throws(TraceDatError) -> Range<Int> {
        guard length > 0 else { return 0..<0 }
        let (end, overflow) = start.addingReportingOverflow(length)
        guard !overflow, end <= UInt64(file.byteCount) else {
            throw TraceDatError(
                "the data of CPU \(cpu)",
                "\(length) bytes at byte \(start) reach past the file's \(file.byteCount); it is cut or still being written"
            )
        }
        return Int(start)..<Int(end)
    }

    mutating func add(_ buffer: Buffer) {
        var buffer = buffer
        buffer.cpus.sort { $0.cpu < $1.cpu }
        buffers.append(buffer)
    }
}
