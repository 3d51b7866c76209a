import Analysis
import Testing
import TraceModel

/// The stub trace "OneQemuKvm" of Trace Compass's own tests: host thread 31 is vCPU 0, thread 30 takes its CPU twice.
///
/// Trace Compass's RUNNING is our running, its VMM our hypervisor, its PREEMPT our preempted, as long as prev_state is
/// runnable throughout. It knows nothing before the guest's first switch at 10; we know the host's half of it at 1.
struct TraceCompassTests {
    private let story: [Step] = [
        (0, 1, .switched(30, 31)), (0, 5, .entry(31)), (0, 10, .guestSwitched(130, 131)),
        (0, 35, .guestSwitched(131, 130)), (0, 45, .exit(31, 32)), (0, 60, .entry(31)),
        (0, 75, .guestSwitched(130, 131)), (0, 95, .exit(31, 32)), (0, 100, .switched(31, 30)),
        (0, 150, .switched(30, 31)), (0, 155, .entry(31)), (0, 175, .guestSwitched(131, 130)),
        (0, 195, .exit(31, 32)), (0, 210, .entry(31)), (0, 225, .guestSwitched(130, 131)), (0, 245, .exit(31, 32)),
        (0, 260, .entry(31)), (0, 275, .guestSwitched(131, 130)), (0, 295, .exit(31, 32)),
        (0, 300, .switched(31, 30)), (0, 350, .switched(30, 31)), (0, 355, .entry(31)),
        (0, 375, .guestSwitched(130, 131)), (0, 375, .time),
    ]

    @Test
    func `the stub's states`() throws {
        let teller = check(
            [(0, 1, .linked(pid: 29))] + story,
            [
                31: "hypervisor 1, running 5, hypervisor 45, running 60, hypervisor 95, preempted 100, "
                    + "hypervisor 150, running 155, hypervisor 195, running 210, hypervisor 245, running 260, "
                    + "hypervisor 295, preempted 300, hypervisor 350, running 355"
            ], start: 1)
        let vcpu = try teller.vcpu(31)
        #expect(vcpu.guestTID == 131)
        #expect(vcpu.preemptions == 2)
        #expect(vcpu.culprits.map(\.tid) == [30])
        #expect(vcpu.culprits.map(\.nanoseconds) == [100])
        #expect(vcpu.exits.map(\.reason) == ["MSR_WRITE"])
        #expect(teller.analyzer.anomalies.nonZero.isEmpty)
    }

    @Test
    func `the stub's published totals`() throws {
        var teller = Teller(start: 1)
        teller.tell([(0, 1, .identified(machine(threads: [31]))), (0, 1, .linked(pid: 29))])
        let first = try #require(story.firstIndex { $0.at == 10 })
        teller.tell(Array(story[..<first]) + [(0, 10, .time)])
        let unknownToThem = try teller.vcpu(31).times
        teller.tell(Array(story[first...]))
        let times = try teller.vcpu(31).times - unknownToThem
        #expect(unknownToThem.total == 9)
        #expect(times[.running] == 200)
        #expect(times[.hypervisor] == 65)
        #expect(times[.preempted] == 100)
        #expect(times.total == 365)
    }
}
