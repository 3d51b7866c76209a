package import TraceModel

/// What a collector asks of an agent. The agent decides whether it may have it.
package struct SessionRequest: Hashable, Sendable {
    package struct Event: Hashable, Sendable {
        /// `system`, `system:event`, or a glob of either.
        package var pattern: String
        /// A kernel event filter (Documentation/trace/events.rst §5); empty for none.
        package var filter: String

        package init(pattern: String, filter: String = "") {
            self.pattern = pattern
            self.filter = filter
        }
    }

    package var clock: TraceClock
    package var bufferKiBPerCPU: Int
    package var events: [Event]
    /// Longest time that an event may wait in the guest before it is sent.
    package var flushMilliseconds: Int
    package var creditBytes: Int
    /// Who asks, for the "busy, held by …" answer.
    package var holder: String

    package init(
        clock: TraceClock, bufferKiBPerCPU: Int, events: [Event], flushMilliseconds: Int, creditBytes: Int,
        holder: String
    ) {
        self.clock = clock
        self.bufferKiBPerCPU = bufferKiBPerCPU
        self.events = events
        self.flushMilliseconds = flushMilliseconds
        self.creditBytes = creditBytes
        self.holder = holder
    }

    package func write(to body: inout BodyWriter) {
        body.put(clock.rawValue)
        body.put(bufferKiBPerCPU)
        body.put(events) { body, event in
            body.put(event.pattern)
            body.put(event.filter)
        }
        body.put(flushMilliseconds)
        body.put(creditBytes)
        body.put(holder, limit: SessionRequest.holderBytes)
    }

    private static let holderBytes = 256
    private static let patternBytes = 256

    /// Why no agent would take this request, in a sentence; nil when it is well. For whoever took it from a user: a filter
    /// is never cut to fit, because it would still be one, with another meaning.
    package var problem: String? {
        if events.count > Limits.eventPatterns {
            return "\(events.count) events are asked for; at most \(Limits.eventPatterns) patterns fit into one request"
        }
        for event in events {
            if event.pattern.utf8.count > SessionRequest.patternBytes {
                return
                    "an event pattern is longer than \(SessionRequest.patternBytes) bytes: '\(event.pattern.prefix(40))…'"
            }
            if event.filter.utf8.count > Limits.filterBytes {
                return "the filter of '\(event.pattern)' is longer than \(Limits.filterBytes) bytes"
            }
        }
        return nil
    }

    package init(from body: inout BodyReader) throws(MessageError) {
        let clock = try body.text(limit: 64)
        guard let known = TraceClock(rawValue: clock), known.isReadable else {
            throw body.error("the trace clock '\(clock.sanitized)' is not one that probes can read")
        }
        self.clock = known
        bufferKiBPerCPU = try body.integer(in: 4...(1 << 22))
        events = try body.array(limit: Limits.eventPatterns) { (body) throws(MessageError) in
            Event(
                pattern: try body.text(limit: SessionRequest.patternBytes),
                filter: try body.text(limit: Limits.filterBytes))
        }
        flushMilliseconds = try body.integer(in: 1...10_000)
        creditBytes = try body.integer(in: 4096...(1 << 30))
        holder = try body.label(limit: SessionRequest.holderBytes)
    }
}

/// The agent's answer: everything is set up, tracing is off until `start`.
package struct Prepared: Hashable, Sendable {
    /// Names this session on the probe connection.
    package var token: UInt64
    package var clock: TraceClock
    package var byteOrder: ByteOrder
    package var longSize: Int
    package var subBufferBytes: Int
    package var bufferKiBPerCPU: Int
    /// The CPUs whose ring buffers are read.
    package var cpus: [Int]
    /// Name of the private tracefs instance, for people who look there.
    package var instance: String
    /// The texts of `events/header_page` and `events/header_event`, for exporters.
    package var headerPage: String
    package var headerEvent: String

    package init(
        token: UInt64, clock: TraceClock, byteOrder: ByteOrder, longSize: Int, subBufferBytes: Int,
        bufferKiBPerCPU: Int, cpus: [Int], instance: String, headerPage: String = "", headerEvent: String = ""
    ) {
        self.token = token
        self.clock = clock
        self.byteOrder = byteOrder
        self.longSize = longSize
        self.subBufferBytes = subBufferBytes
        self.bufferKiBPerCPU = bufferKiBPerCPU
        self.cpus = cpus
        self.instance = instance
        self.headerPage = headerPage
        self.headerEvent = headerEvent
    }

    package func write(to body: inout BodyWriter) {
        body.put(token)
        body.put(clock.rawValue)
        body.put(UInt64(byteOrder.rawValue))
        body.put(longSize)
        body.put(subBufferBytes)
        body.put(bufferKiBPerCPU)
        body.put(cpus, limit: Limits.cpus) { $0.put($1) }
        body.put(instance, limit: 256)
        body.put(headerPage)
        body.put(headerEvent)
    }

    package init(from body: inout BodyReader) throws(MessageError) {
        token = try body.unsigned()
        let clock = try body.text(limit: 64)
        guard let known = TraceClock(rawValue: clock) else { throw body.error("unknown trace clock") }
        self.clock = known
        guard let order = ByteOrder(rawValue: try body.byte()) else { throw body.error("unknown byte order") }
        byteOrder = order
        longSize = try body.integer(in: 4...8)
        guard longSize == 4 || longSize == 8 else { throw body.error("a long of \(longSize) bytes") }
        subBufferBytes = try body.integer(in: 512...(1 << 20))
        bufferKiBPerCPU = try body.integer(in: 0...(1 << 30))
        cpus = try body.array(limit: Limits.cpus) { (body) throws(MessageError) in
            try body.integer(in: 0...Limits.cpus - 1)
        }
        instance = try body.label(limit: 256)
        headerPage = try body.text()
        headerEvent = try body.text()
    }
}

