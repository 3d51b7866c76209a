import Analysis
import Testing
import TraceModel

/// CPUs that come and go, of the host and of a guest. No event says so: the scheduler's tell what becomes of the threads.
struct HotplugTests {
    /// The stopper thread (17, `migration/0`) takes the CPU and moves everybody away (`balance_push`, kernel/sched/core.c).
    @Test
    func `a vCPU whose CPU goes offline is preempted, and waits where it was moved to`() throws {
        let teller = check(
            [
                (0, 1, .switched(0, 31)), (0, 5, .entry(31)), (3, 10, .switched(0, 900)), (0, 20, .exit(31, ept)),
                (0, 21, .switched(31, 17)), (0, 22, .migrated(31, to: 3)), (0, 25, .switched(17, 0)),
                (3, 40, .switched(900, 31)), (3, 45, .entry(31)), (3, 60, .time),
            ], [31: "unknown 0, hypervisor 1, running 5, hypervisor 20, preempted 21, hypervisor 40, running 45"])
        #expect(teller.analyzer.snapshot().host.cpus.map(\.cpu) == [0, 3])
        // A CPU that went was idle from its last switch on.
        #expect(teller.analyzer.snapshot().host.cpus.map(\.busyNanoseconds) == [24, 50])
        let vcpu = try teller.vcpu(31)
        #expect(vcpu.hostCPU == 3)
        #expect(vcpu.migrations == 1)
        #expect(vcpu.culprits.map(\.tid) == [900, 17])
        #expect(vcpu.culprits.map(\.nanoseconds) == [18, 1])
    }

    /// `sched_waking` names the CPU where it slept, `sched_wakeup` the one that was found for it (`select_fallback_rq`).
    @Test
    func `a vCPU that slept when its CPU went is woken on another one`() throws {
        let teller = check(
            [
                (0, 1, .switched(0, 31)), (0, 5, .entry(31)), (0, 20, .exit(31, hlt)),
                (0, 25, .switched(31, 0, state: 1)), (0, 30, .switched(0, 17)), (0, 35, .switched(17, 0)),
                (3, 40, .switched(0, 900)), (3, 100, .waking(31, on: 0)), (3, 101, .wakeup(31, on: 3)),
                (3, 110, .switched(900, 31)), (3, 115, .entry(31)), (3, 120, .time),
            ],
            [
                31: "unknown 0, hypervisor 1, running 5, polling 20, halted 25, waking 100, hypervisor 110, "
                    + "running 115"
            ])
        let vcpu = try teller.vcpu(31)
        #expect(vcpu.migrations == 1)
        #expect(vcpu.culprits.map(\.tid) == [900, 0])
        #expect(vcpu.culprits.map(\.nanoseconds) == [9, 1])
        #expect(vcpu.halts == Snapshot.Halts(polled: 0, slept: 1))
    }

    @Test
    func `a vCPU that was moved without a word is known again when it comes onto its next CPU`() throws {
        let teller = check(
            [
                (0, 1, .switched(0, 31)), (0, 5, .entry(31)), (0, 20, .exit(31, ept)), (0, 21, .switched(31, 17)),
                (0, 25, .switched(17, 0)), (3, 40, .switched(0, 31)), (3, 45, .entry(31)), (3, 60, .time),
            ], [31: "unknown 0, hypervisor 1, running 5, hypervisor 20, preempted 21, hypervisor 40, running 45"],
            without: ["sched_migrate_task"])
        #expect(teller.analyzer.limits.contains { $0.hasPrefix("no sched:sched_migrate_task events on the host") })
        #expect(try teller.vcpu(31).migrations == 1)
        #expect(try teller.vcpu(31).hostCPU == 3)
    }

    @Test
    func `a CPU that comes back goes on where it was`() throws {
        let teller = check(
            [
                (0, 1, .switched(0, 31)), (0, 5, .entry(31)), (0, 20, .exit(31, ept)), (0, 21, .switched(31, 17)),
                (0, 22, .migrated(31, to: 3)), (0, 25, .switched(17, 0)), (3, 30, .switched(0, 31)),
                (3, 35, .entry(31)), (0, 500, .switched(0, 18)), (0, 505, .switched(18, 0)), (3, 510, .exit(31, ept)),
                (3, 511, .switched(31, 0)), (3, 512, .migrated(31, to: 0)), (0, 520, .switched(0, 31)),
                (0, 525, .entry(31)), (0, 530, .time),
            ],
            [
                31: "unknown 0, hypervisor 1, running 5, hypervisor 20, preempted 21, hypervisor 30, running 35, "
                    + "hypervisor 510, preempted 511, hypervisor 520, running 525"
            ])
        #expect(teller.analyzer.anomalies.nonZero.isEmpty)
        #expect(try teller.vcpu(31).migrations == 2)
    }

