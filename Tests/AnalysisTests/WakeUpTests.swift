import Analysis
import Testing
import TraceModel

/// What ended a halt: the waker's context, the interrupt's vector, the guest's own word.
struct WakeUpTests {
    /// vCPU 31 of the machine whose VMM is process 29 halts on CPU 0; 30 is another thread of the host.
    private func halt(from time: Int64) -> [Step] {
        [(0, time, .entry(31)), (0, time + 10, .exit(31, hlt)), (0, time + 20, .switched(31, 0, state: 1))]
    }

    private let begin: [Step] = [(0, 0, .linked(pid: 29)), (0, 1, .switched(30, 31)), (0, 2, .exit(31, ept))]

    private func resume(at time: Int64) -> [Step] { [(0, time, .switched(0, 31)), (0, time + 5, .entry(31))] }

    private func check(
        _ steps: [Step], _ expected: [Snapshot.WakeUpReason.Reason: UInt64], known: [Int32] = [31],
        without: Set<String> = []
    ) throws {
        let teller = AnalysisTests.check(begin + steps, [:], known: known, without: without)
        let rows = try teller.vcpu(31).wakeUpReasons
        #expect(Dictionary(uniqueKeysWithValues: rows.map { ($0.reason, $0.count) }) == expected)
    }

    @Test
    func `an interrupt handler's wake-up is the timer, and the time halted is its`() throws {
        let teller = AnalysisTests.check(
            begin + halt(from: 10) + [(0, 130, .wakingInInterrupt(31))] + resume(at: 140), [:])
        let vcpu = try teller.vcpu(31)
        #expect(vcpu.wakeUpReasons == [.init(reason: .timer, count: 1, haltedNanoseconds: 110)])
        #expect(vcpu.halts == Snapshot.Halts(polled: 0, slept: 1))
        #expect(vcpu.wakeUpLatency?.maximumNanoseconds == 10)
        #expect(vcpu.wakeUpLatency?.maximumAtNanoseconds == 130)
    }

    /// The waker found the thread still on its CPU; that CPU then wakes it in the handler of the waker's interrupt.
    @Test
    func `a wake-up that an interrupt between CPUs completes is not the timer's`() throws {
        try check(
            halt(from: 10) + [(1, 19, .waking(31)), (0, 25, .wakeupInInterrupt(31))] + resume(at: 70), [.unknown: 1])
    }

    @Test
    func `an interrupt handler that accepts an interrupt first is a device's, and teaches no timer`() throws {
        func device(from time: Int64) -> [Step] {
            halt(from: time) + [
                (0, time + 49, .accepted(vcpu: 0, vector: 37)), (0, time + 50, .wakingInInterrupt(31)),
            ] + resume(at: time + 60)
        }
        try check(device(from: 10) + device(from: 100), [.unknown: 2])
        let told: [Step] =
            halt(from: 200) + [
                (1, 250, .switched(0, 29)), (1, 255, .accepted(vcpu: 0, vector: 37)), (1, 260, .waking(31)),
            ] + resume(at: 270)
        try check(device(from: 10) + told + device(from: 300), [.unknown: 1, .disk: 2])
    }

    /// Every machine has a vCPU 0, and every CPU an idle task.
    @Test
    func `a vector that woke nobody is not kept for another machine's wake-up`() throws {
        let others: [Step] = [
            (0, 0, .identified(machine("db", pid: 49, threads: [51]))), (2, 30, .switched(0, 900)),
            (2, 31, .switched(900, 0)), (2, 32, .accepted(vcpu: 0, vector: 37)), (2, 33, .switched(0, 900)),
            (2, 34, .switched(900, 0)),
        ]
        try check(others + halt(from: 40) + [(2, 90, .wakingInInterrupt(31))] + resume(at: 100), [.timer: 1])
    }

    @Test
    func `another vCPU of the machine sends an IPI`() throws {
        try check(
            halt(from: 10) + [(1, 50, .switched(0, 32)), (1, 60, .waking(31))] + resume(at: 70), [.ipi: 1],
            known: [31, 32])
    }

    @Test
    func `the VMM's own thread is the disk, a stranger nobody`() throws {
        try check(
            halt(from: 10) + [(1, 50, .switched(0, 29)), (1, 60, .waking(31))] + resume(at: 70)
                + halt(from: 100) + [(1, 150, .switched(29, 30)), (1, 160, .waking(31))] + resume(at: 170),
            [.disk: 1, .unknown: 1])
    }

