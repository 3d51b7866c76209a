import Glibc

/// A tracefs instance of our own, for tests and benchmarks: its buffers and its events are apart from everything else on
/// the machine, and it goes away with this value.
package struct TracingInstance: ~Copyable {
    package static let tracing = "/sys/kernel/tracing"
    package let path: String

    /// What this machine lacks for recording, in words for a skipped test; nil when it lacks nothing.
    package static func missing() -> String? {
        if geteuid() != 0 { return "root: tracefs instances are made by root only" }
        if !Files.exists("\(tracing)/instances") { return "tracefs with instances at \(tracing)" }
        return nil
    }

    /// Makes the instance, stopped and empty, with `kilobytes` of buffer for each CPU that keep the oldest events.
    package init(label: String, kilobytesPerCPU: Int, subBufferKilobytes: Int? = nil) throws {
        path = "\(Self.tracing)/instances/tandem-test-\(label)-\(getpid())"
        guard mkdir(path, 0o700) == 0 else {
            throw ChildProcess.Failure(description: "cannot make \(path): \(String(cString: strerror(errno)))")
        }
        try set("tracing_on", "0")
        try set("options/overwrite", "0")
        if let subBufferKilobytes { try set("buffer_subbuf_size_kb", "\(subBufferKilobytes)") }
        try set("buffer_size_kb", "\(kilobytesPerCPU)")
    }

    deinit {
        // Instances are busy as long as they trace.
        try? Files.write("0".utf8, to: "\(path)/tracing_on")
        try? Files.write("0".utf8, to: "\(path)/events/enable")
        rmdir(path)
    }

    package func set(_ file: String, _ value: String) throws { try Files.write(value.utf8, to: "\(path)/\(file)") }

    package func get(_ file: String) throws -> String { try Files.readText("\(path)/\(file)") }

    /// Switches on those of `events` (`sched`, `irq/irq_handler_entry`) that this kernel has.
    package func enable(_ events: [String]) throws {
        for event in events where Files.exists("\(path)/events/\(event)/enable") {
            try set("events/\(event)/enable", "1")
        }
    }

    /// Numbers of the CPUs that have a buffer.
    package func cpus() throws -> [Int] {
        try Files.list("\(path)/per_cpu").compactMap { Int($0.dropFirst(3)) }.sorted()
    }

    /// A number of `per_cpu/cpuN/stats`.
    package func statistic(_ name: String, cpu: Int) throws -> Int {
        for line in try get("per_cpu/cpu\(cpu)/stats").split(separator: "\n") where line.hasPrefix("\(name): ") {
            return Int(line.dropFirst(name.utf8.count + 2)) ?? 0
        }
        return 0
    }

    /// Bytes of one sub-buffer, its header included.
    package func subBufferBytes() throws -> Int {
        guard Files.exists("\(path)/buffer_subbuf_size_kb") else { return Int(sysconf(Int32(_SC_PAGESIZE))) }
        return (Int(try get("buffer_subbuf_size_kb").split(separator: "\n").first ?? "") ?? 4) * 1024
    }

    /// Takes everything out of a CPU's buffer: whole sub-buffers, one after another.
    package func drain(cpu: Int) throws -> [UInt8] {
        let raw = "\(path)/per_cpu/cpu\(cpu)/trace_pipe_raw"
        let file = open(raw, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        guard file >= 0, let pages = Files.readToEnd(file, chunk: try subBufferBytes()) else {
            throw ChildProcess.Failure(description: "cannot read \(raw): \(String(cString: strerror(errno)))")
        }
        close(file)
        return pages
    }
}

extension TracingInstance {
    /// The text of each event's format file, by system and event.
    package static func formatTexts() throws -> [(system: String, event: String, text: String)] {
        var texts: [(system: String, event: String, text: String)] = []
        for system in try Files.list("\(tracing)/events") {
            for event in (try? Files.list("\(tracing)/events/\(system)")) ?? [] {
                let file = "\(tracing)/events/\(system)/\(event)/format"
                if Files.exists(file) { texts.append((system, event, try Files.readText(file))) }
            }
        }
        return texts
    }
}