    // MARK: The guest's

    /// A CPU that an x86 guest takes offline executes HLT until another one sends it INIT and SIPI (`native_play_dead`).
    @Test
    func `a guest's CPU that is offline is halted, with its idle task, until another vCPU wakes it`() throws {
        let away: [Step] = [
            (0, 0, .linked(pid: 29)), (0, 1, .switched(0, 31)), (1, 1, .switched(0, 32)), (0, 5, .entry(31)),
            (1, 5, .entry(32, vcpu: 1)), (1, 10, .guestSwitched(20, 0)), (1, 20, .exit(32, hlt, vcpu: 1)),
            (1, 25, .switched(32, 0, state: 1)), (0, 100_000, .exit(31, ept)),
        ]
        let teller = check(away + [(0, 100_001, .time)], [:], known: [31, 32])
        let gone = try teller.vcpu(32)
        #expect(gone.state.state == .halted)
        #expect(gone.times[.halted] == 100_001 - 25)
        #expect(gone.culprits.isEmpty && gone.ready == nil)
        #expect(gone.guestTID == 0)
        #expect(gone.times.total == 100_001)

        let back = check(
            away + [
                (0, 100_010, .waking(32, on: 1)), (1, 100_015, .switched(0, 32)), (1, 100_020, .entry(32, vcpu: 1)),
                (1, 100_030, .guestSwitched(0, 21)), (1, 100_040, .time),
            ], [:], known: [31, 32])
        #expect(try back.vcpu(32).wakeUpReasons.map(\.reason) == [.ipi])
        #expect(try back.vcpu(32).guestTID == 21)
        #expect(back.analyzer.snapshot().health.checks.allSatisfy { $0.violations == 0 })
    }

    /// `device_del` of QEMU ends the thread; `device_add` makes another one, of the same number.
    @Test
    func `a vCPU that is unplugged ends, and the one plugged in its place is another`() throws {
        let teller = check(
            [
                (0, 0, .linked(pid: 29)), (1, 1, .switched(0, 32)), (1, 5, .entry(32, vcpu: 1)),
                (1, 10, .guestSwitched(0, 20)), (1, 20, .exit(32, ept, vcpu: 1)), (1, 30, .ended(32)),
                (1, 31, .switched(32, 0, state: 0x10)),
                (
                    0, 50,
                    .identified(
                        VMFacts(
                            vmmPID: 29, vmm: "qemu", name: "web1",
                            vcpuThreads: [.init(tid: 31, vcpu: 0), .init(tid: 77, vcpu: 1)]))
                ),
                (1, 60, .switched(0, 77)), (1, 65, .entry(77, vcpu: 1)), (1, 70, .guestSwitched(0, 21)),
                (1, 80, .time),
            ], [77: "unknown 50, hypervisor 60, running 65"], known: [31, 32])
        let guest = try #require(teller.analyzer.snapshot().guests.first)
        #expect(guest.vcpus.map(\.vcpu) == [0, 1, 1])
        #expect(guest.vcpus.map(\.hostTID) == [31, 32, 77])
        #expect(guest.vcpus[1].detail == "thread ended")
        #expect(guest.vcpus[1].times.total == 30)
        #expect(guest.vcpus[2].guestTID == 21)
        #expect(guest.vcpus[2].times.total == 30)
    }

    @Test
    func `a guest's CPU that was plugged before its thread was known gets its tasks when that is`() throws {
        var teller = Teller()
        teller.tell([
            (0, 0, .identified(machine(threads: [31]))), (0, 0, .linked(pid: 29)), (2, 10, .guestSwitched(0, 21)),
            (1, 20, .switched(0, 77)), (1, 25, .entry(77, vcpu: 2)),
        ])
        #expect(teller.analyzer.takeUnidentifiedThreads() == [77])
        teller.tell([
            (
                0, 30,
                .identified(
                    VMFacts(
                        vmmPID: 29, vmm: "qemu", name: "web1",
                        vcpuThreads: [.init(tid: 31, vcpu: 0), .init(tid: 77, vcpu: 2)]))
            ), (2, 40, .guestSwitched(21, 22)), (2, 50, .time),
        ])
        let guest = try #require(teller.analyzer.snapshot().guests.first)
        #expect(guest.vcpus.map(\.vcpu) == [0, 2])
        #expect(try teller.vcpu(77).guestTID == 22)
        let tasks = Dictionary(uniqueKeysWithValues: guest.tasks.map { ($0.tid, $0.times[.running]) })
        #expect(tasks == [21: 10, 22: 10])
        checkLaws(of: teller.analyzer)
    }
}
