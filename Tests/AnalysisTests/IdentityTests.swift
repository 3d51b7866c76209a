import Analysis
import Testing
import TraceModel

/// Who is who: two machines with the same vCPU numbers, threads that end, ids that are used again.
struct IdentityTests {
    private func listing(_ teller: Teller) -> [String] {
        teller.analyzer.snapshot().guests.map { guest in
            let vcpus = guest.vcpus.map { "\($0.vcpu.map(String.init) ?? "?")=\($0.hostTID ?? 0)" }
            return "\(guest.name): \(vcpus.joined(separator: " "))"
        }
    }

    @Test
    func `two machines both have a vCPU 0`() throws {
        var teller = Teller()
        teller.tell([
            (0, 0, .identified(machine("web1", pid: 29, threads: [31]))),
            (0, 0, .identified(machine("db", pid: 50, threads: [51]))), (0, 10, .switched(30, 31)),
            (1, 10, .switched(30, 51)), (0, 15, .entry(31)), (1, 16, .entry(51)), (0, 20, .exit(31, ept)),
            (0, 50, .time),
        ])
        #expect(listing(teller) == ["web1: 0=31", "db: 0=51"])
        #expect(teller.story(of: 31) == "unknown 0, hypervisor 10, running 15, hypervisor 20")
        #expect(teller.story(of: 51) == "unknown 0, hypervisor 10, running 16")
        #expect(teller.analyzer.anomalies.nonZero.isEmpty)
    }

    @Test
    func `a vCPU seen by its events is asked for once, and moves to its machine when that is told`() throws {
        var teller = Teller()
        teller.tell([
            (0, 10, .switched(30, 31)), (0, 15, .entry(31, vcpu: 2)), (0, 20, .exit(31, ept, vcpu: 2)),
            (1, 30, .switched(0, 32)), (1, 35, .entry(32, vcpu: 0)),
        ])
        #expect(listing(teller) == ["thread 31: 2=31", "thread 32: 0=32"])
        #expect(teller.analyzer.takeUnidentifiedThreads() == [31, 32])
        #expect(teller.analyzer.takeUnidentifiedThreads() == [])
        let facts = VMFacts(
            vmmPID: 29, vmm: "qemu", name: "web1",
            vcpuThreads: [VMFacts.Thread(tid: 31, vcpu: nil), VMFacts.Thread(tid: 32, vcpu: nil)])
        teller.tell([(0, 40, .identified(facts)), (0, 50, .time)])
        #expect(listing(teller) == ["web1: 0=32 2=31"])
        // Its wall time begins at its first event, not at the start.
        #expect(try teller.vcpu(31).times.total == 35)
        #expect(teller.story(of: 31) == "running 15, hypervisor 20")
    }

    @Test
    func `a thread that is identified before it is looked up needs no look-up`() {
        var teller = Teller()
        teller.tell([(0, 15, .entry(31)), (0, 16, .identified(machine(threads: [31])))])
        #expect(teller.analyzer.takeUnidentifiedThreads() == [])
    }

    @Test
    func `the number in the thread's name goes before KVM's id`() {
        // QEMU gives KVM the APIC id: with three cores to a socket, CPU 3 has APIC id 4.
        let facts = VMFacts(
            vmmPID: 29, vmm: "qemu", name: "web1", vcpuThreads: [VMFacts.Thread(tid: 31, vcpu: 3)])
        var teller = Teller()
        teller.tell([(0, 0, .identified(facts)), (0, 15, .entry(31, vcpu: 4)), (0, 20, .exit(31, ept, vcpu: 4))])
        #expect(listing(teller) == ["web1: 3=31"])
    }

    @Test
    func `a vCPU that is on a CPU when it is identified is found there`() throws {
        var teller = Teller(KernelFormats.sched)
        teller.tell([(2, 10, .switched(30, 31)), (2, 20, .identified(machine(threads: [31]))), (2, 50, .time)])
        #expect(teller.story(of: 31) == "on_cpu 20")
        #expect(try teller.vcpu(31).hostCPU == 2)
        #expect(try teller.vcpu(31).times.total == 30)
    }

