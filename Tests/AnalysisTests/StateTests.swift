import Analysis
import Testing
import TraceModel

/// Each row of the design's states table, and each way from one state to another.
struct StateTests {
    @Test
    func `running from entry to exit, hypervisor from exit to entry`() throws {
        let teller = check(
            [
                (0, 10, .switched(30, 31)), (0, 15, .entry(31)), (0, 40, .exit(31, ept)), (0, 50, .entry(31)),
                (0, 70, .time),
            ], [31: "unknown 0, hypervisor 10, running 15, hypervisor 40, running 50"])
        let vcpu = try teller.vcpu(31)
        #expect(vcpu.times[.running] == 25 + 20)
        #expect(vcpu.times[.hypervisor] == 5 + 10)
        #expect(vcpu.hostCPU == 0)
        #expect(vcpu.exitCount == 1)
        #expect(vcpu.exits.map(\.sum) == [Snapshot.Exit(reason: "EPT_VIOLATION", count: 1, nanoseconds: 10)])
    }

    @Test
    func `the exit being handled is shown, and its open time counted`() throws {
        let teller = check(
            [(0, 10, .switched(30, 31)), (0, 15, .entry(31)), (0, 40, .exit(31, ept)), (0, 47, .time)], [:])
        let vcpu = try teller.vcpu(31)
        #expect(vcpu.detail == "EPT_VIOLATION")
        #expect(vcpu.exits.map(\.sum) == [Snapshot.Exit(reason: "EPT_VIOLATION", count: 1, nanoseconds: 7)])
    }

    @Test
    func `userspace from kvm_userspace_exit until the next entry`() {
        check(
            [
                (0, 10, .switched(30, 31)), (0, 15, .entry(31)), (0, 40, .exit(31, 30)), (0, 42, .userspaceExit(31)),
                (0, 60, .entry(31)),
            ], [31: "unknown 0, hypervisor 10, running 15, hypervisor 40, userspace 42, running 60"])
    }

    @Test
    func `polling after HLT until the entry, when the wake-up comes soon`() {
        check(
            [
                (0, 10, .switched(30, 31)), (0, 15, .entry(31)), (0, 40, .exit(31, hlt)),
                (0, 52, .vcpuWakeup(31, waited: false)), (0, 55, .entry(31)),
            ], [31: "unknown 0, hypervisor 10, running 15, polling 40, running 55"])
    }

    @Test
    func `polling ends with another exit`() {
        // The entry between the two was lost: only the alternation suffers.
        let teller = check(
            [
                (0, 10, .switched(30, 31)), (0, 15, .entry(31)), (0, 40, .exit(31, hlt)), (0, 50, .exit(31, ept)),
                (0, 60, .entry(31)),
            ], [31: "unknown 0, hypervisor 10, running 15, polling 40, hypervisor 50, running 60"])
        #expect(teller.analyzer.anomalies[.exitWithoutEntry] == 1)
    }

    @Test
    func `halted when it sleeps after HLT, waking until it has a CPU, then hypervisor until the entry`() throws {
        let teller = check(
            [
                (0, 10, .switched(30, 31)), (0, 15, .entry(31)), (0, 40, .exit(31, hlt)),
                (0, 50, .switched(31, 0, state: 1)), (0, 90, .waking(31)), (0, 92, .wakeup(31)),
                (0, 95, .switched(0, 31)), (0, 97, .entry(31)),
            ],
            [
                31:
                    "unknown 0, hypervisor 10, running 15, polling 40, halted 50, waking 90, hypervisor 95, running 97"
            ])
        let vcpu = try teller.vcpu(31)
        #expect(vcpu.wakeups == 1)
        #expect(vcpu.preemptions == 0)
        // Polling and the way back belong to the exit, the sleep does not.
        #expect(vcpu.exits.map(\.sum) == [Snapshot.Exit(reason: "HLT", count: 1, nanoseconds: 10 + 2)])
    }

    @Test
    func `a halt goes on when the thread wakes in vain and sleeps again`() {
        check(
            [
                (0, 10, .switched(30, 31)), (0, 15, .entry(31)), (0, 40, .exit(31, hlt)),
                (0, 50, .switched(31, 0, state: 1)), (0, 90, .waking(31)), (0, 95, .switched(0, 31)),
                (0, 99, .switched(31, 0, state: 1)),
            ],
            [
                31:
                    "unknown 0, hypervisor 10, running 15, polling 40, halted 50, waking 90, hypervisor 95, halted 99"
            ])
    }

