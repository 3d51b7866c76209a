import Analysis
import Testing
import TraceModel

/// What a guest does comes before the exit by which its host sees it.
struct CausalityTests {
    /// vCPU 31 of the machine whose VMM is process 29, on CPU 0; its guest's clock is known to ± 5 ns.
    private func check(
        _ steps: [Step], _ expected: [Snapshot.CausalPair], sourceLocation: SourceLocation = #_sourceLocation
    ) {
        var teller = Teller()
        teller.boundNanoseconds = 5
        teller.tell([
            (0, 0, .identified(machine(threads: [31]))), (0, 0, .linked(pid: 29)), (0, 1, .switched(30, 31)),
        ])
        teller.tell(steps)
        let snapshot = teller.analyzer.snapshot()
        #expect(snapshot.guests.first?.causality == expected, sourceLocation: sourceLocation)
        let check = snapshot.health.checks.first { $0.name == .causeBeforeEffect }
        #expect(check?.violations ?? 0 == expected.reduce(0) { $0 + $1.violations }, sourceLocation: sourceLocation)
    }

    private func pair(
        _ cause: String, _ effect: String, _ count: UInt64, violations: UInt64 = 0, excused: UInt64 = 0,
        after nanoseconds: Int64? = nil
    ) -> Snapshot.CausalPair {
        Snapshot.CausalPair(
            cause: cause, effect: effect, count: count, violations: violations, excused: excused,
            leastNanoseconds: nanoseconds, p50Nanoseconds: nanoseconds, p99Nanoseconds: nanoseconds)
    }

    @Test func `a halt follows the guest's going idle, and a write to the APIC its starting a timer`() {
        check(
            [
                (0, 10, .entry(31)), (0, 20, .guestTimerStarted), (0, 27, .exit(31, 32)), (0, 40, .entry(31)),
                (0, 50, .guestIdle(1)), (0, 53, .exit(31, hlt)),
            ],
            [pair("hrtimer_start", "APIC", 1, after: 7), pair("cpu_idle", "HLT", 1, after: 3)])
    }

    @Test func `a timer that programs nothing, an interrupt before the halt and the end of idleness say nothing`() {
        check(
            [
                (0, 10, .entry(31)), (0, 20, .guestTimerStarted), (0, 21, .guestSwitched(0, 7)), (0, 27, .exit(31, 32)),
                (0, 40, .entry(31)), (0, 50, .guestIdle(1)), (0, 53, .exit(31, externalInterrupt)),
                (0, 60, .entry(31)), (0, 70, .guestIdle(0xffff_ffff)), (0, 80, .exit(31, hlt)),
            ], [])
    }

    @Test func `a cause behind its effect is excused within the bound and a violation beyond it`() {
        check(
            [
                (0, 10, .entry(31)), (0, 20, .exit(31, hlt)), (0, 25, .guestIdle(1)), (0, 40, .entry(31)),
                (0, 50, .exit(31, hlt)), (0, 56, .guestIdle(1)),
            ], [pair("cpu_idle", "HLT", 0, violations: 1, excused: 1)])
    }
}
