import Testing
import TraceModel

extension LabTests {
    /// Is what Tandem says of guests what they did? Both are on one CPU of the host, and what each does is dictated; so what
    /// their vCPUs did is known without looking.
    ///
    /// Tolerances are shares of the time looked at, and say how far the lab may be from what it is told to do: an emulated
    /// guest needs a good part of its CPU to take a timer interrupt or to start a process, QEMU, vhost and the kernel's
    /// threads need some of CPU 1, and where this machine stops to emulate that CPU, whoever was on it gets the time. They
    /// are narrow enough to tell the phases from each other. What Tandem makes of the same events is compared exactly
    /// elsewhere, with the oracle.
    struct GroundTruth {
        let lab: Lab

        init() throws { lab = try Lab() }

        @Test func `each phase of a workload shows as what it is, and its culprits are those who had the CPU`() throws {
            // Seen from the host alone: an agent would be one more task in guests that are to be idle.
            try Observation.judge(phases: [
                Phase(1, "busy", 2, "busy"), Phase(1, "sleep", 2, "sleep"), Phase(1, "busy"), Phase(1, "io"),
                Phase(1, "switch"), Phase(1, "fork"),
            ]) { observations, verdict in
                try bothBusy(observations[0], &verdict)
                try bothAsleep(observations[1], &verdict)
                for observation in [observations[2], observations[4], observations[5]] {
                    try oneBusy(observation, &verdict)
                }
                try disk(observations[3], computing: observations[2], &verdict)
            }
            try lab.expectNothingLeft("after the phases")
        }

        /// Two that always want the one CPU get half of it each.
        private func bothBusy(_ observation: Observation, _ verdict: inout Verdict) throws {
            for (guest, other) in [("g1", "g2"), ("g2", "g1")] {
                let vcpu = try observation.vcpu(of: guest)
                // Half, and 10 % for what else runs on that CPU and for slices that begin or end outside.
                verdict.expect(vcpu, .preempted, .waking, in: 0.4...0.6)
                verdict.expect(vcpu, .running, .hypervisor, .userspace, in: 0.4...0.6)
                verdict.expect(vcpu, .halted, in: 0...0.02)
                verdict.expect(vcpu, .unknown, in: 0...0.01)
                // While one is ready the other one runs, but for what interrupts that.
                verdict.expect(vcpu.share(waitingFor: other) >= 0.8, "waited for others than \(other)", vcpu)
            }
        }

        /// Who sleeps is halted, and is woken twenty times a second; emulated, that takes up to 20 ms each time.
        private func bothAsleep(_ observation: Observation, _ verdict: inout Verdict) throws {
            for guest in ["g1", "g2"] {
                let vcpu = try observation.vcpu(of: guest)
                verdict.expect(vcpu, .halted, in: 0.6...1)
                // Both may wake at the same time, and then one of them waits.
                verdict.expect(vcpu, .preempted, .waking, in: 0...0.2)
                verdict.expect(vcpu.exits.keys.contains("hlt"), "no exit is a halt", vcpu)
            }
        }

        /// Who has a CPU to itself is on it, whatever its tasks do with it; the other one sleeps, but for its kernel's timers.
        private func oneBusy(_ observation: Observation, _ verdict: inout Verdict) throws {
            let one = try observation.vcpu(of: "g1")
            verdict.expect(one, .running, .hypervisor, .userspace, .polling, in: 0.75...1)
            verdict.expect(one, .preempted, .waking, in: 0...0.2)
            verdict.expect(one, .halted, in: 0...0.15)
            verdict.expect(try observation.vcpu(of: "g2"), .halted, in: 0.6...1)
        }

        /// Who writes a disk leaves the guest for it, again and again, and waits.
        private func disk(_ observation: Observation, computing: Observation, _ verdict: inout Verdict) throws {
            let writer = try observation.vcpu(of: "g1")
            let computer = try computing.vcpu(of: "g1")
            // virtio over MMIO: each request is an exit that QEMU or KVM handles. Who computes has only the timer's.
            verdict.expect(
                writer.share(.userspace) > 2 * computer.share(.userspace), "no more device emulation", writer, computer)
            verdict.expect(writer.exitsPerSecond > computer.exitsPerSecond, "no more exits", writer, computer)
            // It sleeps until the device has written, and what wakes it is the host.
            verdict.expect(
                writer.share(.halted, .blocked) > computer.share(.halted, .blocked), "no more waits", writer, computer)
            verdict.expect(try observation.vcpu(of: "g2"), .halted, in: 0.6...1)
        }

