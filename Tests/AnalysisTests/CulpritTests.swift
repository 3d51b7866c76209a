import Analysis
import Testing
import TraceModel

/// Who is to blame for ready time.
struct CulpritTests {
    private func culprits(_ teller: Teller, _ tid: Int32 = 31) throws -> [String] {
        try teller.vcpu(tid).culprits.map { "\($0.kind.rawValue) \($0.name) \($0.count)× \($0.nanoseconds)" }
    }

    @Test
    func `ready time is shared out over the threads that had the CPU one after another`() throws {
        let teller = check(
            [
                (0, 10, .switched(30, 31)), (0, 20, .switched(31, 40)), (0, 27, .switched(40, 41)),
                (0, 30, .switched(41, 40)), (0, 60, .switched(40, 31)), (0, 70, .switched(31, 41)),
                (0, 75, .switched(41, 31)),
            ], [31: "unknown 0, hypervisor 10, preempted 20, hypervisor 60, preempted 70, hypervisor 75"])
        // Thread 40 had it twice in one interval: counted once.
        #expect(try culprits(teller) == ["task thread-40 1× 37", "task thread-41 2× 8"])
    }

    @Test
    func `the open interval is shared out too, and its culprit shown`() throws {
        let teller = check(
            [(0, 10, .switched(30, 31)), (0, 20, .switched(31, 40)), (0, 27, .switched(40, 41)), (0, 50, .time)], [:])
        #expect(try culprits(teller) == ["task thread-41 1× 23", "task thread-40 1× 7"])
        #expect(try teller.vcpu(31).detail == "thread-41")
        #expect(try teller.vcpu(31).hostCPU == 0)
    }

    @Test
    func `another machine's vCPU is named as such`() throws {
        var teller = Teller()
        teller.tell([
            (0, 0, .identified(machine("web1", pid: 29, threads: [31]))),
            (0, 0, .identified(machine("db", pid: 50, threads: [51, 52]))), (0, 10, .switched(30, 31)),
            (0, 20, .switched(31, 52)), (0, 50, .time),
        ])
        #expect(try teller.vcpu(31).detail == "db/1")
        let culprit = try #require(try teller.vcpu(31).culprits.first)
        #expect(culprit.kind == .vcpu && culprit.guest == "db" && culprit.vcpu == 1 && culprit.tid == 52)
        #expect(culprit.nanoseconds == 30)
    }

    @Test
    func `a thread that turns out to be a vCPU afterwards is one all along`() throws {
        let teller = check(
            [
                (0, 10, .switched(30, 31)), (0, 20, .switched(31, 52)), (0, 30, .switched(52, 31)),
                (0, 40, .switched(31, 52)), (0, 45, .entry(52, vcpu: 1)), (0, 48, .exit(52, ept, vcpu: 1)),
                (0, 50, .switched(52, 31)), (0, 50, .identified(machine("db", pid: 50, threads: [51, 52]))),
            ], [:])
        let row = try #require(try teller.vcpu(31).culprits.first)
        #expect(try teller.vcpu(31).culprits.count == 1)
        #expect(row.guest == "db" && row.vcpu == 1 && row.nanoseconds == 20 && row.count == 2)
    }

    @Test
    func `the idle task is one culprit on all CPUs: the wake-up's own latency`() throws {
        let teller = check(
            [
                (0, 10, .switched(0, 31)), (0, 11, .exit(31, hlt)), (0, 20, .switched(31, 0, state: 1)),
                (0, 30, .waking(31)), (0, 33, .switched(0, 31)), (0, 40, .switched(31, 0, state: 1)),
                (0, 50, .waking(31)), (1, 50, .switched(44, 0, state: 1)), (0, 51, .wakeup(31, on: 1)),
                (1, 55, .switched(0, 31)),
            ], [:])
        #expect(try culprits(teller) == ["kernel swapper 2× 8"])
    }

