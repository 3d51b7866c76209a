import Analysis
import Testing
import TraceModel

/// What happens to a host in the course of a session.
struct SessionTests {
    @Test
    func `host only: everything but the guest's tasks`() throws {
        let teller = check(
            [(0, 1, .switched(30, 31)), (0, 5, .entry(31)), (0, 20, .exit(31, ept)), (0, 30, .entry(31))],
            [31: "unknown 0, hypervisor 1, running 5, hypervisor 20, running 30"])
        let guest = try #require(teller.analyzer.snapshot().guests.first)
        #expect(guest.tasks.isEmpty)
        #expect(guest.source == nil)
        #expect(guest.vcpus[0].guestTask == nil)
        #expect(guest.vcpus[0].guestRunning == nil)
        #expect(guest.vcpus[0].steal == nil)
        #expect(guest.vcpus[0].exits.first?.handling?.count == 1)
    }

    @Test
    func `without sched events nobody is said to be ready, and that is said`() throws {
        let teller = check(
            [(0, 5, .entry(31)), (0, 20, .exit(31, ept)), (0, 30, .entry(31))], [:], without: ["sched"])
        let vcpu = try teller.vcpu(31)
        #expect(vcpu.ready == nil)
        #expect(vcpu.wakeUpLatency == nil)
        #expect(vcpu.culprits.isEmpty)
        #expect(teller.analyzer.limits.contains { $0.contains("preemption") && $0.contains("cannot be known") })
    }

    @Test
    func `several machines each with a vCPU 0, and each guest's tasks on its own`() throws {
        var teller = Teller()
        teller.tell([
            (0, 0, .identified(machine("web1", threads: [31]))),
            (0, 0, .identified(machine("db", pid: 49, threads: [51]))), (0, 0, .linked(pid: 49)),
            (0, 1, .switched(0, 31)), (1, 1, .switched(0, 51)), (0, 5, .entry(31)), (1, 5, .entry(51)),
            (0, 10, .guestSwitched(0, 130)), (0, 20, .time),
        ])
        let guests = teller.analyzer.snapshot().guests
        #expect(guests.map(\.name) == ["web1", "guest"])
        #expect(guests.map { $0.vcpus.map(\.vcpu) } == [[0], [0]])
        #expect(guests.map { $0.tasks.map(\.tid) } == [[], [130]])
        #expect(guests.map { $0.vcpus[0].guestTID } == [nil, 130])
    }

    @Test
    func `vCPU threads without names are known by their kvm events`() throws {
        var teller = Teller()
        teller.tell([(0, 1, .entry(31, vcpu: 0)), (1, 1, .entry(32, vcpu: 1)), (0, 5, .exit(31, ept, vcpu: 0))])
        #expect(teller.analyzer.takeUnidentifiedThreads() == [31, 32])
        teller.tell([
            (
                0, 6,
                .identified(
                    VMFacts(
                        vmmPID: 29, vmm: "qemu", name: "web1",
                        vcpuThreads: [.init(tid: 31, vcpu: nil), .init(tid: 32, vcpu: nil)]))
            )
        ])
        let guest = try #require(teller.analyzer.snapshot().guests.first)
        #expect(guest.name == "web1")
        #expect(guest.vcpus.map(\.vcpu) == [0, 1])
    }

    @Test
    func `a thread that ends and one that gets its id are two vCPUs with figures of their own`() throws {
        var teller = Teller()
        teller.tell([
            (0, 0, .identified(machine("old", threads: [31]))), (0, 1, .switched(30, 31)), (0, 5, .entry(31)),
            (0, 20, .exit(31, ept)), (0, 30, .ended(31)), (0, 31, .switched(31, 30, state: 0x10)),
            (0, 40, .identified(machine("new", pid: 60, threads: [31]))), (0, 50, .switched(30, 31)),
            (0, 55, .entry(31)), (0, 60, .time),
        ])
        let guests = teller.analyzer.snapshot().guests
        #expect(guests.map(\.name) == ["old", "new"])
        #expect(guests.map { $0.vcpus[0].times[.running] } == [15, 5])
        #expect(guests.map { $0.vcpus[0].exitCount } == [1, 0])
    }

    @Test
    func `a machine that starts and one that stops in the session are listed, each for its time`() throws {
        var teller = Teller()
        teller.tell([
            (0, 0, .identified(machine("first", threads: [31]))), (0, 1, .switched(30, 31)), (0, 5, .entry(31)),
            (1, 40, .entry(51)), (1, 50, .identified(machine("second", pid: 49, threads: [51]))),
            (0, 60, .exit(31, ept)), (0, 61, .ended(31)), (0, 62, .ended(29)), (0, 100, .time),
        ])
        let guests = teller.analyzer.snapshot().guests
        #expect(guests.map(\.name) == ["first", "second"])
        #expect(guests[0].vcpus[0].detail == "thread ended")
        #expect(guests[0].vcpus[0].times.total == 61)
        #expect(guests[1].vcpus[0].times.total == 60)
        #expect(guests[1].vcpus[0].times[.running] == 60)
    }

