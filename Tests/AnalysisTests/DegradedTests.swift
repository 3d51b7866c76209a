import Analysis
import Testing
import TraceModel

/// What is still known, and what is said about the rest, when events are not there.
struct DegradedTests {
    @Test
    func `without kvm events a vCPU is on a CPU, ready, or blocked`() throws {
        let teller = check(
            [
                (0, 10, .switched(30, 31)), (0, 20, .switched(31, 30)), (0, 30, .switched(30, 31)),
                (0, 40, .switched(31, 30, state: 1)), (0, 50, .waking(31)), (0, 60, .switched(30, 31)),
                (0, 70, .time),
            ], [31: "unknown 0, on_cpu 10, preempted 20, on_cpu 30, blocked 40, waking 50, on_cpu 60"],
            without: ["kvm"])
        #expect(teller.analyzer.limits.contains { $0.hasPrefix("no kvm:kvm_entry and kvm:kvm_exit events") })
        let sees = teller.analyzer.snapshot().host.sees
        #expect(!sees.guestMode && sees.scheduling)
    }

    @Test
    func `with exits alone they are counted, and guest mode is not claimed`() throws {
        let teller = check(
            [
                (0, 10, .switched(30, 31)), (0, 20, .exit(31, ept)), (0, 30, .exit(31, ept)),
                (0, 40, .switched(31, 30)), (0, 50, .time),
            ], [31: "unknown 0, on_cpu 10, preempted 40"], without: ["kvm_entry"])
        #expect(try teller.vcpu(31).exits == [Snapshot.Exit(reason: "EPT_VIOLATION", count: 2, nanoseconds: 0)])
        #expect(teller.analyzer.anomalies.nonZero.isEmpty)
        #expect(teller.analyzer.limits.contains { $0.hasPrefix("no kvm:kvm_entry events") })
    }

    @Test
    func `without sched_switch readiness is never claimed, and HLT means halted`() throws {
        let teller = check(
            [
                (0, 10, .entry(31)), (0, 20, .exit(31, ept)), (0, 25, .waking(31)), (0, 30, .entry(31)),
                (0, 40, .exit(31, hlt)), (1, 60, .waking(31)), (0, 70, .entry(31)), (1, 80, .exit(31, ept)),
                (1, 90, .time),
            ],
            [31: "unknown 0, running 10, hypervisor 20, running 30, halted 40, running 70, hypervisor 80"],
            without: ["sched_switch"])
        #expect(try teller.vcpu(31).migrations == 1)
        // How long KVM was at work before and after the sleep, no event told.
        #expect(try teller.vcpu(31).exits.first { $0.reason == "HLT" }?.handling == nil)
        #expect(teller.analyzer.anomalies.nonZero.isEmpty)
        #expect(teller.analyzer.limits.contains { $0.hasPrefix("no sched:sched_switch events on the host") })
        let cpu = try #require(teller.analyzer.snapshot().host.cpus.first)
        #expect(cpu.busyNanoseconds == 0 && cpu.unknownNanoseconds == 90)
        let sees = teller.analyzer.snapshot().host.sees
        #expect(sees.guestMode && !sees.scheduling)
    }

    @Test
    func `without sched_switch kvm_vcpu_wakeup tells whether a halt was slept or polled`() throws {
        let teller = check(
            [
                (0, 10, .entry(31)), (0, 20, .exit(31, hlt)), (0, 25, .vcpuWakeup(31, waited: false)),
                (0, 30, .entry(31)), (0, 40, .exit(31, hlt)), (0, 65, .vcpuWakeup(31, waited: true)),
                (0, 70, .entry(31)),
            ], [:], without: ["sched"])
        let times = try teller.vcpu(31).times
        #expect(times[.polling] == 25 - 20)
        #expect(times[.halted] == 65 - 40)
        #expect(times[.hypervisor] == 5 + 5)
    }

    @Test
    func `without sched_switch two threads may write on one CPU in turns`() throws {
        let teller = check(
            [
                (0, 10, .entry(31)), (0, 20, .exit(31, ept)), (0, 30, .entry(32, vcpu: 1)),
                (0, 40, .exit(32, ept, vcpu: 1)), (0, 50, .entry(31)), (0, 60, .time),
            ],
            [31: "unknown 0, running 10, hypervisor 20, running 50", 32: "unknown 0, running 30, hypervisor 40"],
            known: [31, 32], without: ["sched"])
        #expect(teller.analyzer.anomalies.nonZero.isEmpty)
        #expect(try teller.vcpu(32).hostCPU == nil)
        #expect(try teller.vcpu(31).hostCPU == 0)
    }

