import SessionLog
import TraceModel
import Wire

/// One record of every kind, with the values that are hard to write: negative, absent, empty, not ASCII.
enum SampleRecords {
    static let guest = SourceID(7)

    static let session = LogRecord.session(
        SessionFacts(
            program: "tandem 0.1.0", hostname: "häuschen", kernelRelease: "6.18.1", bootID: "3f0c1c0e-6a1b",
            start: HostTime(nanoseconds: -5), wallClockSeconds: 1_763_710_000, maximumLagNanoseconds: 500_000_000))

    static let prepared = Prepared(
        token: .max, clock: .x86TSC, byteOrder: .little, longSize: 8, subBufferBytes: 16_384, bufferKiBPerCPU: 4096,
        cpus: [0, 3], instance: "tandem-agent-12-34")

    static func facts(isHost: Bool) -> SourceFacts {
        SourceFacts(
            name: "web1", isHost: isHost, endpoint: isHost ? "" : "vsock:3:9823", hostname: "web1", bootID: "b",
            kernelRelease: "6.1", prepared: prepared)
    }

    static let opened = LogRecord.sourceOpened(
        guest, facts(isHost: false),
        formats: [
            FormatMessage(system: "sched", text: "name: sched_switch\nID: 372\n"),
            FormatMessage(system: "kvm", text: ""),
        ],
        names: TaskNamesMessage(tasks: [.init(tid: 1, comm: "systemd"), .init(tid: -1, comm: "")]))

    static let machine = VMFacts(
        vmmPID: 29, vmm: "qemu", name: "web1", cid: 3, uuid: "0d9a6f3e", macAddresses: ["52:54:00:12:34:56"],
        vsockPaths: ["/run/fc.vsock"], vcpuThreads: [.init(tid: 31, vcpu: 0), .init(tid: 32, vcpu: nil)],
        isEmulated: true)

    static let all: [LogRecord] = [
        session, opened,
        .sourceOpened(.host, facts(isHost: true), formats: [], names: TaskNamesMessage(tasks: [])),
        .message(guest, .batch([1, 2, 3])),
        .message(.host, .watermark(TraceTicks(.max))),
        .message(
            guest,
            .statistics(
                SourceStatistics(
                    cpus: [.init(cpu: 1, overrun: 2, read: 3, shed: 1, delivered: 2)], cpuNanoseconds: 4,
                    residentBytes: 5, isFinal: true, anomalies: [.timeWentBack: 6]))),
        .message(guest, .onlineCPUs([0, 2])),
        .message(guest, .steal(StealSample(ticks: TraceTicks(7), cpus: [.init(cpu: 0, nanoseconds: 10_000_000)]))),
        .probe(
            guest,
            ClockProbe(
                hostSent: HostTime(nanoseconds: .min), guestReceived: TraceTicks(0), guestSent: TraceTicks(.max),
                hostReceived: HostTime(nanoseconds: .max))),
        .clock(.host, .scale(TSCScale(multiplier: .max, shift: 63, zero: .min))),
        .clock(
            guest,
            .kvm(
                KVMClock(
                    scale: TSCScale(multiplier: 798_915, shift: 21, zero: -3),
                    vcpus: [
                        .init(vcpu: 0, offset: .min), .init(vcpu: 1, offset: 5, ratio: 1 << 48, fractionBits: 48),
                    ], since: HostTime(nanoseconds: .max)))),
        .clock(
            guest,
            .given(
                GivenClock(
                    cpu: 3,
                    knots: [
                        .init(ticks: TraceTicks(5), host: HostTime(nanoseconds: -7), boundNanoseconds: 1),
                        .init(ticks: TraceTicks(.max), host: HostTime(nanoseconds: .max), boundNanoseconds: .max),
                    ], nanosecondsPerTick: 0.375, method: "trace-cmd ptp"))),
        .clock(guest, .given(GivenClock(knots: [], nanosecondsPerTick: 1, method: ""))), .clock(.host, .partialEntries),
        .machine(machine), .machine(VMFacts(vmmPID: 1, vmm: "", name: "")),
        .link(guest, vmmPID: 29, evidence: "cid"),
        .kernelThreads([2, 3, .max]), .kernelThreads([]),
        .threadsEnded([29, 31], by: HostTime(nanoseconds: -5)), .threadsEnded([], by: HostTime(nanoseconds: .max)),
        .sourceClosed(guest, reason: "drained", isFailure: false),
        .sourceClosed(.host, reason: "the agent closed the connection", isFailure: true),
    ]
}
