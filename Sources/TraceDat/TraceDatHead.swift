package import TraceModel

/// Everything of a file of version 7 but its events, in the making: the mirror of `TraceDatFile`.
///
/// Written uncompressed, with the sections that `trace-cmd report` and KernelShark 2 need (trace-cmd.dat.v7(5)): layout of
/// sub-buffers, formats, symbols, task names, options, and one buffer. The options name places that lie behind them, so
/// that the sizes of all events must be known first.
package struct TraceDatHead {
    package var byteOrder: ByteOrder
    package var longSize: Int
    package var subBufferBytes: Int
    /// Empty for the usual layout.
    package var headerPage = ""
    package var headerEvent = ""
    /// In the order of their numbers in the source: system and text.
    package var formats: [(system: String, text: String)] = []
    package var tasks: [TraceDatFile.Task] = []
    /// As in `/proc/kallsyms`.
    package var symbols: [UInt8] = []
    package var options = TraceDatOptions()

    package init(byteOrder: ByteOrder, longSize: Int, subBufferBytes: Int) {
        self.byteOrder = byteOrder
        self.longSize = longSize
        self.subBufferBytes = subBufferBytes
    }

    /// The file up to its events; `cpus` gives their bytes, which follow in that order without gaps.
    package func bytes(cpus: [(cpu: Int, bytes: Int)]) -> [UInt8] {
        var file = ByteBuilder(order: byteOrder)
        file.bytes += TraceDatFile.magic
        file.put(terminated: "7")
        file.put(byteOrder.rawValue)
        file.put(UInt8(longSize))
        file.put(UInt32(subBufferBytes))
        file.put(terminated: "none")
        file.put(terminated: "")
        let optionsPlace = file.bytes.count
        file.put(UInt64(0))
        var places: [(TraceDatOptions.Code, Int)] = []
        func add(_ id: TraceDatSection.ID, _ code: TraceDatOptions.Code, _ body: ByteBuilder) {
            places.append((code, file.bytes.count))
            file.put(section: id, body.bytes)
        }
        add(.headerInfo, .headerInfo, headerInfo)
        add(.ftraceEvents, .ftraceEvents, ftraceEvents)
        add(.eventFormats, .eventFormats, eventFormats)
        if !symbols.isEmpty { add(.kallsyms, .kallsyms, text(symbols, wide: false)) }
        add(.commandLines, .commandLines, text(Array(tasks.map { "\($0.tid) \($0.comm)\n" }.joined().utf8), wide: true))

        file.replace(long: UInt64(file.bytes.count), size: 8, at: optionsPlace)
        var body = ByteBuilder(order: byteOrder)
        for (code, place) in places {
            var data = ByteBuilder(order: byteOrder)
            data.put(UInt64(place))
            body.put(option: code, data.bytes)
        }
        options.write(to: &body)
        // What follows has a size that does not depend on what it says.
        let buffer = bufferOption(cpus, section: 0, data: 0)
        let doneBytes = 6 + 8
        let section = file.bytes.count + TraceDatSection.headerBytes + body.bytes.count + 6 + buffer.count + doneBytes
        let data = (section + TraceDatSection.headerBytes + subBufferBytes - 1) / subBufferBytes * subBufferBytes
        body.put(option: .buffer, bufferOption(cpus, section: section, data: data))
        var done = ByteBuilder(order: byteOrder)
        done.put(UInt64(0))
        body.put(option: .done, done.bytes)
        file.put(section: .options, body.bytes)

        let padding = data - section - TraceDatSection.headerBytes
        file.put(
            sectionHeader: .buffer, bytes: UInt64(padding + cpus.reduce(0) { $0 + $1.bytes }))
        file.put(zeros: padding)
        return file.bytes
    }

    private func bufferOption(_ cpus: [(cpu: Int, bytes: Int)], section: Int, data: Int) -> [UInt8] {
        var option = ByteBuilder(order: byteOrder)
        option.put(UInt64(section))
        option.put(terminated: "")
        option.put(terminated: options.clock ?? "local")
        option.put(UInt32(subBufferBytes))
        option.put(UInt32(cpus.count))
        var place = data
        for cpu in cpus {
            option.put(UInt32(cpu.cpu))
            option.put(UInt64(place))
            option.put(UInt64(cpu.bytes))
            place += cpu.bytes
        }
        return option.bytes
    }

    private var headerInfo: ByteBuilder {
        var body = ByteBuilder(order: byteOrder)
        let data = subBufferBytes - 8 - longSize
        let page =
            headerPage.contains("size:\(data);")
            ? headerPage
            : """
            \tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;
            \tfield: local_t commit;\toffset:8;\tsize:\(longSize);\tsigned:1;
            \tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;
            \tfield: char data;\toffset:\(8 + longSize);\tsize:\(data);\tsigned:0;

            """
        let event =
            headerEvent.isEmpty
            ? """
            # compressed entry header
            \ttype_len    :    5 bits
            \ttime_delta  :   27 bits
            \tarray       :   32 bits

            \tpadding     : type == 29
            \ttime_extend : type == 30
            \ttime_stamp : type == 31
            \tdata max type_len  == 28

            """ : headerEvent
        for (name, text) in [("header_page", page), ("header_event", event)] {
            body.put(terminated: name)
            body.put(UInt64(text.utf8.count))
            body.bytes += text.utf8
        }
        return body
    }

    private var ftraceEvents: ByteBuilder {
        var body = ByteBuilder(order: byteOrder)
        body.put(formats: formats.filter { $0.system == "ftrace" }.map(\.text))
        return body
    }

    private var eventFormats: ByteBuilder {
        var systems: [(name: String, texts: [String])] = []
        for format in formats where format.system != "ftrace" {
            if let place = systems.firstIndex(where: { $0.name == format.system }) {
                systems[place].texts.append(format.text)
            } else {
                systems.append((format.system, [format.text]))
            }
        }
        var body = ByteBuilder(order: byteOrder)
        body.put(UInt32(systems.count))
        for system in systems {
            body.put(terminated: system.name)
            body.put(formats: system.texts)
        }
        return body
    }

    private func text(_ text: [UInt8], wide: Bool) -> ByteBuilder {
        var body = ByteBuilder(order: byteOrder)
        if wide { body.put(UInt64(text.count)) } else { body.put(UInt32(text.count)) }
        body.bytes += text
        return body
    }
}