    @Test(arguments: [(Int64(1), Int64(36)), (2, 0x78), (2, 0x8b)])
    func `MWAIT and SVM's HLT halt too`(isa: Int64, reason: Int64) {
        check(
            [
                (0, 10, .switched(30, 31)), (0, 15, .entry(31)), (0, 40, .exit(31, reason, isa: isa)),
                (0, 50, .switched(31, 0, state: 1)),
            ], [31: "unknown 0, hypervisor 10, running 15, polling 40, halted 50"])
    }

    @Test
    func `a reason number means HLT only in its own instruction set`() {
        check(
            [
                (0, 10, .switched(30, 31)), (0, 15, .entry(31)), (0, 40, .exit(31, 12, isa: 2)),
                (0, 50, .switched(31, 0, state: 1)),
            ], [31: "unknown 0, hypervisor 10, running 15, hypervisor 40, blocked 50"])
    }

    @Test(arguments: [Int64(1), 2])
    func `blocked when it sleeps after another exit, whatever kind of sleep`(state: Int64) throws {
        let teller = check(
            [
                (0, 10, .switched(30, 31)), (0, 15, .entry(31)), (0, 40, .exit(31, ept)),
                (0, 50, .switched(31, 0, state: state)), (0, 90, .switched(0, 31)), (0, 97, .entry(31)),
            ], [31: "unknown 0, hypervisor 10, running 15, hypervisor 40, blocked 50, hypervisor 90, running 97"])
        #expect(
            try teller.vcpu(31).exits.map(\.sum) == [
                Snapshot.Exit(reason: "EPT_VIOLATION", count: 1, nanoseconds: 10 + 7)
            ])
    }

    @Test
    func `blocked when the VMM sleeps, even if HLT was the last exit`() {
        // A signal fetched the thread out of its halt: it now waits for the VMM's lock.
        check(
            [
                (0, 10, .switched(30, 31)), (0, 15, .entry(31)), (0, 40, .exit(31, hlt)),
                (0, 45, .userspaceExit(31, reason: 10, errno: -4)), (0, 50, .switched(31, 0, state: 1)),
                (0, 60, .switched(0, 31)), (0, 70, .entry(31)),
            ],
            [
                31:
                    "unknown 0, hypervisor 10, running 15, polling 40, userspace 45, blocked 50, userspace 60, "
                    + "running 70"
            ])
    }

    @Test
    func `an interrupted KVM_RUN leaves the reason of an earlier one behind`() {
        check(
            [
                (0, 10, .switched(30, 31)), (0, 15, .exit(31, ept)), (0, 20, .userspaceExit(31, reason: 5, errno: -4)),
                (0, 30, .switched(31, 0, state: 1)),
            ], [31: "unknown 0, hypervisor 10, userspace 20, blocked 30"])
    }

    @Test
    func `halted when the VMM itself sleeps for the guest`() {
        // QEMU with kernel_irqchip=off: KVM_EXIT_HLT returns to it.
        check(
            [
                (0, 10, .switched(30, 31)), (0, 15, .entry(31)), (0, 40, .exit(31, hlt)),
                (0, 42, .userspaceExit(31, reason: 5)), (0, 50, .switched(31, 0, state: 1)), (0, 60, .switched(0, 31)),
            ], [31: "unknown 0, hypervisor 10, running 15, polling 40, userspace 42, halted 50, userspace 60"])
    }

    @Test(arguments: [Int64(0), 0x100])
    func `preempted while handling an exit, and back to it`(state: Int64) throws {
        let teller = check(
            [
                (0, 10, .switched(30, 31)), (0, 15, .entry(31)), (0, 40, .exit(31, externalInterrupt)),
                (0, 50, .switched(31, 30, state: state)), (0, 90, .switched(30, 31)), (0, 97, .entry(31)),
            ], [31: "unknown 0, hypervisor 10, running 15, hypervisor 40, preempted 50, hypervisor 90, running 97"])
        let vcpu = try teller.vcpu(31)
        #expect(vcpu.preemptions == 1)
        #expect(vcpu.worstPreemptionNanoseconds == 40)
        #expect(vcpu.worstPreemptionAtNanoseconds == 50)
        #expect(vcpu.exits.map(\.nanoseconds) == [10 + 7])
    }

    @Test
    func `preempted in the VMM, and back to it`() {
        check(
            [
                (0, 10, .switched(30, 31)), (0, 15, .entry(31)), (0, 40, .exit(31, 30)), (0, 42, .userspaceExit(31)),
                (0, 50, .switched(31, 30)), (0, 90, .switched(30, 31)), (0, 97, .entry(31)),
            ],
            [
                31:
                    "unknown 0, hypervisor 10, running 15, hypervisor 40, userspace 42, preempted 50, userspace 90, "
                    + "running 97"
            ])
    }

    @Test
    func `preempted while polling, and back to it`() {
        check(
            [
                (0, 10, .switched(30, 31)), (0, 15, .entry(31)), (0, 40, .exit(31, hlt)), (0, 50, .switched(31, 30)),
                (0, 90, .switched(30, 31)), (0, 97, .switched(31, 0, state: 1)),
            ], [31: "unknown 0, hypervisor 10, running 15, polling 40, preempted 50, polling 90, halted 97"])
    }

    @Test
    func `preempted between leaving the guest and saying so`() throws {
        // Linux 6.1 on SVM: preemption comes before kvm_exit is written.
        let teller = check(
            [
                (0, 10, .switched(30, 31)), (0, 15, .entry(31)), (0, 50, .switched(31, 30)),
                (0, 90, .switched(30, 31)), (0, 92, .exit(31, 0x60, isa: 2)), (0, 97, .entry(31)),
            ], [31: "unknown 0, hypervisor 10, running 15, preempted 50, hypervisor 90, running 97"])
        #expect(teller.analyzer.anomalies.nonZero.isEmpty)
        #expect(try teller.vcpu(31).exits.map(\.sum) == [Snapshot.Exit(reason: "INTR", count: 1, nanoseconds: 5)])
    }

    @Test
    func `why it sleeps is not known when the exit is not`() {
        check(
            [(0, 10, .switched(30, 31)), (0, 15, .entry(31)), (0, 40, .switched(31, 0, state: 1)), (0, 50, .time)],
            [31: "unknown 0, hypervisor 10, running 15, unknown 40"])
    }

    @Test
    func `time after the next entry belongs to no earlier exit`() throws {
        let teller = check(
            [
                (0, 10, .switched(30, 31)), (0, 15, .exit(31, ept)), (0, 20, .entry(31)), (0, 30, .switched(31, 30)),
                (0, 40, .switched(30, 31)), (0, 90, .time),
            ], [31: "unknown 0, hypervisor 10, running 20, preempted 30, hypervisor 40"])
        #expect(try teller.vcpu(31).exits.map(\.nanoseconds) == [5])
        #expect(try teller.vcpu(31).detail == nil)
    }

    @Test
    func `the longest preemption is the worst, not the last`() throws {
        let teller = check(
            [
                (0, 10, .switched(30, 31)), (0, 20, .switched(31, 30)), (0, 60, .switched(30, 31)),
                (0, 70, .switched(31, 30)), (0, 75, .switched(30, 31)),
            ], [:])
        #expect(try teller.vcpu(31).worstPreemptionNanoseconds == 40)
        #expect(try teller.vcpu(31).worstPreemptionAtNanoseconds == 20)
    }

    @Test
    func `an open preemption counts as the worst once it is`() throws {
        let teller = check(
            [
                (0, 10, .switched(30, 31)), (0, 20, .switched(31, 30)), (0, 25, .switched(30, 31)),
                (0, 30, .switched(31, 30)), (0, 100, .time),
            ], [:])
        let vcpu = try teller.vcpu(31)
        #expect(vcpu.worstPreemptionNanoseconds == 70)
        #expect(vcpu.worstPreemptionAtNanoseconds == 30)
        #expect(vcpu.preemptions == 2)
    }

    @Test
    func `woken by sched_waking, or by sched_wakeup alone, and counted once`() throws {
        for waking: Happening in [.waking(31), .wakeup(31)] {
            let teller = check(
                [
                    (0, 10, .switched(30, 31)), (0, 11, .exit(31, ept)), (0, 20, .switched(31, 30, state: 2)),
                    (0, 50, waking), (0, 55, .wakeup(31)), (0, 60, .switched(30, 31)),
                ], [31: "unknown 0, hypervisor 10, blocked 20, waking 50, hypervisor 60"])
            #expect(try teller.vcpu(31).wakeups == 1)
        }
    }

    @Test
    func `a wake-up that finds the thread still on its CPU means nothing yet`() throws {
        let teller = check(
            [
                (0, 10, .switched(30, 31)), (0, 11, .exit(31, hlt)), (1, 15, .waking(31)),
                (0, 20, .switched(31, 30, state: 1)), (1, 22, .wakeup(31)), (0, 30, .switched(30, 31)),
            ], [31: "unknown 0, hypervisor 10, polling 11, halted 20, waking 22, hypervisor 30"])
        #expect(try teller.vcpu(31).wakeups == 1)
    }

    @Test
    func `a preempted thread is not woken`() throws {
        let teller = check(
            [(0, 10, .switched(30, 31)), (0, 20, .switched(31, 30)), (0, 25, .wakeup(31)), (0, 30, .time)],
            [31: "unknown 0, hypervisor 10, preempted 20"])
        #expect(try teller.vcpu(31).wakeups == 0)
    }

    @Test
    func `a thread that is only known by its name is unknown, awake or asleep, until an event tells`() throws {
        let teller = check(
            [(0, 10, .switched(31, 0, state: 1)), (0, 30, .waking(31)), (0, 40, .switched(0, 31))],
            [31: "unknown 0, waking 30, hypervisor 40"])
        #expect(try teller.vcpu(31).times[.unknown] == 30)
    }

    @Test
    func `migrations count the CPUs it ran on`() throws {
        let teller = check(
            [
                (0, 10, .switched(30, 31)), (0, 20, .switched(31, 30)), (1, 25, .switched(0, 31)),
                (1, 30, .entry(31)), (1, 40, .exit(31, ept)), (1, 50, .switched(31, 0)), (1, 60, .switched(0, 31)),
            ], [:])
        #expect(try teller.vcpu(31).migrations == 1)
    }

    @Test
    func `entry after entry, and exit after exit, are counted`() {
        let teller = check(
            [
                (0, 10, .switched(30, 31)), (0, 15, .entry(31)), (0, 20, .entry(31)), (0, 30, .exit(31, ept)),
                (0, 40, .exit(31, ept)),
            ], [31: "unknown 0, hypervisor 10, running 15, hypervisor 30"])
        #expect(teller.analyzer.anomalies[.entryWithoutExit] == 1)
        #expect(teller.analyzer.anomalies[.exitWithoutEntry] == 1)
    }

    @Test
    func `host CPUs: busy, idle and unknown time`() throws {
        let teller = check(
            [
                (1, 10, .switched(30, 31)), (1, 30, .switched(31, 0, state: 1)), (1, 70, .switched(0, 44)),
                (1, 100, .time),
            ], [:])
        let cpu = try #require(teller.analyzer.snapshot().host.cpus.first)
        #expect(teller.analyzer.snapshot().host.cpus.count == 1)
        #expect(cpu.cpu == 1)
        #expect(cpu.task == "thread-44")
        #expect(cpu.tid == 44)
        #expect(cpu.switches == 3)
        #expect(cpu.unknownNanoseconds == 10)
        #expect(cpu.busyNanoseconds == 20 + 30)
    }

    @Test
    func `an uninterruptible sleep after HLT is blocked: KVM halts interruptibly`() throws {
        let teller = check(
            [
                (0, 1, .switched(0, 31)), (0, 5, .entry(31)), (0, 20, .exit(31, hlt)),
                (0, 25, .switched(31, 0, state: 1)), (0, 60, .waking(31)), (0, 62, .switched(0, 31)),
                (0, 64, .switched(31, 0, state: 2)), (0, 80, .waking(31)), (0, 82, .switched(0, 31)),
                (0, 85, .entry(31)),
            ],
            [
                31: "unknown 0, hypervisor 1, running 5, polling 20, halted 25, waking 60, hypervisor 62, blocked 64, "
                    + "waking 80, hypervisor 82, running 85"
            ])
        #expect(try teller.vcpu(31).halts.slept == 1)
    }

    @Test
    func `a vCPU whose polling limit is 0 does not poll`() throws {
        let teller = check(
            [
                (0, 1, .switched(0, 31)), (0, 5, .entry(31)), (0, 10, .haltPoll(31, new: 0)), (0, 20, .exit(31, hlt)),
                (0, 25, .switched(31, 0, state: 1)), (0, 60, .waking(31)), (0, 62, .switched(0, 31)),
                (0, 65, .entry(31)), (0, 70, .exit(31, hlt)), (0, 75, .entry(31)),
            ],
            [
                31:
                    "unknown 0, hypervisor 1, running 5, hypervisor 20, halted 25, waking 60, hypervisor 62, running 65, "
                    + "hypervisor 70, running 75"
            ])
        #expect(try teller.vcpu(31).halts == Snapshot.Halts(polled: 1, slept: 1, pollLimitNanoseconds: 0))
    }
}
