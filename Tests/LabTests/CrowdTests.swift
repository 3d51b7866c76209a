import Testing
import TraceModel

extension LabTests {
    /// Three guests, of which g3 has two vCPUs: four of them on one CPU of the host. In a lab of its own, because a guest
    /// that only waits costs the others some of their CPU, and makes a machine under load boot longer.
    @Suite(.enabled(if: Lab.isCrowded, "is run in the lab with three guests"))
    struct Crowd {
        let lab: Lab

        init() throws {
            lab = try Lab()
            for guest in Lab.crowd where !Lab.guests.contains(guest) {
                try? Lab.stopAgent(guest)
                try Lab.startAgent(guest)
            }
        }

        /// The host's scheduler gives each guest a third, and not each vCPU a quarter: each QEMU was started in a session of
        /// its own, and so each guest is a group of the scheduler (sched(7), "The autogroup feature"). Tolerances are those
        /// of two guests: 10 % of the CPU, for slices that begin or end outside and for what else runs there.
        @Test func `each of three guests gets a third of the CPU, and two vCPUs of one share theirs`() throws {
            try Observation.judge(
                options: LabSession.Transport.vsock.options(Lab.crowd), phases: [Phase(Lab.crowd, "busy")]
            ) { observations, verdict in
                let observation = observations[0]
                let third = 0.23...0.43
                for (guest, other) in [("g1", "g2"), ("g2", "g1")] {
                    let vcpu = try observation.vcpu(of: guest)
                    expectOnCPU(vcpu, in: third, &verdict)
                    // While one is ready, one of the two others runs, each for half of that time.
                    for culprit in [other, "g3"] {
                        verdict.expect(
                            (0.3...0.7).contains(vcpu.share(waitingFor: culprit)), "does not wait for \(culprit)", vcpu)
                    }
                }
                let pair = try observation.vcpus(of: "g3")
                #expect(pair.map(\.after.vcpu) == [0, 1])
                for vcpu in pair {
                    expectOnCPU(vcpu, in: 0.07...0.27, &verdict)
                    for culprit in ["g1", "g2"] {
                        verdict.expect(
                            (0.2...0.6).contains(vcpu.share(waitingFor: culprit)), "does not wait for \(culprit)", vcpu)
                    }
                    // A sixth of the CPU is the other vCPU's, a fifth of the time that this one waits.
                    verdict.expect(
                        (0.1...0.35).contains(vcpu.share(waitingFor: "g3")), "does not wait for its own guest", vcpu)
                }
                let all = try Lab.crowd.flatMap { try observation.vcpus(of: "g\($0)") }
                // All were looked at for the same time, to the nanosecond, and only one of them at a time had the CPU.
                #expect(Set(all.map(\.elapsed)).count == 1, "\(all.map(\.elapsed))")
                let together = all.reduce(0) { $0 + $1.share(.running, .hypervisor, .polling, .userspace) }
                #expect((0.85...1).contains(together), "\(together)")
                for guest in Lab.crowd {
                    let tasks = observation.tasks(of: "g\(guest)")
                    verdict.expect(tasks[""] == nil, "no task of g\(guest) is named: \(tasks)")
                }
            }
            try lab.expectNothingLeft("after the crowd")
        }

        private func expectOnCPU(_ vcpu: ObservedVCPU, in share: ClosedRange<Double>, _ verdict: inout Verdict) {
            verdict.expect(vcpu, .running, .hypervisor, .userspace, .polling, in: share)
            verdict.expect(
                vcpu, .preempted, .waking, in: 1 - share.upperBound - 0.05...1 - share.lowerBound)
            verdict.expect(vcpu, .unknown, in: 0...0.01)
        }
    }
}