    @Test
    func `without sched_switch a loss spares only who is in guest mode elsewhere`() {
        check(
            [
                (0, 10, .entry(31)), (1, 10, .entry(32, vcpu: 1)), (1, 15, .exit(32, ept, vcpu: 1)),
                (2, 20, .other(44)), (2, 30, .lost(atEnd: true)), (0, 50, .time),
            ], [31: "unknown 0, running 10", 32: "unknown 0, running 10, hypervisor 15, unknown 20"],
            known: [31, 32], without: ["sched_switch"])
    }

    @Test
    func `without wake-ups the wait for a CPU is not told from the sleep`() {
        let teller = check(
            [
                (0, 10, .switched(30, 31)), (0, 15, .exit(31, hlt)), (0, 20, .switched(31, 30, state: 1)),
                (0, 60, .switched(30, 31)),
            ], [31: "unknown 0, hypervisor 10, polling 15, halted 20, hypervisor 60"],
            without: ["sched_waking", "sched_wakeup"])
        #expect(teller.analyzer.limits.contains { $0.hasPrefix("no sched:sched_waking or sched:sched_wakeup") })
    }

    @Test
    func `with everything there is nothing to excuse`() {
        #expect(Teller().analyzer.limits == [])
    }

    @Test
    func `a host whose trace begins later than the session is said to, while that matters`() {
        var teller = Teller()
        teller.tell([(0, 0, .identified(machine(threads: [31]))), (0, 2_060_000_000, .switched(30, 31))])
        teller.tell([(0, 12_000_000_000, .time)])
        #expect(
            teller.analyzer.limits == [
                "nothing of the host was traced in the first 2060 ms: what its vCPUs did then is unknown"
            ])
        teller.tell([(0, 300_000_000_000, .time)])
        #expect(teller.analyzer.limits == [])
    }

    @Test
    func `without kvm_userspace_exit it is said that emulation counts as hypervisor`() {
        #expect(Teller(without: ["kvm_userspace_exit"]).analyzer.limits.count == 1)
    }

    @Test
    func `an emulated machine has no guest mode, whatever else runs on the host`() throws {
        var teller = Teller()
        var facts = machine("tcg", threads: [31])
        facts.isEmulated = true
        teller.tell([
            (0, 0, .identified(facts)), (0, 10, .switched(30, 31)), (0, 20, .switched(31, 30, state: 1)),
            (0, 30, .switched(30, 31)), (0, 40, .time),
        ])
        #expect(teller.story(of: 31) == "unknown 0, on_cpu 10, blocked 20, on_cpu 30")
        #expect(teller.analyzer.limits.count == 1)
    }

    @Test
    func `formats that are added later are used from then on`() {
        var teller = Teller(without: ["kvm"])
        teller.tell([(0, 0, .identified(machine(threads: [31]))), (0, 10, .switched(30, 31))])
        teller.analyzer.bind(
            .host, name: "host", formats: KernelFormats.table(KernelFormats.sched + KernelFormats.kvm))
        #expect(teller.analyzer.limits == [])
        teller.tell([(0, 20, .switched(31, 30)), (0, 30, .switched(30, 31))])
        #expect(teller.story(of: 31) == "unknown 0, on_cpu 10, preempted 20, hypervisor 30")
    }

    @Test
    func `an event without a field it needs is not used, and that is said`() {
        let broken = EventFormat(
            kernelID: 1, system: "sched", name: "sched_switch", fields: [KernelFormats.integer("prev_pid", 8)],
            text: "")
        let teller = Teller([broken] + KernelFormats.kvm)
        #expect(teller.analyzer.anomalies[.fieldMissing] == 1)
        #expect(teller.analyzer.limits.first?.hasPrefix("sched:sched_switch on the host lacks a field") == true)
    }

    @Test
    func `records shorter than their format are counted and mean nothing`() {
        var teller = Teller()
        var batch = EventBatch(cpu: 0)
        for name in ["sched_switch", "sched_waking", "sched_migrate_task", "sched_process_exit", "kvm_exit"] {
            batch.append(name, of: teller.table, pid: 31)
        }
        for index in batch.headers.indices { batch.headers[index].length = 8 }
        teller.analyzer.apply(
            batch, times: [HostTime](repeating: HostTime(nanoseconds: 5), count: 5), range: 0..<5, source: .host,
            boundNanoseconds: 0)
        #expect(teller.analyzer.anomalies[.fieldMissing] == 5)
        #expect(teller.analyzer.snapshot().guests.isEmpty)
    }

    @Test(arguments: [-5..<3, 0..<100, 7..<9, 2..<2])
    func `a range beyond the batch is cut to it`(range: Range<Int>) {
        var teller = Teller()
        var batch = EventBatch(cpu: 0)
        for _ in 0..<3 { batch.append("kvm_entry", of: teller.table, pid: 31) }
        teller.analyzer.apply(
            batch, times: [HostTime(nanoseconds: 5), HostTime(nanoseconds: 6)], range: range, source: .host,
            boundNanoseconds: 0)
        checkLaws(of: teller.analyzer)
    }
}
