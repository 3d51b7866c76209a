import Analysis
import Testing
import TraceModel

/// What is not known any more after lost events, missing switches and late events.
struct LossTests {
    @Test
    func `after a loss the vCPU is unknown since the CPU's last event, until an event of its own`() {
        check(
            [
                (0, 10, .switched(30, 31)), (0, 15, .entry(31)), (0, 18, .other(31)), (0, 20, .lost()),
                (0, 60, .other(31)), (0, 70, .exit(31, ept)),
            ], [31: "unknown 0, hypervisor 10, running 15, unknown 18, hypervisor 70"])
    }

    @Test
    func `what a sleep means is forgotten, that it is ready is seen again`() {
        check(
            [
                (0, 10, .switched(30, 31)), (0, 15, .exit(31, hlt)), (0, 20, .lost(atEnd: true)),
                (0, 60, .switched(31, 0, state: 1)), (0, 70, .waking(31)), (0, 80, .switched(0, 31)),
            ], [31: "unknown 0, hypervisor 10, unknown 15, waking 70, hypervisor 80"])
    }

    @Test
    func `a vCPU on another CPU is not touched, one that sleeps or waits anywhere is`() {
        check(
            [
                (0, 1, .switched(0, 30)), (1, 10, .switched(0, 31)), (1, 11, .entry(31)),
                (2, 10, .switched(0, 32)), (2, 11, .exit(32, hlt)), (2, 12, .switched(32, 0, state: 1)),
                (3, 10, .switched(0, 33)), (3, 13, .switched(33, 40)), (0, 20, .other(30)), (0, 21, .lost()),
                (0, 50, .other(30)), (2, 60, .waking(32, on: 2)), (3, 70, .switched(40, 33)),
            ],
            [
                31: "unknown 0, hypervisor 10, running 11",
                32: "unknown 0, hypervisor 10, polling 11, halted 12, unknown 20, waking 60",
                33: "unknown 0, hypervisor 10, preempted 13, unknown 20, hypervisor 70",
            ], known: [31, 32, 33])
    }

    @Test
    func `what other CPUs tell while a gap is open is doubted when it closes`() {
        // The wake-up at 40 is certain; but CPU 0 may have run and lost the thread again before its next event.
        check(
            [
                (0, 10, .switched(30, 31)), (0, 11, .exit(31, hlt)), (0, 20, .switched(31, 0, state: 1)),
                (0, 20, .lost(atEnd: true)), (1, 40, .waking(31, on: 0)), (0, 70, .other(44)),
                (0, 90, .switched(44, 31)),
            ], [31: "unknown 0, hypervisor 10, polling 11, unknown 20, hypervisor 90"])
    }

    @Test
    func `ready time before the gap keeps its culprit`() throws {
        let teller = check(
            [
                (0, 10, .switched(30, 31)), (0, 20, .switched(31, 40)), (0, 30, .other(40)),
                (0, 31, .lost(atEnd: true)),
                (0, 60, .switched(41, 31)),
            ], [31: "unknown 0, hypervisor 10, preempted 20, unknown 30, hypervisor 60"])
        #expect(try teller.vcpu(31).culprits.map(\.nanoseconds) == [10])
        #expect(teller.analyzer.anomalies[.switchChainBroken] == 0)
        let cpu = try #require(teller.analyzer.snapshot().host.cpus.first)
        #expect(cpu.unknownNanoseconds == 10 + 30)
        #expect(cpu.busyNanoseconds == 10 + 10)
    }

    @Test
    func `a gap begins at its CPU's last event, however far the others have gone`() throws {
        let teller = check(
            [
                (0, 10, .switched(30, 31)), (0, 20, .switched(31, 40)), (0, 30, .other(40)), (1, 80, .other(50)),
                (0, 85, .lost(atEnd: true)), (1, 90, .other(50)),
            ], [31: "unknown 0, hypervisor 10, preempted 20, unknown 30"])
        #expect(try teller.vcpu(31).times[.preempted] == 10)
    }

    @Test
    func `a switch away from a thread that was not there is a loss that nobody reported`() {
        let teller = check(
            [
                (0, 10, .switched(30, 31)), (0, 15, .entry(31)), (0, 50, .switched(44, 45)),
                (0, 60, .switched(45, 31)),
            ], [31: "unknown 0, hypervisor 10, unknown 15, hypervisor 60"])
        #expect(teller.analyzer.anomalies[.switchChainBroken] == 1)
    }

    @Test
    func `a kvm event of a thread that was not switched in is one too`() {
        let teller = check(
            [
                (0, 10, .switched(30, 31)), (0, 15, .entry(31)), (0, 50, .entry(32)), (0, 60, .exit(32, ept)),
            ], [31: "unknown 0, hypervisor 10, unknown 15", 32: "unknown 0, running 50, hypervisor 60"],
            known: [31, 32])
        #expect(teller.analyzer.anomalies[.switchChainBroken] == 1)
    }