    @Test
    func `a vCPU whose thread ended stays listed, and its times stand still`() throws {
        let teller = check(
            [
                (0, 10, .switched(30, 31)), (0, 15, .entry(31)), (0, 20, .exit(31, ept)), (0, 30, .ended(31)),
                (0, 31, .switched(31, 0, state: 0x10)), (0, 90, .time),
            ], [31: "unknown 0, hypervisor 10, running 15, hypervisor 20, unknown 30"])
        let vcpu = try teller.vcpu(31)
        #expect(vcpu.times.total == 30)
        #expect(vcpu.detail == "thread ended")
        #expect(vcpu.hostCPU == nil)
    }

    @Test
    func `the last switch of a thread ends its vCPU as well`() throws {
        let teller = check(
            [(0, 10, .switched(30, 31)), (0, 15, .entry(31)), (0, 31, .switched(31, 0, state: 0x20)), (0, 90, .time)],
            [31: "unknown 0, hypervisor 10, running 15, unknown 31"])
        #expect(try teller.vcpu(31).times.total == 31)
    }

    @Test
    func `the id of a thread that ended is nobody's vCPU`() throws {
        let teller = check(
            [
                (0, 10, .switched(30, 31)), (0, 30, .ended(31)), (0, 31, .switched(31, 0, state: 0x10)),
                (1, 40, .switched(0, 31)), (1, 50, .switched(31, 0)),
            ], [31: "unknown 0, hypervisor 10, unknown 30"])
        #expect(teller.analyzer.anomalies.nonZero.isEmpty)
    }

    @Test
    func `an id used again by a vCPU of another machine is another vCPU`() throws {
        var teller = Teller()
        teller.tell([
            (0, 0, .identified(machine("old", pid: 29, threads: [31]))), (0, 10, .switched(30, 31)),
            (0, 15, .entry(31)), (0, 20, .exit(31, ept)), (0, 30, .ended(31)), (0, 31, .switched(31, 0, state: 0x10)),
            (0, 32, .ended(29)), (0, 40, .identified(machine("new", pid: 29, threads: [31]))),
            (0, 50, .switched(0, 31)), (0, 55, .entry(31)), (0, 90, .time),
        ])
        #expect(listing(teller) == ["old: 0=31", "new: 0=31"])
        let guests = teller.analyzer.snapshot().guests
        #expect(guests[0].vcpus[0].times.total == 30)
        #expect(guests[1].vcpus[0].times.total == 50)
        // The process id means the new machine now.
        #expect(guests.map(\.vmmPID) == [nil, 29])
    }

    @Test
    func `an id used again is noticed though the thread's end was not seen`() throws {
        // Told by /proc: another process has it.
        var teller = Teller()
        teller.tell([
            (0, 0, .identified(machine("old", pid: 29, threads: [31]))), (0, 15, .entry(31)),
            (0, 40, .identified(machine("new", pid: 60, threads: [31]))), (0, 50, .time),
        ])
        #expect(listing(teller) == ["old: 0=31", "new: 0=31"])
        // Told by kvm: a thread has one vCPU for life.
        teller = Teller()
        teller.tell([
            (0, 0, .identified(machine("old", pid: 29, threads: [31]))), (0, 15, .entry(31)),
            (0, 20, .exit(31, ept, vcpu: 3)), (0, 50, .time),
        ])
        #expect(listing(teller) == ["old: 0=31", "thread 31: 3=31"])
        // Told by the scheduler: a thread is born once.
        teller = Teller()
        teller.tell([
            (0, 0, .identified(machine("old", pid: 29, threads: [31]))), (0, 15, .entry(31)),
            (1, 20, .wakeupNew(31, on: 0)), (1, 30, .switched(0, 31)), (1, 50, .time),
        ])
        #expect(teller.story(of: 31) == "unknown 0, running 15, unknown 20")
    }

    @Test
    func `the birth of a thread that /proc told before is no second life`() {
        check(
            [(1, 20, .wakeupNew(31, on: 0)), (0, 30, .switched(0, 31)), (0, 40, .time)],
            [31: "unknown 0, waking 20, hypervisor 30"])
    }

    @Test
    func `a thread that executes another program is no vCPU any more`() throws {
        let formats = KernelFormats.sched + KernelFormats.kvm + [KernelFormats.processExec]
        let teller = check(
            [(0, 10, .switched(30, 31)), (0, 15, .entry(31)), (0, 20, .executed(31)), (0, 40, .time)],
            [31: "unknown 0, hypervisor 10, running 15, unknown 20"], formats: formats)
        #expect(try teller.vcpu(31).times.total == 20)
    }

