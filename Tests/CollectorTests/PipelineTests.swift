import Collector
import SessionLog
import Testing
import TraceModel
import Wire

@Suite(.timeLimit(.minutes(10))) struct PipelineTests {
    /// A session without rounds, then those inputs; the anomalies that they cause.
    private func check(
        _ inputs: [PipelineInput], _ expected: [String: UInt64], sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        var pipeline = CollectorPipeline()
        for input in try SyntheticSession(SyntheticSession.Plan(rounds: 0)).inputs.dropLast(3) { pipeline.apply(input) }
        #expect(pipeline.snapshot().health.anomalies == [], sourceLocation: sourceLocation)
        for input in inputs { pipeline.apply(input) }
        let anomalies = pipeline.snapshot().health.anomalies
        let counts = Dictionary(uniqueKeysWithValues: anomalies.map { ($0.name, $0.count) })
        #expect(counts == expected, sourceLocation: sourceLocation)
    }

    @Test func `what cannot be understood is counted by name, and what has no source is passed over`() throws {
        let guest = SourceID(1)
        try check([.record(.message(guest, .batch([0xff])))], ["batch_malformed": 1])
        try check([.record(.message(guest, .batch([])))], ["batch_malformed": 1])
        try check(
            [.record(.message(guest, .drained)), .record(.message(guest, .ready))], ["unknown_message_skipped": 2])
        try check([.record(.message(SourceID(9), .batch([0xff])))], [:])
        try check([.batch(SourceID(9), EventBatch(cpu: 0))], [:])
        try check([.record(.sourceClosed(SourceID(9), reason: "", isFailure: true))], [:])
        try check([.record(.link(SourceID(9), vmmPID: 1, evidence: ""))], [:])
    }

    @Test func `events whose guest's clock never becomes known are counted and not placed`() throws {
        let table = try KernelTexts.table(KernelTexts.guest)
        var batch = EventBatch(cpu: 0)
        for number in 0..<5 {
            batch.append("sched_switch", of: table, at: UInt64(number), pid: 0, ["next_pid": 1, "prev_pid": 0])
        }
        let source = SourceID(5)
        let opening = LogRecord.sourceOpened(
            source,
            SourceFacts(
                name: "late", isHost: false, endpoint: "", hostname: "", bootID: "", kernelRelease: "",
                prepared: Prepared(
                    token: 0, clock: .monoRaw, byteOrder: .native, longSize: 8, subBufferBytes: 4096,
                    bufferKiBPerCPU: 4, cpus: [0], instance: "")),
            formats: KernelTexts.guest, names: TaskNamesMessage(tasks: []))
        var encoder = BatchEncoder(formats: table)
        let frames = encoder.frames(for: batch)
        try check(
            [.record(opening)] + frames.map { .record(.message(source, .batch($0.body))) }
                + [source, .host].map { .record(.sourceClosed($0, reason: "", isFailure: false)) },
            ["clock_unmapped": 5])
    }

    @Test func `losses without a number are counted when the kernel has said its last`() throws {
        var pipeline = CollectorPipeline()
        for input in try SyntheticSession(SyntheticSession.Plan(rounds: 0)).inputs.dropLast(3) { pipeline.apply(input) }
        func lost() -> [UInt64] {
            let lost = pipeline.snapshot().sources[0].lost
            return [lost.ringBuffer, lost.agent, lost.malformed, lost.ofUnknownSize]
        }
        func tell(overrun: UInt64, isFinal: Bool) {
            let cpus = [
                SourceStatistics.CPU(cpu: 0, overrun: overrun, read: 9, shed: 2, delivered: 7),
                SourceStatistics.CPU(cpu: 1, overrun: 1, read: 0, shed: 0, delivered: 0),
            ]
            let statistics = SourceStatistics(cpus: cpus, cpuNanoseconds: 0, residentBytes: 0, isFinal: isFinal)
            pipeline.apply(.record(.message(.host, .statistics(statistics))))
        }
        var batch = EventBatch(cpu: 0)
        batch.losses = [
            LossMark(index: 0, place: .ringBuffer, count: 3), LossMark(index: 0, place: .ringBuffer, count: nil),
            LossMark(index: 0, place: .agent, count: 2), LossMark(index: 0, place: .malformed, count: nil),
        ]
        pipeline.apply(.batch(.host, batch))
        // What is in the buffer may hold marks of what the kernel counts already.
        tell(overrun: 500, isFinal: false)
        #expect(lost() == [3, 2, 0, 2])
        tell(overrun: 600, isFinal: true)
        #expect(lost() == [601, 2, 0, 1])
        // Fewer than the marks said is no count to go by.
        tell(overrun: 1, isFinal: true)
        #expect(lost() == [3, 2, 0, 2])
        tell(overrun: .max, isFinal: true)
        #expect(lost() == [.max, 2, 0, 1])
    }

    /// The look at /proc is ahead of the trace: what threads did until they ended is still to come.
    @Test func `threads that were found to be gone end when the analysis has come to that time`() throws {
        var pipeline = CollectorPipeline()
        func tell(_ record: LogRecord) { pipeline.apply(.record(record)) }
        tell(
            .session(
                SessionFacts(
                    program: "", hostname: "", kernelRelease: "", bootID: "", start: HostTime(nanoseconds: 0),
                    wallClockSeconds: 0, maximumLagNanoseconds: 1_000_000)))
        tell(
            .sourceOpened(
                .host,
                SourceFacts(
                    name: "host", isHost: true, endpoint: "", hostname: "", bootID: "", kernelRelease: "",
                    prepared: Prepared(
                        token: 0, clock: .monoRaw, byteOrder: .native, longSize: 8, subBufferBytes: 4096,
                        bufferKiBPerCPU: 4, cpus: [0], instance: "")),
                formats: [KernelTexts.entry, KernelTexts.exit], names: TaskNamesMessage(tasks: [])))
        tell(
            .machine(
                VMFacts(vmmPID: 29, vmm: "qemu", name: "web1", vcpuThreads: [.init(tid: 31, vcpu: 0)])))
        let table = try KernelTexts.table([KernelTexts.entry, KernelTexts.exit])
        tell(.threadsEnded([29, 31], by: HostTime(nanoseconds: 5000)))
        func vcpu() throws -> Snapshot.VCPU { try #require(pipeline.snapshot().guests.first?.vcpus.first) }
        for (time, state) in [(UInt64(1000), VCPUState.running), (4000, .running), (6000, .unknown)] {
            var batch = EventBatch(cpu: 0)
            if time < 5000 { batch.append("kvm_entry", of: table, at: time, pid: 31, ["vcpu_id": 0]) }
            pipeline.apply(.batch(.host, batch))
            tell(.message(.host, .watermark(TraceTicks(time + 1))))
            #expect(try vcpu().state.state == state)
        }
        #expect(try vcpu().detail == "thread ended")
        #expect(try vcpu().times.total == 5000)
        #expect(pipeline.snapshot().guests.count == 1)
    }

    @Test func `a format that cannot be read leaves the others in their places`() throws {
        let source = SourceID(5)
        let broken = FormatMessage(system: "sched", text: "no format at all")
        var pipeline = CollectorPipeline()
        for input in try SyntheticSession(SyntheticSession.Plan(rounds: 0)).inputs.dropLast(3) { pipeline.apply(input) }
        var facts = SourceFacts(
            name: "odd", isHost: true, endpoint: "", hostname: "", bootID: "", kernelRelease: "",
            prepared: Prepared(
                token: 0, clock: .monoRaw, byteOrder: .native, longSize: 8, subBufferBytes: 4096, bufferKiBPerCPU: 4,
                cpus: [0], instance: ""))
        facts.isHost = true
        let opening = LogRecord.sourceOpened(
            source, facts, formats: [broken] + KernelTexts.host, names: TaskNamesMessage(tasks: []))
        pipeline.apply(.record(opening))
        #expect(pipeline.snapshot().health.anomalies.map(\.name) == ["field_missing"])
        #expect(pipeline.snapshot().sources.count == 4)
    }
}