        @Test(arguments: LabSession.Transport.allCases)
        func `two guests that compute have their task named, whatever leads to their agents`(
            transport: LabSession.Transport
        ) throws {
            try Observation.judge(
                options: transport.options(Lab.guests), phases: [Phase(1, "busy", 2, "busy")]
            ) { observations, verdict in
                try bothBusy(observations[0], &verdict)
                for guest in ["g1", "g2"] {
                    // The shell that computes; the other task is the agent, which, emulated, takes most of a guest's CPU
                    // to send what it reads.
                    let tasks = observations[0].tasks(of: guest)
                    let count = tasks.values.reduce(0, +)
                    verdict.expect(
                        tasks["workload", default: 0] >= count / 10,
                        "the task that computes is hardly ever named: \(tasks)")
                    verdict.expect(tasks["", default: 0] == 0, "no task is named: \(tasks)")
                    try stealIsTold(observations[0].vcpu(of: guest), &verdict)
                }
            }
        }

        /// Linux tells a guest as steal how long its vCPU's thread waited in the host's run queue (kvm_steal_time: the
        /// scheduler's `run_delay`), which is what ready time is made of. The guest books it in ticks of 10 ms, and its
        /// agent reads it when the guest has the CPU: a slice of tens of milliseconds may be in one and not in the other.
        private func stealIsTold(_ vcpu: ObservedVCPU, _ verdict: inout Verdict) throws {
            let steal = try #require(vcpu.after.steal, "\(vcpu.guest) sent no sample of its steal time")
            let stretch = Double(max(1, steal.untilNanoseconds - steal.fromNanoseconds))
            let ready = try #require(steal.readyNanoseconds, "the host saw no switches")
            verdict.expect(
                abs(Double(ready - steal.toldNanoseconds)) / stretch <= 0.05,
                "told \(steal.toldNanoseconds) ns, measured \(ready) of \(stretch)", vcpu)
            // So it cannot be nothing: nearly all of the session was that phase.
            verdict.expect(
                Double(steal.toldNanoseconds) / stretch >= 0.2, "hardly any steal is told: \(steal)", vcpu)
        }

        /// What the guest's own scheduler did, as its agent saw it: two threads hand a line to and fro; or one starts others,
        /// each of which ends at once.
        @Test func `the tasks of a guest are told apart: two that take turns, and those of a storm`() throws {
            try Observation.judge(
                options: LabSession.Transport.vsock.options([1]), phases: [Phase(1, "switch"), Phase(1, "fork")]
            ) { observations, verdict in
                let turns = observations[0].switches(of: "g1", named: "workload")
                // Emulated, a turn takes milliseconds, and the agent has its part of the CPU.
                let busiest = turns.values.sorted(by: >)
                verdict.expect(
                    busiest.count == 2 && busiest.allSatisfy { $0 >= 50 }, "not two that take turns: \(turns)")
                // A turn of one is a turn of the other.
                let least = Double(busiest.last ?? 0)
                verdict.expect(least / Double(max(1, busiest.first ?? 0)) >= 0.7, "one takes more turns: \(turns)")
                let storm = observations[1].threads(of: "g1", named: "workload")
                verdict.expect(storm.count >= 5, "no storm of tasks: \(storm)")
                verdict.expect(Set(turns.keys).intersection(storm).isEmpty, "tasks of the phase before are seen")
            }
            try lab.expectNothingLeft("after the tasks")
        }

        @Test func `a task of the host that takes the CPU is named as the culprit`() throws {
            try Observation.judge(phases: [Phase(1, "busy", hostLoad: "busy")]) { observations, verdict in
                let vcpu = try observations[0].vcpu(of: "g1")
                verdict.expect(vcpu, .preempted, .waking, in: 0.4...0.6)
                verdict.expect(vcpu.share(waitingFor: "workload") >= 0.8, "waited for others", vcpu)
            }
        }
    }
}
