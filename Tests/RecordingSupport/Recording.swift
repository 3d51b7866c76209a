import Decoding
import Glibc
package import TraceModel

/// Raw ring-buffer sub-buffers of this machine and what is needed to decode them: real input for tests and benchmarks.
package struct Recording {
    /// Whole sub-buffers of each CPU, one after another.
    package var pages: [(cpu: Int, bytes: [UInt8])]
    package var subBufferBytes: Int
    package var formats: FormatTable

    package init(pages: [(cpu: Int, bytes: [UInt8])], subBufferBytes: Int, formats: FormatTable) {
        self.pages = pages
        self.subBufferBytes = subBufferBytes
        self.formats = formats
    }

    /// What most recordings are made of: the events of a busy host.
    package static let usualEvents = ["sched", "irq", "raw_syscalls", "timer"]

    /// Records this machine under load into memory until `isEnough` says so, given the events so far and the seconds
    /// since the start; it is asked about once a second.
    ///
    /// Into memory, and read after the end: a reader that keeps up with the writer gets sub-buffers that are nearly
    /// empty, which say little about a decoder.
    package static func make(
        label: String, events: [String] = usualEvents, megabytes: Int = 256, subBufferKilobytes: Int? = nil,
        isEnough: (_ events: Int, _ seconds: Double) -> Bool
    ) throws -> Recording {
        let cpuCount = max(1, Int(sysconf(Int32(_SC_NPROCESSORS_CONF))))
        let instance = try TracingInstance(
            label: label, kilobytesPerCPU: max(8192, megabytes * 1024 / cpuCount),
            subBufferKilobytes: subBufferKilobytes)
        // As in trace.dat: nanoseconds, stamped without a look at other CPUs.
        try instance.set("trace_clock", "local")
        try instance.enable(events)
        let cpus = try instance.cpus()
        let start = Clock.nanoseconds()
        try instance.set("tracing_on", "1")
        repeat {
            try makeLoad()
        } while !isEnough(
            try cpus.reduce(0) { try $0 + instance.statistic("entries", cpu: $1) },
            Double(Clock.nanoseconds() - start) / 1e9)
        try instance.set("tracing_on", "0")
        return Recording(
            pages: try cpus.map { ($0, try instance.drain(cpu: $0)) }, subBufferBytes: try instance.subBufferBytes(),
            formats: try thisKernelsFormats())
    }

    /// Reads `cpuN.raw` of a folder; the formats are those of its `events` folder, or of this kernel.
    package static func read(folder: String, subBufferBytes: Int) throws -> Recording {
        let names = try Files.list(folder).filter { $0.hasPrefix("cpu") && $0.hasSuffix(".raw") }
        var formats = FormatTable(byteOrder: .native, longSize: MemoryLayout<Int>.size)
        let events = "\(folder)/events"
        if Files.exists(events) {
            for system in try Files.list(events) {
                for event in (try? Files.list("\(events)/\(system)")) ?? [] {
                    let text = try Files.readText("\(events)/\(system)/\(event)/format")
                    formats.append(try EventFormatParser.parse(text, system: system))
                }
            }
        } else {
            formats = try thisKernelsFormats()
        }
        return Recording(
            pages: try names.map { (Int($0.dropFirst(3).dropLast(4)) ?? 0, try Files.read("\(folder)/\($0)")) },
            subBufferBytes: subBufferBytes, formats: formats)
    }

    package static func thisKernelsFormats() throws -> FormatTable {
        var table = FormatTable(byteOrder: .native, longSize: MemoryLayout<Int>.size)
        for (system, _, text) in try TracingInstance.formatTexts() {
            table.append(try EventFormatParser.parse(text, system: system))
        }
        return table
    }

    /// Decodes everything, in batches of about `batchEvents`.
    package func decode(
        batchEvents: Int = 4096, anomalies: inout AnomalyCounts, _ take: (EventBatch) throws -> Void
    ) rethrows {
        var decoder = SubBufferDecoder(formats: formats)
        for (cpu, bytes) in pages {
            var batch = EventBatch(cpu: cpu)
            for start in stride(from: 0, to: bytes.count, by: subBufferBytes) {
                let page = bytes.span.bytes.extracting(start..<min(start + subBufferBytes, bytes.count))
                decoder.decode(page, cpu: cpu, into: &batch, anomalies: &anomalies)
                if batch.headers.count >= batchEvents {
                    try take(batch)
                    batch.removeAll(cpu: cpu)
                }
            }
            if !batch.isEmpty { try take(batch) }
        }
    }

    /// Writes `cpuN.raw` and a `trace.dat` of the same sub-buffers to `folder`, and gives the latter's path.
    ///
    /// `trace-cmd restore` takes the header from this machine, so that this works where the recording was made. Without
    /// print formats, `trace-cmd report -R` shows the plain value of each field; with them it shows some of the values
    /// as the print format does (`%03d`, `%x`, a function's name).
    package func writeTraceDat(to folder: String, traceCmd: String, printFormats: Bool = true) throws -> String {
        var files: [String] = []
        for (cpu, bytes) in pages {
            files.append("\(folder)/cpu\(cpu).raw")
            try Files.write(bytes, to: "\(folder)/cpu\(cpu).raw")
        }
        try ChildProcess.run([traceCmd, "restore", "-c", "-o", "\(folder)/head.dat"])
        if !printFormats {
            var head = try Files.read("\(folder)/head.dat")
            Self.blankPrintFormats(&head)
            try Files.write(head, to: "\(folder)/head.dat")
        }
        let result = "\(folder)/trace.dat"
        try ChildProcess.run([traceCmd, "restore", "-i", "\(folder)/head.dat", "-o", result] + files)
        return result
    }

    /// Turns each print format into a literal of spaces without arguments, of the same length.
    package static func blankPrintFormats(_ head: inout [UInt8]) {
        let marker = Array("\nprint fmt: ".utf8)
        var index = 0
        while index + marker.count < head.count {
            guard head[index] == marker[0], head[index...].starts(with: marker) else {
                index += 1
                continue
            }
            index += marker.count
            let end = head[index...].firstIndex(of: marker[0]) ?? head.count
            guard end - index >= 2 else { continue }
            for place in index..<end { head[place] = UInt8(ascii: " ") }
            head[index] = UInt8(ascii: "\"")
            head[end - 1] = UInt8(ascii: "\"")
            index = end
        }
    }

    /// Makes events for about a second: two threads that wake each other, short-lived processes, one-byte writes.
    private static func makeLoad() throws {
        let shell = ChildProcess.find("sh") ?? "/bin/sh"
        let writes = try ChildProcess([
            shell, "-c", "dd if=/dev/zero bs=1 count=40000 2>/dev/null | dd bs=1 of=/dev/null 2>/dev/null",
        ])
        let forks = try ChildProcess([shell, "-c", "i=0; while [ $i -lt 40 ]; do /bin/true; i=$((i+1)); done"])
        if let perf = ChildProcess.find("perf") {
            try ChildProcess.run([perf, "bench", "sched", "pipe", "-l", "15000"])
        }
        _ = writes.wait()
        _ = forks.wait()
    }
}

/// A folder in `/tmp` that goes away with this value.
package struct TemporaryFolder: ~Copyable {
    package let path: String

    package init() throws {
        var template = Array("/tmp/tandem-XXXXXX".utf8CString)
        guard unsafe mkdtemp(&template) != nil else {
            throw ChildProcess.Failure(description: "cannot make a folder in /tmp: \(String(cString: strerror(errno)))")
        }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit {
        for name in (try? Files.list(path)) ?? [] { unlink("\(path)/\(name)") }
        rmdir(path)
    }
}
