import Analysis
import Testing
import TraceModel

/// Guest tasks, and what they were robbed of.
struct VictimTests {
    private let running: [Step] = [
        (0, 0, .linked(pid: 29)), (0, 10, .switched(30, 31)), (0, 15, .entry(31)), (0, 20, .guestSwitched(0, 130)),
    ]

    private func task(_ tid: Int32, _ teller: Teller) throws -> Snapshot.GuestTask {
        try #require(teller.analyzer.snapshot().guests.flatMap(\.tasks).first { $0.tid == tid })
    }

    @Test
    func `a task is robbed by exits of each reason and by who takes its vCPU`() throws {
        let teller = check(
            running + [
                (0, 50, .exit(31, ept)), (0, 57, .entry(31)), (0, 60, .exit(31, externalInterrupt)),
                (0, 61, .switched(31, 30)), (0, 81, .switched(30, 31)), (0, 84, .entry(31)),
                (0, 90, .guestSwitched(130, 0)), (0, 100, .time),
            ], [:])
        let task = try task(130, teller)
        #expect(task.name == "task-130")
        #expect(task.believedNanoseconds == 70)
        #expect(task.times[.running] == 30 + 3 + 6)
        #expect(task.times[.hypervisor] == 7 + 1 + 3)
        #expect(task.times[.preempted] == 20)
        #expect(task.robbedNanoseconds == 31)
        #expect(
            task.robbedBy == [
                .init(reason: "EPT_VIOLATION", nanoseconds: 7), .init(reason: "EXTERNAL_INTERRUPT", nanoseconds: 4),
            ])
        #expect(task.worstRobbedNanoseconds == 24)
        #expect(task.worstRobbedAtNanoseconds == 60)
        #expect(!task.isCurrent)
        let guest = try teller.vcpu(31).guestRunning
        #expect(guest?.busyNanoseconds == 39)
        #expect(guest?.idleNanoseconds == 10)
        #expect(guest?.unknownNanoseconds == 5)
    }

    @Test
    func `the present task's open time counts`() throws {
        let teller = check(running + [(0, 50, .exit(31, ept)), (0, 58, .time)], [:])
        let task = try task(130, teller)
        #expect(task.isCurrent)
        #expect(task.times[.running] == 30)
        #expect(task.times[.hypervisor] == 8)
        #expect(task.worstRobbedNanoseconds == 8)
    }

    @Test
    func `migrations are told by the guest, and an ended thread's id is another's`() throws {
        let teller = check(
            running + [
                (0, 30, .guestSwitched(130, 0)), (0, 31, .guestMigrated(130)), (0, 40, .guestSwitched(0, 140)),
                (0, 45, .guestEnded(140)), (0, 50, .guestDied(140, 0)), (0, 60, .guestSwitched(0, 140)),
                (0, 65, .guestSwitched(140, 0)),
            ], [:])
        let guest = try #require(teller.analyzer.snapshot().guests.first)
        #expect(guest.taskMigrations == 1)
        #expect(try task(130, teller).migrations == 1)
        #expect(guest.tasks.filter { $0.tid == 140 }.map(\.switches) == [1, 1])
    }

    @Test
    func `a thread that is preempted while it exits is one thread`() throws {
        let teller = check(
            running + [
                (0, 45, .guestEnded(130)), (0, 50, .guestSwitched(130, 0)), (0, 60, .guestSwitched(0, 130)),
                (0, 65, .guestDied(130, 0)),
            ], [:])
        let guest = try #require(teller.analyzer.snapshot().guests.first)
        #expect(guest.tasks.filter { $0.tid == 130 }.map(\.switches) == [2])
    }

    @Test
    func `a thread that is born has an id that was another's, whose end was missed`() throws {
        let teller = check(
            running + [
                (0, 30, .guestSwitched(130, 0)), (0, 35, .guestBorn(130)), (0, 40, .guestSwitched(0, 130)),
                (0, 50, .guestSwitched(130, 0)),
            ], [:])
        let guest = try #require(teller.analyzer.snapshot().guests.first)
        #expect(guest.tasks.filter { $0.tid == 130 }.map(\.believedNanoseconds) == [10, 10])
    }

    @Test
    func `without sched_migrate_task migrations are where a task turns up`() throws {
        var teller = Teller()
        teller.analyzer.bind(
            SourceID(1), name: "guest",
            formats: FormatTable(
                byteOrder: .native, longSize: 8,
                formats: KernelFormats.guest.map { format in
                    var format = format
                    // Its place in the table stays: the stories' types are numbers.
                    if format.name == "sched_migrate_task" { format.name = "another" }
                    return format
                }))
        teller.tell([(0, 0, .identified(machine(threads: [31, 32])))] + running)
        teller.tell([(0, 30, .guestSwitched(130, 0)), (1, 40, .guestSwitched(0, 130))])
        let guest = try #require(teller.analyzer.snapshot().guests.first)
        #expect(guest.taskMigrations == 1)
        #expect(try task(130, teller).migrations == 1)
    }

    @Test
    func `a lost guest event leaves whose the time was to nobody`() throws {
        let teller = check(
            running + [(0, 30, .guestLost), (0, 40, .guestSwitched(150, 151)), (0, 50, .exit(31, ept))], [:])
        #expect(try task(130, teller).believedNanoseconds == 0)
        #expect(try task(151, teller).times[.running] == 10)
        #expect(try teller.vcpu(31).guestRunning?.unknownNanoseconds == 25)
        #expect(teller.analyzer.snapshot().guests[0].hasTaskGaps)
        #expect(!check(running, [:]).analyzer.snapshot().guests[0].hasTaskGaps)
    }

    @Test
    func `a switch from a task that was not current breaks the guest's chain`() throws {
        let teller = check(running + [(0, 30, .guestSwitched(160, 161))], [:])
        let checks = teller.analyzer.snapshot().health.checks
        #expect(checks.first { $0.name == .guestSwitchChain }?.violations == 1)
        #expect(teller.analyzer.anomalies[.switchChainBroken] == 1)
        #expect(try task(130, teller).believedNanoseconds == 0)
    }

    @Test(arguments: [(Int64(0), Int64(0)), (6, 0), (11, 10)])
    func `time between a switch and an exit closer than the clock's bound is uncertain`(
        bound: Int64, uncertain: Int64
    ) throws {
        var teller = Teller()
        teller.boundNanoseconds = bound
        teller.tell([(0, 0, .identified(machine(threads: [31])))] + running + [(0, 30, .exit(31, ept))])
        let guest = try #require(try teller.vcpu(31).guestRunning)
        // 15 to 20 is the unknown task's, 20 to 30 the first one's.
        #expect(guest.uncertainNanoseconds == uncertain)
    }

    /// Exit at 50, off the CPU at 52; the guest's switch is placed at 54, and was before the exit.
    @Test(arguments: [(0, [0, 0]), (4, [0, 0]), (5, [4, 0]), (200, [34, 46])] as [(Int64, [Int64])])
    func `time outside of guest mode next to a switch is uncertain, too, for the task that has it`(
        bound: Int64, expected: [Int64]
    ) throws {
        var teller = Teller()
        teller.boundNanoseconds = bound
        teller.tell([(0, 0, .identified(machine(threads: [31])))] + running)
        teller.tell([
            (0, 50, .exit(31, ept)), (0, 52, .switched(31, 30)), (0, 54, .guestSwitched(130, 131)),
            (0, 90, .switched(30, 31)), (0, 100, .entry(31)), (0, 200, .exit(31, ept)),
        ])
        #expect(try [130, 131].map { try task($0, teller).uncertainNanoseconds } == expected)
        #expect(try teller.vcpu(31).guestRunning?.uncertainNanoseconds == (bound == 200 ? 30 : 0))
    }

    @Test(
        arguments: [
            (0, [false, false]), (1, [false, false]), (6, [true, false]), (11, [true, true]), (.max, [true, true]),
        ] as [(Int64, [Bool])])
    func `the present task is uncertain while its switch is closer than the clock's bound, whatever the vCPU does`(
        bound: Int64, expected: [Bool]
    ) throws {
        // Switched at 20 while the vCPU runs, and at 30 while it is in the hypervisor; looked at 5 and 10 later.
        for (steps, switched) in [
            (running, 20), (running + [(0, 25, .exit(31, ept)), (0, 30, .guestSwitched(130, 131))], 30),
        ] {
            var teller = Teller()
            teller.boundNanoseconds = bound
            teller.tell([(0, 0, .identified(machine(threads: [31])))] + steps)
            for (later, isUncertain) in zip([Int64(5), 10], expected) {
                teller.tell([(0, Int64(switched) + later, .time)])
                #expect(try teller.vcpu(31).guestRunning?.isUncertainNow == isUncertain)
            }
        }
    }

    @Test
    func `beyond the limit light tasks are summed up, and a heavy one stays`() throws {
        var teller = Teller()
        teller.tell([(0, 0, .identified(machine(threads: [31])))] + running)
        var batch = EventBatch(cpu: 0)
        let table = KernelFormats.table(KernelFormats.guest)
        var times: [HostTime] = []
        let count = Limits.tasksPerGuest + 500
        var previous: Int64 = 130
        for index in 0..<count {
            let next = Int64(1000 + index)
            batch.append("sched_switch", of: table, pid: 0, ["prev_pid": previous, "next_pid": next])
            times.append(HostTime(nanoseconds: 1_000_000 + Int64(index) * 10))
            previous = next
        }
        teller.analyzer.apply(
            batch, times: times, range: 0..<count, source: SourceID(1), boundNanoseconds: 0)
        let tasks = try #require(teller.analyzer.snapshot().guests.first?.tasks)
        #expect(tasks.count == Limits.tasksPerGuestShown + 1)
        #expect(tasks.first?.tid == 130)
        #expect(tasks.first?.times[.running] == 999_980)
        #expect(tasks.last?.name == "others")
        #expect(tasks.reduce(0) { $0 + $1.switches } == UInt64(count + 1))
        #expect(tasks.reduce(0) { $0 + $1.believedNanoseconds } == 999_980 + Int64(count - 1) * 10)
    }

    @Test
    func `a guest of which only its own events are known has tasks and vCPUs without states`() throws {
        var teller = Teller()
        teller.tell([
            (0, 20, .guestSwitched(0, 130)), (1, 25, .guestSwitched(0, 140)), (0, 50, .guestSwitched(130, 0)),
            (0, 60, .time),
        ])
        let guest = try #require(teller.analyzer.snapshot().guests.first)
        #expect(guest.name == "guest")
        #expect(guest.vcpus.map(\.vcpu) == [0, 1])
        #expect(guest.vcpus.map(\.state.state) == [.unknown, .unknown])
        #expect(guest.vcpus.map(\.guestTID) == [0, 140])
        let task = try task(130, teller)
        #expect(task.believedNanoseconds == 30)
        #expect(task.times[.unknown] == 30)
        #expect(task.robbedNanoseconds == 0)
    }
}