    /// With APICv, KVM tells of acceptance by another event, and of injection by none.
    @Test(arguments: [Set(["kvm_apicv_accept_irq"]), ["kvm_apic_accept_irq", "kvm_inj_virq"]])
    func `a vector means what its context told, where there is no context`(missing: Set<String>) throws {
        try check(
            halt(from: 10)
                + [(1, 50, .switched(0, 29)), (1, 55, .accepted(vcpu: 0, vector: 37)), (1, 60, .waking(31))]
                + resume(at: 70) + halt(from: 100)
                + [(1, 150, .switched(29, 30)), (1, 155, .accepted(vcpu: 0, vector: 37)), (1, 160, .waking(31))]
                + resume(at: 170), [.disk: 2], without: missing)
    }

    @Test
    func `an injected vector is learned and explains, where no acceptance is told`() throws {
        func injected(at time: Int64) -> [Step] {
            [(0, time, .switched(0, 31)), (0, time + 2, .injected(31, vector: 37)), (0, time + 5, .entry(31))]
        }
        try check(
            halt(from: 10) + [(1, 50, .switched(0, 29)), (1, 60, .waking(31))] + injected(at: 70)
                + halt(from: 100) + [(1, 150, .switched(29, 30)), (1, 160, .waking(31))] + injected(at: 170),
            [.disk: 2])
    }

    /// With and without APICv or AVIC, as above.
    @Test(arguments: [Set(["kvm_apicv_accept_irq"]), ["kvm_apic_accept_irq", "kvm_inj_virq"]])
    func `the timer's vector is learned from the vCPU's own acceptance, and ends polls that nobody explains`(
        missing: Set<String>
    ) throws {
        let teller = AnalysisTests.check(
            begin + halt(from: 10) + [
                (0, 130, .wakingInInterrupt(31)), (0, 140, .switched(0, 31)),
                (0, 142, .accepted(vcpu: 0, vector: 236)), (0, 145, .entry(31)), (0, 150, .exit(31, hlt)),
                (0, 160, .entry(31)), (0, 162, .exit(31, ept)), (0, 163, .accepted(vcpu: 0, vector: 236)),
            ], [:], without: missing)
        let vcpu = try teller.vcpu(31)
        #expect(vcpu.wakeUpReasons == [.init(reason: .timer, count: 2, haltedNanoseconds: 120)])
        #expect(vcpu.halts.polled == 1)
    }

    private let apicv: Set = ["kvm_apic_accept_irq", "kvm_inj_virq"]

    /// The processor posts the sender's interrupt by itself (IPI virtualization): KVM writes nothing until it wakes the target.
    @Test
    func `with APICv an IPI is known by the vCPU that wakes, and a poll that it ends by nothing`() throws {
        let sent: [Step] = halt(from: 10) + [(1, 50, .switched(0, 32)), (1, 60, .waking(31))] + resume(at: 70)
        let polled: [Step] = [(0, 80, .exit(31, hlt)), (0, 90, .entry(31))]
        try check(sent + polled, [.ipi: 1, .unknown: 1], known: [31, 32], without: apicv)
        // The guest's own word settles it.
        try check(sent + polled + [(0, 95, .guestIPI)], [.ipi: 2], known: [31, 32], without: apicv)
    }

    /// `pi_wakeup_handler`: an assigned device's interrupt wakes the vCPU, and KVM accepts none.
    @Test
    func `with posted interrupts of a device the wake-up looks like the timer's until the guest says better`() throws {
        let posted: [Step] = halt(from: 10) + [(0, 60, .wakingInInterrupt(31))] + resume(at: 70)
        try check(posted, [.timer: 1], without: apicv)
        try check(posted + [(0, 80, .guestDevice("nvme0q1"))], [.disk: 1], without: apicv)
    }

    /// `svm_deliver_interrupt` and `vmx_deliver_interrupt` write the same event.
    @Test
    func `with APICv a device's vector is learned from the guest's word, and explains later wake-ups`() throws {
        func device(from time: Int64) -> [Step] {
            halt(from: time) + [
                (1, time + 40, .switched(0, 30)), (1, time + 45, .accepted(vcpu: 0, vector: 37)),
                (1, time + 50, .waking(31)), (1, time + 55, .switched(30, 0)),
            ] + resume(at: time + 60)
        }
        try check(device(from: 10), [.unknown: 1], without: apicv)
        let told = device(from: 10) + [(0, 80, .guestDevice("virtio0-req.0"))]
        try check(told + device(from: 100) + device(from: 200), [.disk: 3], without: apicv)
    }