    @Test
    func `what /proc said before a thread or process ended revives nobody`() {
        var teller = Teller()
        let facts = machine(threads: [31, 32])
        teller.tell([
            (0, 0, .identified(facts)), (0, 10, .ended(31)), (0, 11, .identified(facts)),
        ])
        #expect(listing(teller) == ["web1: 0=31 1=32"])
        teller.tell([(0, 20, .ended(32)), (0, 21, .ended(29)), (0, 22, .identified(facts)), (0, 50, .time)])
        #expect(listing(teller) == ["web1: 0=31 1=32"])
        #expect(teller.analyzer.snapshot().guests.flatMap(\.vcpus).allSatisfy { $0.state.state == .unknown })
    }

    @Test
    func `a machine without vCPUs is listed until its process ends`() {
        var teller = Teller()
        teller.tell([(0, 0, .identified(machine(threads: [])))])
        #expect(listing(teller) == ["web1: "])
        teller.tell([(0, 20, .ended(29))])
        #expect(listing(teller) == [])
    }

    @Test
    func `vCPUs that ended are listed up to a limit, the oldest go first`() throws {
        var teller = Teller()
        for index in 0..<Int32(Limits.retiredVCPUs) + 3 {
            teller.tell([(0, Int64(10 + index), .entry(1000 + index)), (0, Int64(10 + index), .ended(1000 + index))])
        }
        let guests = teller.analyzer.snapshot().guests
        #expect(guests.count == Limits.retiredVCPUs)
        #expect(guests.first?.name == "thread 1003")
        checkLaws(of: teller.analyzer)
    }

    @Test
    func `beyond the limit of vCPUs further threads are counted and not followed`() {
        var analyzer = Analyzer(start: HostTime(nanoseconds: 0))
        let threads = (0..<Limits.vcpus + 2).map { VMFacts.Thread(tid: Int32(1000 + $0), vcpu: $0) }
        analyzer.identify(VMFacts(vmmPID: 29, vmm: "qemu", name: "huge", vcpuThreads: threads))
        #expect(analyzer.anomalies[.tableFull] == 2)
        #expect(analyzer.snapshot().guests.first?.vcpus.count == Limits.vcpus)
    }

    @Test
    func `a CPU number beyond the limit is counted and makes no room`() {
        var teller = Teller()
        teller.tell([(Limits.cpus, 10, .entry(31)), (-1, 10, .entry(31)), (Limits.cpus, 10, .guestSwitched(1, 2))])
        #expect(teller.analyzer.anomalies[.tableFull] == 3)
        #expect(teller.analyzer.snapshot().guests.isEmpty)
    }

    @Test
    func `a guest that says no more does not get the time of who has its vCPU's place later`() throws {
        var teller = Teller()
        teller.tell([
            (0, 0, .identified(machine(threads: [31]))), (0, 0, .linked(pid: 29)), (0, 1, .switched(30, 31)),
            (0, 5, .entry(31)), (0, 6, .guestSwitched(0, 130)), (0, 20, .exit(31, ept)), (0, 30, .ended(31)),
        ])
        for number in 0..<Int32(Limits.retiredVCPUs) {
            teller.analyzer.identify(machine("m\(number)", pid: 1000 + number, threads: [2000 + number]))
            teller.tell([(0, 40, .ended(2000 + number))])
        }
        teller.analyzer.identify(machine("other", pid: 49, threads: [51]))
        teller.analyzer.bind(SourceID(2), name: "second", formats: KernelFormats.table(KernelFormats.guest))
        teller.analyzer.link(SourceID(2), vmmPID: 49)
        var batch = EventBatch(cpu: 0)
        batch.append(
            "sched_switch", of: KernelFormats.table(KernelFormats.guest), pid: 0, ["prev_pid": 0, "next_pid": 7])
        teller.tell([(0, 50, .switched(31, 51)), (0, 55, .entry(51))])
        teller.analyzer.apply(
            batch, times: [HostTime(nanoseconds: 60)], range: 0..<1, source: SourceID(2), boundNanoseconds: 0)
        teller.tell([(0, 1000, .time)])
        let tasks = teller.analyzer.snapshot().guests.flatMap(\.tasks)
        #expect(tasks.first { $0.tid == 7 }?.times[.running] == 940)
        #expect(tasks.first { $0.tid == 130 }?.believedNanoseconds == 24)
    }
}