    @Test
    func `an event with the leaving thread's id just after the switch breaks no chain`() {
        let teller = check(
            [(0, 10, .switched(30, 31)), (0, 11, .other(30)), (0, 15, .entry(31))],
            [31: "unknown 0, hypervisor 10, running 15"])
        #expect(teller.analyzer.anomalies.nonZero.isEmpty)
    }

    @Test
    func `an event that comes late takes effect at once and never takes time back`() throws {
        let teller = check(
            [
                (0, 10, .switched(30, 31)), (0, 11, .exit(31, ept)), (0, 50, .switched(31, 0, state: 1)),
                (1, 45, .waking(31)), (0, 60, .switched(0, 31)),
            ], [31: "unknown 0, hypervisor 10, waking 50, hypervisor 60"])
        #expect(teller.analyzer.anomalies[.eventMovedUp] == 1)
        #expect(try teller.vcpu(31).times.total == 60)
    }

    @Test
    func `who had a CPU while its events were lost is taken back when the loss comes to light after the wait`() throws {
        let teller = check(
            [
                (1, 5, .switched(30, 31)), (1, 10, .switched(31, 900, state: 0x100)), (1, 20, .other(900)),
                (0, 50, .migrated(31, to: 0)), (0, 60, .switched(0, 31)), (1, 70, .lost()), (1, 80, .other(900)),
            ], [31: "unknown 0, hypervisor 5, preempted 10, hypervisor 60"])
        let culprits = try teller.vcpu(31).culprits
        #expect(culprits.map { "\($0.name) \($0.nanoseconds)" } == ["unknown 30", "swapper 10", "thread-900 10"])
    }

    @Test
    func `who had a CPU that was silent while others told of the wait is blamed when its next event shows no loss`()
        throws
    {
        let teller = check(
            [
                (1, 5, .switched(30, 31)), (1, 10, .switched(31, 900, state: 0x100)), (1, 20, .other(900)),
                (0, 50, .migrated(31, to: 0)), (0, 60, .switched(0, 31)), (1, 70, .other(900)), (1, 75, .lost()),
                (1, 80, .other(900)),
            ], [31: "unknown 0, hypervisor 5, preempted 10, hypervisor 60"])
        let culprits = try teller.vcpu(31).culprits
        #expect(culprits.map { "\($0.name) \($0.nanoseconds)" } == ["thread-900 40", "swapper 10"])
    }

    @Test(arguments: [Happening.switched(0, 31), .entry(31)])
    func `a vCPU that comes onto a CPU while it is believed on another is unknown since that one's last event`(
        arrival: Happening
    ) throws {
        let teller = check(
            [
                (0, 10, .switched(30, 31)), (0, 15, .exit(31, hlt)), (0, 16, .entry(31)), (0, 20, .other(31)),
                (1, 60, arrival), (0, 70, .lost()), (0, 80, .other(30)),
            ], [:])
        let times = try teller.vcpu(31).times
        #expect([times[.running], times[.hypervisor], times[.polling]].reduce(0, +) == 10 + 20)
        #expect(times[.polling] == 1)
        #expect(times[.unknown] == 10 + 40)
    }

    @Test
    func `late events of a CPU that the vCPU has left long ago mean nothing`() {
        let teller = check(
            [
                (0, 5, .switched(0, 30)), (1, 90, .switched(0, 31)), (1, 100, .entry(31)), (0, 20, .switched(30, 31)),
                (0, 30, .entry(31)), (0, 40, .exit(31, hlt)), (0, 50, .switched(31, 0, state: 1)),
            ], [31: "unknown 0, hypervisor 90, running 100"])
        #expect(teller.analyzer.anomalies[.eventMovedUp] == 4)
    }

    @Test
    func `time before the start counts as the start, and no time overflows`() throws {
        var teller = Teller(start: 1000)
        teller.tell([
            (0, 1000, .identified(machine(threads: [31]))), (0, .min, .switched(30, 31)), (0, 1010, .entry(31)),
            (0, .max, .exit(31, ept)), (0, .max, .time),
        ])
        #expect(teller.story(of: 31) == "hypervisor 1000, running 1010, hypervisor \(1000 + Int64(1) << 62)")
        checkLaws(of: teller.analyzer)
    }

    @Test
    func `without the host everything is unknown`() {
        var teller = Teller()
        teller.tell([(0, 0, .identified(machine(threads: [31]))), (0, 10, .switched(30, 31)), (0, 15, .entry(31))])
        teller.analyzer.sourceGone(.host, at: HostTime(nanoseconds: 40))
        teller.tell([(0, 50, .time)])
        #expect(teller.analyzer.snapshot().guests.first?.vcpus.first?.state.state == .unknown)
        checkLaws(of: teller.analyzer)
    }
}
