import Analysis
import Testing
import TraceModel

/// The guest task on each vCPU, and guest events outside of guest mode.
struct GuestTaskTests {
    private let running: [Step] = [
        (0, 0, .linked(pid: 29)), (0, 10, .switched(30, 31)), (0, 15, .entry(31)), (0, 20, .guestSwitched(0, 130)),
    ]

    @Test
    func `a guest's CPU n is vCPU n of the machine it is linked to`() throws {
        let teller = check(running + [(1, 21, .guestSwitched(0, 140))], [:], known: [31, 32])
        #expect(try teller.vcpu(31).guestTask == "task-130")
        #expect(try teller.vcpu(31).guestTID == 130)
        #expect(try teller.vcpu(32).guestTID == 140)
    }

    @Test
    func `a link may come before the machine, and after the events`() throws {
        var teller = Teller()
        teller.tell([
            (0, 5, .guestSwitched(0, 130)), (0, 6, .linked(pid: 29)), (0, 8, .identified(machine(threads: [31]))),
        ])
        #expect(try teller.vcpu(31).guestTID == 130)
    }

    @Test
    func `a loss in the guest makes the task unknown until the next switch, and nothing else`() throws {
        var teller = check(running + [(0, 25, .guestLost)], [31: "unknown 0, hypervisor 10, running 15"])
        #expect(try teller.vcpu(31).guestTask == nil)
        teller.tell([(0, 30, .guestSwitched(130, 131))])
        #expect(try teller.vcpu(31).guestTID == 131)
    }

    @Test
    func `a guest that is gone leaves its vCPUs' states alone`() throws {
        let teller = check(
            running + [(0, 25, .guestGone), (0, 30, .exit(31, ept))],
            [31: "unknown 0, hypervisor 10, running 15, hypervisor 30"])
        #expect(try teller.vcpu(31).guestTask == nil)
    }

    @Test
    func `a task is known until its guest's trace ends, and what it got stays`() throws {
        var teller = check(running + [(0, 50, .guestEnds), (0, 40, .other(31))], [:])
        #expect(try teller.vcpu(31).guestTID == 130)
        teller.tell([(0, 70, .other(31))])
        #expect(try teller.vcpu(31).guestTID == nil)
        let tasks = try #require(teller.analyzer.snapshot().guests.first?.tasks)
        #expect(tasks.map { $0.times[.running] } == [30])
    }

    @Test
    func `a guest's times move no clock`() {
        let teller = check(running + [(0, 1_000_000, .guestSwitched(130, 131))], [:])
        #expect(teller.analyzer.snapshot().window.endNanoseconds == 15)
    }

    @Test
    func `events in guest mode are where they belong`() {
        let teller = check(running + [(0, 40, .exit(31, ept)), (0, 50, .entry(31))], [:])
        #expect(teller.analyzer.anomalies[.guestEventOutsideEntry] == 0)
    }

    @Test(arguments: [
        (Int64(40), Int64(0), UInt64(0)), (41, 0, 1), (45, 5, 0), (46, 5, 1), (95, 5, 0), (94, 5, 1), (60, 5, 1),
    ])
    func `events outside of guest mode are counted, unless the clock's error can excuse them`(
        time: Int64, bound: Int64, expected: UInt64
    ) {
        var teller = Teller()
        teller.boundNanoseconds = bound
        // Out of the guest from 40 to 100.
        var steps: [Step] = [(0, 40, .exit(31, ept)), (0, 100, .entry(31)), (0, 101, .guestSwitched(131, 132))]
        steps.insert((0, time, .guestSwitched(130, 131)), at: 1)
        teller.tell([(0, 0, .identified(machine(threads: [31])))] + running + steps)
        #expect(teller.analyzer.anomalies[.guestEventOutsideEntry] == expected)
    }

    @Test
    func `events outside of guest mode prove nothing when host events turn out to be missing`() {
        let story: [Step] = [
            (0, 40, .exit(31, ept)), (0, 50, .guestSwitched(130, 131)), (0, 60, .guestSwitched(131, 132)),
        ]
        let end: [Step] = [(0, 80, .exit(31, ept)), (0, 90, .entry(31)), (0, 95, .guestSwitched(132, 133))]
        let lossless = check(running + story + [(0, 70, .entry(31))] + end, [:])
        #expect(lossless.analyzer.anomalies[.guestEventOutsideEntry] == 2)
        let lossy = check(running + story + [(0, 70, .lost())] + end, [:])
        #expect(lossy.analyzer.anomalies[.guestEventOutsideEntry] == 0)
    }

    @Test
    func `after missing events an exit says since when the vCPU is outside, within the clock's error`() {
        var teller = Teller()
        teller.boundNanoseconds = 5
        teller.tell([(0, 0, .identified(machine(threads: [31])))] + running)
        teller.tell([
            (0, 40, .lost()), (0, 60, .exit(31, ept)), (0, 64, .guestSwitched(130, 131)), (0, 90, .entry(31)),
        ])
        #expect(teller.analyzer.anomalies[.guestEventOutsideEntry] == 0)
    }

    @Test
    func `without guest mode no event can be out of it`() {
        let teller = check(
            running + [(0, 40, .switched(31, 0, state: 1)), (0, 60, .guestSwitched(130, 131))], [:],
            without: ["kvm"])
        #expect(teller.analyzer.anomalies[.guestEventOutsideEntry] == 0)
    }
}
