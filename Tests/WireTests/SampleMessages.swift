import Testing
import TraceModel
import Wire

/// One message of every kind, and hostile ones.
enum SampleMessages {
    static let hello = Hello(
        role: .agent, program: "tandem-agent 1.0", hostname: "web1", bootID: "3f0c1c0e-6a1b-4a4e-8d6c-2f1f0e7a9b01",
        productUUID: "0d9a6f3e-11d2-4c41-9f3b-7f6f1f2a3b4c", macAddresses: ["52:54:00:12:34:56", "52:54:00:ab:cd:ef"],
        kernelRelease: "6.18.1", cpuCount: 4, token: 0)

    static let request = SessionRequest(
        clock: .monoRaw, bufferKiBPerCPU: 4096,
        events: [.init(pattern: "sched"), .init(pattern: "irq:softirq_*", filter: "vec == 1 || vec == 9")],
        flushMilliseconds: 16, creditBytes: Limits.creditBytes, holder: "host1")

    static let prepared = Prepared(
        token: 0x1122_3344_5566_7788, clock: .monoRaw, byteOrder: .little, longSize: 8, subBufferBytes: 65_536,
        bufferKiBPerCPU: 4096, cpus: [0, 1, 7], instance: "tandem-1234", headerPage: "field: u64 timestamp",
        headerEvent: "# compressed entry header")

    static let statistics = SourceStatistics(
        cpus: [
            .init(cpu: 0, overrun: 0, read: 12, shed: 2, delivered: 10),
            .init(cpu: Limits.cpus - 1, overrun: .max, read: .max, shed: .max, delivered: .max),
        ], cpuNanoseconds: .max, residentBytes: 1 << 40, isFinal: true,
        anomalies: Dictionary(uniqueKeysWithValues: Anomaly.allCases.map { ($0, UInt64.max - UInt64($0.rawValue)) }))

    /// Plain ones, one for each kind in the order of the kinds.
    static let ofEveryKind: [Message] = Message.Code.allCases.map(sample)

    /// No `default`: a kind that is added does not compile without a sample.
    static func sample(_ code: Message.Code) -> Message {
        switch code {
        case .hello: .hello(hello)
        case .error: .error(PeerError(.busy, "busy, held by host2", subject: "vsock:2"))
        case .request: .request(request)
        case .prepared: .prepared(prepared)
        case .format: .format(FormatMessage(system: "sched", text: "name: sched_switch\nID: 372\nformat:\n"))
        case .taskNames: .taskNames(TaskNamesMessage(tasks: [.init(tid: 1, comm: "systemd")]))
        case .ready: .ready
        case .start: .start
        case .batch: .batch([0, 0, 0, 0, 0])
        case .watermark: .watermark(TraceTicks(123_456_789_000))
        case .statistics: .statistics(statistics)
        case .onlineCPUs: .onlineCPUs([0, 1, 3])
        case .steal: .steal(StealSample(ticks: TraceTicks(1200), cpus: [.init(cpu: 1, nanoseconds: 30_000_000)]))
        case .credit: .credit(65_536)
        case .probe: .probe(id: 1)
        case .probeReply: .probeReply(id: 1, received: TraceTicks(1000), sent: TraceTicks(1001))
        case .drain: .drain
        case .drained: .drained
        }
    }

    /// Texts that a peer may send and that come back as they are.
    static let texts = [
        "", "a", String(repeating: "x", count: 256), "naïve \u{1F600}", String(repeating: "\u{0301}", count: 100),
    ]

    /// The largest and the emptiest of each kind.
    static let extreme: [Message] = [
        .hello(Hello(role: .collector, program: "")),
        .hello(
            Hello(
                role: .probe, program: texts[2], hostname: texts[3], bootID: texts[4], productUUID: texts[2],
                macAddresses: Array(repeating: String(repeating: "m", count: 64), count: 256), kernelRelease: texts[2],
                cpuCount: Limits.cpus, token: .max)),
        .error(PeerError(.timedOut, "", subject: "")),
        .error(
            PeerError(
                .protocolViolation, String(repeating: "e", count: Limits.textBytes),
                subject: String(repeating: "é", count: Limits.textBytes / 2))),
        .request(
            SessionRequest(
                clock: .x86TSC, bufferKiBPerCPU: 4, events: [], flushMilliseconds: 1, creditBytes: 4096, holder: "")),
        .request(
            SessionRequest(
                clock: .tai, bufferKiBPerCPU: 1 << 22,
                events: Array(
                    repeating: .init(
                        pattern: String(repeating: "p", count: 256),
                        filter: String(repeating: "f", count: Limits.filterBytes)), count: Limits.eventPatterns),
                flushMilliseconds: 10_000, creditBytes: 1 << 30, holder: texts[2])),
        .prepared(
            Prepared(
                token: .max, clock: .boot, byteOrder: .big, longSize: 4, subBufferBytes: 1 << 20,
                bufferKiBPerCPU: 1 << 30, cpus: Array(0..<Limits.cpus), instance: texts[2],
                headerPage: String(repeating: "h", count: Limits.textBytes), headerEvent: "\u{1b}[31m")),
        .prepared(
            Prepared(
                token: 0, clock: .mono, byteOrder: .little, longSize: 8, subBufferBytes: 512, bufferKiBPerCPU: 0,
                cpus: [], instance: "")),
        .format(FormatMessage(system: "", text: "")),
        .format(FormatMessage(system: texts[2], text: String(repeating: "\t", count: Limits.formatBytes))),
        .taskNames(TaskNamesMessage(tasks: [])),
        .taskNames(
            TaskNamesMessage(
                tasks: [
                    .init(tid: .min, comm: ""), .init(tid: .max, comm: String(repeating: "c", count: 64)),
                    .init(tid: -1, comm: "\u{1b}[2J"),
                ])),
        .batch([]),
        .batch([UInt8](repeating: 0xff, count: Limits.frameBytes)),
        .watermark(TraceTicks(0)), .watermark(TraceTicks(.max)),
        .statistics(SourceStatistics(cpus: [], cpuNanoseconds: 0, residentBytes: 0, isFinal: false)),
        .onlineCPUs([]), .onlineCPUs(Array(0..<Limits.cpus)),
        .steal(StealSample(ticks: TraceTicks(0), cpus: [])),
        .steal(
            StealSample(
                ticks: TraceTicks(.max), cpus: (0..<Limits.cpus).map { .init(cpu: $0, nanoseconds: .max) })),
        .credit(1), .credit(1 << 30),
        .probe(id: 0), .probe(id: .max),
        .probeReply(id: .max, received: TraceTicks(.max), sent: TraceTicks(0)),
    ]
}

/// Named by its kind in test reports: written out, the largest are megabytes.
extension Message: CustomTestStringConvertible {
    package var testDescription: String { "\(code)" }
}