extension ByteBuilder {
    /// Not compressed, and without a description.
    fileprivate mutating func put(sectionHeader id: TraceDatSection.ID, bytes count: UInt64) {
        put(id.rawValue)
        put(UInt16(0))
        put(UInt32.max)
        put(count)
    }

    fileprivate mutating func put(section id: TraceDatSection.ID, _ body: [UInt8]) {
        put(sectionHeader: id, bytes: UInt64(body.count))
        bytes += body
    }

    fileprivate mutating func put(formats texts: [String]) {
        put(UInt32(texts.count))
        for text in texts {
            put(UInt64(text.utf8.count))
            bytes += text.utf8
        }
    }

    fileprivate mutating func put(option code: TraceDatOptions.Code, _ data: [UInt8]) {
        put(code.rawValue)
        put(UInt32(data.count))
        bytes += data
    }
}

extension TraceDatOptions {
    /// Those that have a value, except the ones that point to sections.
    fileprivate func write(to body: inout ByteBuilder) {
        func put(_ code: Code, _ fill: (inout ByteBuilder) -> Void) {
            var data = ByteBuilder(order: body.order)
            fill(&data)
            body.put(option: code, data.bytes)
        }
        if let clock { put(.traceClock) { $0.put(terminated: "[\(clock)]") } }
        if let uname { put(.uname) { $0.put(terminated: uname) } }
        if let version { put(.version) { $0.put(terminated: version) } }
        if let traceID { put(.traceID) { $0.put(traceID) } }
        for text in cpuStatistics { put(.cpuStatistics) { $0.put(terminated: text) } }
        for guest in guests {
            put(.guest) {
                $0.put(terminated: guest.name)
                $0.put(guest.traceID)
                $0.put(UInt32(guest.cpus.count))
                for cpu in guest.cpus {
                    $0.put(UInt32(truncatingIfNeeded: cpu.vcpu))
                    $0.put(cpu.tid)
                }
            }
        }
        if let scale = ticksToNanoseconds {
            put(.ticksToNanoseconds) {
                $0.put(scale.multiplier)
                $0.put(scale.shift)
                $0.put(UInt64(0))
            }
        }
        if let timeShift { put(.timeShift) { timeShift.write(to: &$0) } }
        if let cpuCount { put(.cpuCount) { $0.put(UInt32(cpuCount)) } }
    }
}

extension TraceDatOptions.TimeShift {
    fileprivate func write(to data: inout ByteBuilder) {
        data.put(peerTraceID)
        data.put(UInt32(isInterpolated ? 1 : 0))
        data.put(UInt32(cpus.count))
        for samples in cpus {
            data.put(UInt32(samples.count))
            for sample in samples { data.put(sample.ticks) }
            for sample in samples { data.put(sample.offset) }
            for sample in samples { data.put(sample.scaling) }
        }
        for sample in cpus.joined() { data.put(sample.fraction) }
    }
}