/// One event format of the session. Its place in the order of arrival is the event's type index.
package struct FormatMessage: Hashable, Sendable {
    package var system: String
    /// The `format` file as the kernel printed it.
    package var text: String

    package init(system: String, text: String) {
        self.system = system
        self.text = text
    }

    package func write(to body: inout BodyWriter) {
        body.put(system, limit: 256)
        body.put(text, limit: Limits.formatBytes)
    }

    package init(from body: inout BodyReader) throws(MessageError) {
        system = try body.text(limit: 256)
        text = try body.text(limit: Limits.formatBytes)
    }
}

/// The ring buffers' own books, and the recorder's: what exact loss accounting is checked against.
extension SourceStatistics {
    package func write(to body: inout BodyWriter) {
        body.put(cpus, limit: Limits.cpus) { body, cpu in
            body.put(cpu.cpu)
            body.put(cpu.overrun)
            body.put(cpu.read)
            body.put(cpu.shed)
            body.put(cpu.delivered)
        }
        body.put(cpuNanoseconds)
        body.put(residentBytes)
        body.put(isFinal)
        body.put(anomalies.sorted { $0.key.rawValue < $1.key.rawValue }) { body, entry in
            body.put(UInt64(entry.key.rawValue))
            body.put(entry.value)
        }
    }

    package init(from body: inout BodyReader) throws(MessageError) {
        let cpus = try body.array(limit: Limits.cpus) { (body) throws(MessageError) in
            CPU(
                cpu: try body.integer(in: 0...Limits.cpus - 1), overrun: try body.unsigned(),
                read: try body.unsigned(), shed: try body.unsigned(), delivered: try body.unsigned())
        }
        self.init(
            cpus: cpus, cpuNanoseconds: try body.unsigned(), residentBytes: try body.unsigned(),
            isFinal: try body.bool())
        let entries = try body.array(limit: 256) { (body) throws(MessageError) in
            (try body.integer(in: 0...255), try body.unsigned())
        }
        // One that this version does not know is counted by the newer peer only.
        for (code, count) in entries { if let known = Anomaly(rawValue: UInt8(code)) { anomalies[known] = count } }
    }
}

extension StealSample {
    package func write(to body: inout BodyWriter) {
        body.put(ticks.rawValue)
        body.put(cpus, limit: Limits.cpus) { body, cpu in
            body.put(cpu.cpu)
            body.put(cpu.nanoseconds)
        }
    }

    package init(from body: inout BodyReader) throws(MessageError) {
        self.init(
            ticks: TraceTicks(try body.unsigned()),
            cpus: try body.array(limit: Limits.cpus) { (body) throws(MessageError) in
                CPU(cpu: try body.integer(in: 0...Limits.cpus - 1), nanoseconds: try body.unsigned())
            })
    }
}

/// Names of tasks that existed before the session: without them the first switch to each would show a bare number.
package struct TaskNamesMessage: Hashable, Sendable {
    package struct Task: Hashable, Sendable {
        package var tid: Int32
        package var comm: String

        package init(tid: Int32, comm: String) {
            self.tid = tid
            self.comm = comm
        }
    }

    package var tasks: [Task]

    package init(tasks: [Task]) { self.tasks = tasks }

    /// The same names in messages that each fit a frame: at most 8,192 × (5 + 1 + 64) bytes.
    package var parts: [TaskNamesMessage] {
        stride(from: 0, to: min(tasks.count, Limits.taskNames), by: TaskNamesMessage.tasksPerPart).map {
            TaskNamesMessage(tasks: Array(tasks[$0..<min($0 + TaskNamesMessage.tasksPerPart, tasks.count)]))
        }
    }

    private static let tasksPerPart = 8192

    package func write(to body: inout BodyWriter) {
        body.put(tasks, limit: Limits.taskNames) { body, task in
            body.put(signed: Int64(task.tid))
            body.put(task.comm, limit: 64)
        }
    }

    package init(from body: inout BodyReader) throws(MessageError) {
        tasks = try body.array(limit: Limits.taskNames) { (body) throws(MessageError) in
            Task(tid: Int32(truncatingIfNeeded: try body.signed()), comm: try body.text(limit: 64))
        }
    }
}