    /// Events of a host that does not tell what runs in interrupt handlers: all its wake-ups are strangers'.
    @Test
    func
        `a timer's interrupt that comes after a device's wake-up teaches nothing, and the guest's word teaches its vector`()
        throws
    {
        func timer(from time: Int64) -> [Step] {
            halt(from: time) + [(0, time + 50, .waking(31)), (0, time + 60, .switched(0, 31))] + [
                (0, time + 62, .accepted(vcpu: 0, vector: 236)), (0, time + 65, .entry(31)),
            ]
        }
        let device: [Step] =
            halt(from: 10) + [(1, 50, .switched(0, 29)), (1, 60, .waking(31)), (0, 70, .switched(0, 31))] + [
                (0, 72, .accepted(vcpu: 0, vector: 236)), (0, 75, .entry(31)),
            ]
        let untaught = device + timer(from: 100)
        try check(untaught, [.disk: 1, .unknown: 1])
        let taught = untaught + timer(from: 200) + [(0, 270, .guestTimer)]
        try check(taught, [.disk: 1, .unknown: 1, .timer: 1])
        try check(taught + timer(from: 300), [.disk: 1, .unknown: 1, .timer: 2])
    }

    @Test
    func `a vector means what it was taught most`() throws {
        func taught(from time: Int64, by waker: Int32) -> [Step] {
            halt(from: time) + [
                (1, time + 40, .switched(0, waker)), (1, time + 45, .accepted(vcpu: 0, vector: 37)),
                (1, time + 50, .waking(31)), (1, time + 55, .switched(waker, 0)),
            ] + resume(at: time + 60)
        }
        let lessons: [Step] =
            taught(from: 100, by: 29) + taught(from: 200, by: 29) + taught(from: 300, by: 32)
        try check(lessons + taught(from: 400, by: 30), [.disk: 3, .ipi: 1], known: [31, 32])
    }

    @Test(arguments: [
        (Happening.guestDevice("virtio0-req.0"), Snapshot.WakeUpReason.Reason.disk),
        (.guestDevice("virtio1-input.0"), .net), (.guestDevice("virtio2"), .unknown), (.guestTimer, .timer),
        (.guestIPI, .ipi),
    ])
    func `the guest's own report goes before the waker's context`(
        report: Happening, reason: Snapshot.WakeUpReason.Reason
    ) throws {
        try check(
            halt(from: 10) + [(1, 50, .switched(0, 30)), (1, 60, .waking(31))] + resume(at: 70)
                + [(0, 80, report), (0, 81, .guestTimer)], [reason == .unknown ? .timer : reason: 1])
    }

    @Test
    func `evidence after the next halt began says nothing about the last`() throws {
        try check(
            halt(from: 10) + [(1, 50, .switched(0, 30)), (1, 60, .waking(31))] + resume(at: 70)
                + [(0, 80, .exit(31, hlt)), (0, 81, .guestTimer)], [.unknown: 1])
    }

    @Test
    func `KVM's polling limit`() throws {
        let teller = AnalysisTests.check(begin + [(0, 5, .haltPoll(31, new: 10_000))], [:])
        #expect(try teller.vcpu(31).halts.pollLimitNanoseconds == 10_000)
    }

    @Test(arguments: [(Int64(18), UInt64(0), UInt64(1)), (ept, 1, 0)])
    func `a task that halts breaks a rule, unless a hypercall of another vCPU kicks it`(
        exit: Int64, violations: UInt64, excused: UInt64
    ) throws {
        let teller = AnalysisTests.check(
            begin + [
                (0, 3, .entry(31)), (0, 5, .guestSwitched(0, 130)), (0, 10, .exit(31, hlt)),
                (0, 20, .switched(31, 0, state: 1)), (1, 30, .switched(0, 32)), (1, 31, .entry(32, vcpu: 1)),
                (1, 40, .exit(32, exit, vcpu: 1)), (1, 45, .waking(31)),
            ], [:], known: [31, 32])
        let checks = teller.analyzer.snapshot().health.checks
        let row = try #require(checks.first { $0.name == .runningWhileHalted })
        #expect(row == Snapshot.Check(name: .runningWhileHalted, checked: 1, violations: violations, excused: excused))
    }

    /// The task's switch is placed behind the exit before which it was.
    @Test(arguments: [(Int64(0), UInt64(1), UInt64(0)), (50, 0, 1)])
    func `a task that seems to halt within the clock's error is excused, and stays known`(
        bound: Int64, violations: UInt64, excused: UInt64
    ) throws {
        var teller = Teller()
        teller.boundNanoseconds = bound
        teller.tell([(0, 0, .identified(machine(threads: [31])))] + begin)
        teller.tell([
            (0, 3, .entry(31)), (0, 5, .guestSwitched(0, 130)), (0, 10, .exit(31, hlt)),
            (0, 20, .switched(31, 0, state: 1)), (0, 45, .wakingInInterrupt(31)),
        ])
        let snapshot = teller.analyzer.snapshot()
        let row = try #require(snapshot.health.checks.first { $0.name == .runningWhileHalted })
        #expect(row == Snapshot.Check(name: .runningWhileHalted, checked: 1, violations: violations, excused: excused))
        #expect(snapshot.guests[0].vcpus[0].guestTID == (bound > 0 ? 130 : nil))
    }
}