    @Test
    func `kernel threads are told by /proc or by their names`() throws {
        var teller = Teller()
        teller.analyzer.setKernelThread(40)
        teller.analyzer.name(41, Comm("kworker/0:1"), of: .host)
        teller.tell([
            (0, 0, .identified(machine(threads: [31]))), (0, 10, .switched(30, 31)), (0, 20, .switched(31, 40)),
        ])
        // Thread 41 is first seen by an event, after a gap, and leaves the vCPU's queue before a switch names it.
        teller.tell([
            (0, 30, .switched(40, 31)), (0, 30, .exit(31, ept)), (0, 31, .switched(31, 0, state: 1)),
            (1, 35, .other(41)),
            (0, 40, .waking(31, on: 1)), (0, 45, .migrated(31, to: 0)), (0, 50, .switched(0, 31)),
        ])
        #expect(
            try culprits(teller) == [
                "kernel thread-40 1× 10", "kernel swapper 1× 5", "kernel kworker/0:1 1× 5",
            ])
    }

    @Test
    func `a wait follows the thread to another CPU's queue`() throws {
        let teller = check(
            [
                (1, 5, .switched(0, 50)), (0, 10, .switched(30, 31)), (0, 20, .switched(31, 40)),
                (0, 25, .migrated(31, to: 1)), (0, 27, .switched(40, 41)), (1, 32, .switched(50, 51)),
                (1, 40, .switched(51, 31)),
            ], [31: "unknown 0, hypervisor 10, preempted 20, hypervisor 40"])
        #expect(try culprits(teller) == ["task thread-51 1× 8", "task thread-50 1× 7", "task thread-40 1× 5"])
    }

    @Test
    func `a wake-up says for which CPU the thread waits`() throws {
        let teller = check(
            [
                (1, 5, .switched(0, 50)), (0, 10, .switched(30, 31)), (0, 11, .exit(31, ept)),
                (0, 20, .switched(31, 40, state: 1)), (0, 30, .waking(31, on: 0)), (0, 33, .wakeup(31, on: 1)),
                (1, 40, .switched(50, 31)),
            ], [:])
        #expect(try culprits(teller) == ["task thread-50 1× 7", "task thread-40 1× 3"])
    }

    @Test
    func `several vCPUs wait for one CPU, and each is given its share`() throws {
        let teller = check(
            [
                (0, 10, .switched(30, 31)), (0, 20, .switched(31, 32)), (0, 30, .switched(32, 33)),
                (0, 40, .switched(33, 31)), (0, 50, .switched(31, 32)), (0, 55, .switched(32, 33)), (0, 60, .time),
            ], [:], known: [31, 32, 33])
        func byNumber(_ tid: Int32) throws -> [Int: Int64] {
            Dictionary(
                uniqueKeysWithValues: try teller.vcpu(tid).culprits.map { ($0.vcpu ?? -1, $0.nanoseconds) })
        }
        #expect(try byNumber(31) == [1: 10 + 5, 2: 10 + 5])
        #expect(try byNumber(32) == [2: 10 + 5, 0: 10])
        #expect(try byNumber(33) == [0: 10, 1: 5])
    }

    @Test
    func `those who leave a queue in any order leave the others in it`() throws {
        var steps: [Step] = [(0, 5, .switched(30, 40)), (1, 5, .switched(30, 41))]
        for tid: Int32 in 31...34 { steps.append((2, 10, .wakeup(tid, on: 0))) }
        steps += [
            (1, 20, .switched(41, 32)), (1, 25, .switched(32, 34, state: 1)), (0, 30, .switched(40, 42)),
            (1, 35, .switched(34, 33, state: 1)), (0, 50, .switched(42, 31)),
        ]
        let teller = check(steps, [:], known: [31, 32, 33, 34])
        #expect(try culprits(teller, 31) == ["task thread-40 1× 20", "task thread-42 1× 20"])
        #expect(try culprits(teller, 32) == ["task thread-40 1× 10"])
        #expect(try culprits(teller, 33) == ["task thread-40 1× 20", "task thread-42 1× 5"])
        #expect(try culprits(teller, 34) == ["task thread-40 1× 15"])
    }

    @Test
    func `nobody is blamed for a CPU of which nothing is known`() throws {
        let teller = check(
            [
                (0, 10, .switched(30, 31)), (0, 11, .exit(31, ept)), (0, 20, .switched(31, 40, state: 1)),
                (0, 30, .waking(31, on: 7)), (0, 50, .time),
            ], [:])
        #expect(try culprits(teller) == ["unknown unknown 1× 20"])
    }

    @Test
    func `beyond the limit the lightest culprits are summed up, and the sum stays exact`() throws {
        let crowd = Int32(Limits.culpritsPerVCPU) + 20
        var steps: [Step] = [(0, 10, .switched(30, 31))]
        var time: Int64 = 20
        for tid in 100..<100 + crowd {
            steps.append((0, time, .switched(31, tid)))
            // The later, the heavier: the last ones must be kept.
            time += Int64(tid - 99)
            steps.append((0, time, .switched(tid, 31)))
            time += 5
        }
        let teller = check(steps, [:])
        let culprits = try teller.vcpu(31).culprits
        #expect(culprits.count == Limits.culpritsPerVCPU + 1)
        #expect(culprits.first?.name == "thread-\(99 + crowd)")
        #expect(culprits.last?.name == "other")
        #expect(culprits.last?.count == 20)
        #expect(culprits.last?.nanoseconds == (1...20).reduce(0, +))
    }

    @Test
    func `a thread id that is used again is another culprit`() throws {
        var teller = Teller()
        teller.tell([
            (0, 0, .identified(machine("web1", pid: 29, threads: [31]))),
            (0, 0, .identified(machine("old", pid: 50, threads: [52]))), (0, 10, .switched(30, 31)),
            (0, 20, .switched(31, 52)), (0, 30, .switched(52, 31)), (1, 31, .ended(52)),
            (0, 31, .identified(machine("new", pid: 60, threads: [52]))), (0, 40, .switched(31, 52)),
            (0, 55, .switched(52, 31)),
        ])
        #expect(try teller.vcpu(31).culprits.map { "\($0.guest ?? "-") \($0.nanoseconds)" } == ["new 15", "old 10"])
    }

    @Test
    func `a thread is one culprit of a machine, before and after it is known to be a vCPU`() throws {
        let teller = check(
            [
                (0, 1, .switched(0, 31)), (0, 2, .switched(31, 51)), (0, 10, .switched(51, 31)),
                (1, 12, .switched(0, 51)), (1, 13, .entry(51)), (1, 14, .exit(51, ept)),
                (1, 20, .switched(51, 0, state: 1)), (2, 21, .switched(0, 32)), (2, 22, .switched(32, 51)),
                (2, 30, .switched(51, 32)),
            ], [:], known: [31, 32])
        let culprits = try #require(teller.analyzer.snapshot().guests.first).culprits
        #expect(culprits.map(\.tid) == [51])
        #expect(culprits.map(\.nanoseconds) == [16])
    }
}