    /// A VMM that is killed writes no event but those of `sched`.
    @Test
    func `a machine that is found to be gone ends then, when no event told`() throws {
        let teller = check(
            [
                (0, 5, .entry(31)), (0, 20, .exit(31, ept)), (0, 60, .gone([29, 31])), (0, 50, .time),
                (1, 55, .entry(51)), (0, 100, .time),
            ], [31: "unknown 0, running 5, hypervisor 20, unknown 60"], without: ["sched"])
        let vcpu = try teller.vcpu(31)
        #expect(vcpu.detail == "thread ended")
        #expect(vcpu.times.total == 60)
        #expect(vcpu.times[.hypervisor] == 40)
        let guest = try #require(teller.analyzer.snapshot().guests.first)
        #expect(guest.name == "web1")
        #expect(teller.analyzer.snapshot().guests.map { $0.vcpus.count } == [1, 1])
    }

    @Test
    func `one thread of a machine that is found to be gone leaves the others`() throws {
        let teller = check(
            [
                (0, 5, .entry(31)), (1, 5, .entry(32, vcpu: 1)), (1, 20, .gone([32])), (0, 30, .exit(31, ept)),
                (0, 100, .time),
            ], [31: "unknown 0, running 5, hypervisor 30", 32: "unknown 0, running 5, unknown 20"], known: [31, 32],
            without: ["sched"])
        #expect(try teller.vcpu(32).times.total == 20)
        #expect(try teller.vcpu(31).times.total == 100)
    }

    /// The look at /proc can come after the id was given to the next vCPU.
    @Test
    func `where the trace tells of threads' ends, nothing else does`() throws {
        let teller = check(
            [
                (0, 1, .switched(30, 31)), (0, 5, .entry(31)), (0, 20, .exit(31, ept)), (0, 30, .ended(31)),
                (0, 31, .switched(31, 30, state: 0x10)), (0, 33, .identified(machine("new", pid: 60, threads: [31]))),
                (0, 40, .switched(30, 31)), (0, 50, .entry(31)), (0, 60, .gone([29, 31])), (0, 100, .time),
            ], [:])
        #expect(try teller.vcpu(31).state.state == .running)
        #expect(try teller.vcpu(31).times[.running] == 50)
    }

    // MARK: Nested

    /// L1 is traced: it sees its own vCPUs as threads like any other, and L2's guest mode by VMRESUME's twin events.
    @Test
    func `nested: the kvm events of the traced kernel describe the guests one layer up`() throws {
        let teller = check(
            [
                (0, 1, .switched(0, 31)), (0, 5, .entry(31)), (0, 20, .exit(31, 0x78, isa: 2)),
                (0, 25, .switched(31, 0, state: 1)), (0, 60, .waking(31)), (0, 62, .switched(0, 31)),
                (0, 65, .entry(31)),
            ],
            [31: "unknown 0, hypervisor 1, running 5, polling 20, halted 25, waking 60, hypervisor 62, running 65"])
        #expect(try teller.vcpu(31).exits.map(\.reason) == ["HLT"])
    }

    /// L0 is traced. Its hypervisor inside wants to see HLT: L1 goes on, and nobody halts.
    @Test(arguments: [Set<String>(), ["sched"]])
    func `nested: an exit of L2 that its own hypervisor handles is no halt`(missing: Set<String>) throws {
        let steps: [Step] = [
            (0, 1, .switched(0, 31)), (0, 5, .entry(31)), (0, 20, .exit(31, 0x78, isa: 2)),
            (0, 23, .nestedInjected(31, 0x78)), (0, 25, .entry(31)), (0, 40, .exit(31, 0x78, isa: 2)),
            (0, 42, .nestedInjected(31, 0x78)), (0, 44, .switched(31, 0, state: 1)), (0, 60, .waking(31)),
            (0, 62, .switched(0, 31)), (0, 65, .entry(31)),
        ]
        let first = missing.isEmpty ? "unknown 0, hypervisor 1, " : "unknown 0, "
        let sleep = missing.isEmpty ? "blocked 44, waking 60, hypervisor 62, " : ""
        let teller = check(
            steps, [31: first + "running 5, hypervisor 20, running 25, hypervisor 40, " + sleep + "running 65"],
            without: missing)
        let vcpu = try teller.vcpu(31)
        #expect(vcpu.halts == Snapshot.Halts(polled: 0, slept: 0))
        #expect(vcpu.wakeUpReasons.isEmpty)
        #expect(vcpu.exits.first?.handling?.count == 2)
    }

    /// L1 lets L2 halt: L0 halts the vCPU for it, and what ends that is handed to L1.
    @Test
    func `nested: a halt that L0 serves is one, however it ends`() throws {
        let teller = check(
            [
                (0, 1, .switched(0, 31)), (0, 5, .entry(31)), (0, 20, .exit(31, 0x78, isa: 2)),
                (0, 30, .nestedInjected(31, 0x60)), (0, 35, .entry(31)), (0, 40, .exit(31, 0x78, isa: 2)),
                (0, 45, .switched(31, 0, state: 1)), (0, 60, .waking(31)), (0, 62, .switched(0, 31)),
                (0, 63, .nestedInjected(31, 0x60)), (0, 65, .entry(31)),
            ],
            [
                31: "unknown 0, hypervisor 1, running 5, polling 20, hypervisor 30, running 35, polling 40, halted 45, "
                    + "waking 60, hypervisor 62, running 65"
            ])
        #expect(try teller.vcpu(31).halts == Snapshot.Halts(polled: 1, slept: 1))
    }

    @Test
    func `nested: that a guest has guests of its own is said`() {
        var teller = Teller()
        teller.analyzer.bind(
            SourceID(1), name: "l1", formats: KernelFormats.table(KernelFormats.guest + KernelFormats.kvm))
        #expect(teller.analyzer.limits.contains { $0.hasPrefix("l1 sends kvm events") })
    }
}
