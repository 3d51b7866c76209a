import Analysis
import Testing
import TraceModel

/// Steal three ways: told, measured, and the difference.
struct StealTests {
    private let story: [Step] = [
        (0, 0, .linked(pid: 29)), (0, 10, .switched(30, 31)), (0, 15, .entry(31)), (0, 16, .guestSwitched(0, 130)),
        (0, 20, .stolen(500)), (0, 30, .exit(31, ept)), (0, 40, .switched(31, 30)), (0, 100, .switched(30, 31)),
    ]

    @Test
    func `what the guest was told stands beside what the host measured in the same stretch`() throws {
        let teller = check(story + [(0, 90, .stolen(540)), (0, 120, .time)], [:])
        let steal = try #require(try teller.vcpu(31).steal)
        #expect(steal.toldNanoseconds == 40)
        // The sample of 90 comes when 100 is analyzed already: it counts as of then.
        #expect(steal.readyNanoseconds == 60)
        #expect(steal.untilNanoseconds == 100)
        #expect(steal.difference?.least == 20)
        #expect(steal.difference?.most == 20)
    }

    @Test
    func `a sample waits until the analysis has come to its time`() throws {
        var teller = Teller()
        teller.tell([(0, 0, .identified(machine(threads: [31])))] + story[..<4])
        teller.tell([(0, 20, .stolen(500)), (0, 70, .stolen(530))])
        #expect(try teller.vcpu(31).steal == nil)
        teller.tell(Array(story[5...]))
        let steal = try #require(try teller.vcpu(31).steal)
        #expect(
            steal
                == Snapshot.Steal(
                    toldNanoseconds: 30, readyNanoseconds: 30, fromNanoseconds: 20, untilNanoseconds: 70))
    }

    @Test
    func `a counter that goes back begins anew`() throws {
        let teller = check(
            story + [(0, 110, .stolen(100)), (0, 120, .time), (0, 130, .stolen(110)), (0, 140, .time)], [:])
        let steal = try #require(try teller.vcpu(31).steal)
        #expect(steal.toldNanoseconds == 10)
        #expect(steal.fromNanoseconds == 110)
    }

    @Test
    func `samples of a CPU that is no vCPU, and of a guest that is gone, mean nothing`() throws {
        let teller = check(
            story + [
                (7, 110, .stolen(100)), (0, 115, .time), (0, 116, .guestGone), (0, 120, .stolen(1)), (0, 130, .time),
            ],
            [:])
        #expect(try teller.vcpu(31).steal == nil)
    }

    @Test
    func `without sched_switch the host measures nothing, and accuses nobody`() throws {
        let teller = check(
            [
                (0, 0, .linked(pid: 29)), (0, 15, .entry(31)), (0, 16, .guestSwitched(0, 130)), (0, 20, .stolen(500)),
                (0, 30, .exit(31, ept)), (0, 90, .stolen(540)), (0, 120, .time),
            ], [:], without: ["sched_switch"])
        let steal = try #require(try teller.vcpu(31).steal)
        #expect(steal.toldNanoseconds == 40)
        #expect(steal.readyNanoseconds == nil)
        #expect(steal.difference == nil)
    }

    @Test
    func `what is unknown in the stretch may all have been ready time`() throws {
        let teller = check(
            [
                (0, 0, .linked(pid: 29)), (0, 10, .switched(30, 31)), (0, 15, .entry(31)),
                (0, 16, .guestSwitched(0, 130)), (0, 20, .stolen(500)), (0, 30, .exit(31, ept)), (0, 35, .lost()),
                (0, 80, .switched(30, 31)), (0, 100, .stolen(545)), (0, 120, .time),
            ], [:])
        let steal = try #require(try teller.vcpu(31).steal)
        #expect(steal.readyNanoseconds == 0)
        #expect(steal.unknownNanoseconds == 50)
        #expect(steal.difference?.least == -45)
        #expect(steal.difference?.most == 5)
    }

    @Test
    func `a guest that tells of the far future loses its own samples, and nobody else's`() throws {
        var teller = Teller()
        teller.tell([(0, 0, .identified(machine(threads: [31])))] + story[..<4])
        let far = HostTime(nanoseconds: 1 << 60)
        for count in 0..<2000 {
            teller.analyzer.sampleSteal(SourceID(2), [.init(cpu: 0, nanoseconds: UInt64(count))], at: far)
        }
        #expect(teller.analyzer.anomalies[.tableFull] == UInt64(2000 - Limits.pendingNotesPerGuest))
        teller.tell([(0, 20, .stolen(500)), (0, 70, .stolen(530))])
        teller.tell(Array(story[5...]))
        #expect(try teller.vcpu(31).steal?.toldNanoseconds == 30)
    }
}
