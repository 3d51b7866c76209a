import SessionLog
import Testing
import TraceModel

extension LabTests {
    /// What can go wrong with an agent, a guest or a collector while a session runs: the others go on, what is not known is
    /// said to be unknown, and the next session is as good as any.
    struct Mishaps {
        let lab: Lab
        let session: LabSession

        /// Both guests are recorded, and do something all the time.
        init() throws {
            lab = try Lab()
            session = try LabSession.start(
                "-e sched -e kvm " + LabSession.Transport.vsock.options(Lab.guests))
            for guest in Lab.guests { try Lab.startWork(guest, "sleep 300") }
            try session.wait(until: "both guests have sent events") { snapshot in
                snapshot.sources.dropFirst().allSatisfy { $0.events > 0 }
            }
        }

        /// Waits until the source has more events than it has now.
        private func expectEvents(_ source: Int) throws {
            let before = try session.snapshot().sources[source].events
            try session.wait(until: "source \(source) sends on") { $0.sources[source].events > before }
        }

        private func expectNextSessionIsGood(sourceLocation: SourceLocation = #_sourceLocation) throws {
            let next = try LabSession.start(LabSession.Transport.vsock.options(Lab.guests))
            try next.wait(until: "both guests have sent events") { snapshot in
                snapshot.sources.dropFirst().allSatisfy { $0.events > 0 }
            }
            let snapshot = try next.finish().snapshot()
            #expect(
                snapshot.sources.map(\.state) == ["drained", "drained", "drained"], sourceLocation: sourceLocation)
            try lab.expectNothingLeft("after the next session", sourceLocation: sourceLocation)
        }

        @Test func `an agent that is killed is gone, the next one clears up, and takes its place in the session`()
            throws
        {
            try Lab.guest(1, "killall -9 tandem-agent")
            try session.wait(until: "g1 is gone") { $0.sources[1].state == "gone" }
            // Its instance is there until somebody clears it.
            let left = try Lab.guest(1, "ls /sys/kernel/tracing/instances")
            #expect(left != "")
            try expectEvents(2)
            try Lab.startAgent(1)
            try session.wait(until: "g1 is back") { $0.sources[1].state == "live" }
            try expectEvents(1)
            #expect(try !Lab.guest(1, "ls /sys/kernel/tracing/instances").contains(left))
            let recording = try session.finish()
            #expect(recording.log.contains("g1 is gone"), "\(recording.log)")
            #expect(recording.log.contains("g1 is back after"), "\(recording.log)")
            let snapshot = try recording.snapshot()
            #expect(snapshot.sources.map(\.state) == ["drained", "drained", "drained"])
            #expect(snapshot.health.anomalies.contains { $0.name == "agent_returned" && $0.count == 1 })
            try expectNextSessionIsGood()
        }

        @Test func `a guest that is killed is gone, and the other one goes on`() throws {
            try Lab.guest(1, .kill)
            try session.wait(until: "g1 is gone") { $0.sources[1].state == "gone" }
            try expectEvents(2)
            let snapshot = try session.finish().snapshot()
            #expect(snapshot.sources.map(\.state) == ["drained", "gone", "drained"])
            // Its time until then is kept, and adds up.
            let machine = try #require(snapshot.guests.first { $0.name == "g1" })
            #expect(try #require(machine.vcpus.first).times.total > 0)
        }

        @Test func `a guest that is reset goes on as the same vCPU with its agent gone`() throws {
            let before = try session.snapshot()
            try Lab.guest(1, .reset)
            // Nobody closed its connection: until the guest has a kernel again that refuses it, it is only silent.
            try session.wait(until: "g1 is silent or gone") { ["silent", "gone"].contains($0.sources[1].state) }
            let after = try session.wait(until: "its vCPU runs on") { snapshot in
                (vcpu(of: "g1", in: snapshot)?.exitCount ?? 0) > (vcpu(of: "g1", in: before)?.exitCount ?? 0)
            }
            #expect(vcpu(of: "g1", in: after)?.hostTID == vcpu(of: "g1", in: before)?.hostTID)
            #expect(try session.finish().snapshot().sources.map(\.state) == ["drained", "gone", "drained"])
        }

        /// Formats, numbers of events and the clock's zero are others; the recording says so of the second agent.
        @Test func `a guest that is started anew with another kernel takes part again, read by that kernel's formats`()
            throws
        {
            let before = try Lab.guest(1, "uname -r")
            try Lab.guest(1, .kill)
            try session.wait(until: "g1 is gone") { $0.sources[1].state == "gone" }
            // g2's, whatever that is in this lab; the next test boots g1 as it was.
            let kernels = (Lab.variable("LAB_GUEST_KERNEL") ?? "stable").split(separator: " ")
            let kernel = kernels.dropFirst().first ?? kernels.first ?? "stable"
            try Lab.host("guest-up 1 1 256M \(kernel)")
            defer { try? Lab.guest(1, .kill) }
            let after = try Lab.guest(1, "uname -r")
            try Lab.startAgent(1)
            try session.wait(until: "g1 is back") { $0.sources[1].state == "live" }
            try Lab.startWork(1, "switch 2")
            try expectEvents(1)
            let recording = try session.finish()
            #expect(recording.log.contains("g1 is back after"), "\(recording.log)")
            var releases: [String] = []
            let input = try recording.input()
            while let next = try input.next() {
                guard case .record(.sourceOpened(_, let facts, _, _)) = next, facts.name == "g1" else { continue }
                releases.append(facts.kernelRelease)
            }
            #expect(releases == [before, after])
            let snapshot = try recording.snapshot()
            #expect(snapshot.sources.map(\.state) == ["drained", "drained", "drained"])
            // It runs on another thread of another process, and its tasks are there.
            let machine = try #require(snapshot.guests.last { $0.name == "g1" })
            #expect(machine.tasks.contains { $0.name.hasPrefix("workload") }, "\(machine.tasks.map(\.name))")
            let strange = snapshot.health.anomalies.map(\.name).filter { name in
                ["malformed", "format", "record", "sub_buffer", "unknown", "field"].contains { name.contains($0) }
            }
            #expect(strange == [])
        }

        @Test func `a guest that is paused is late, does not run, and goes on where it was`() throws {
            // From when QEMU had stopped it until QEMU was told to let it go; after ten seconds it would be gone.
            let pause = try Lab.host("guest-monitor 1 pause 4").split(separator: " ").map { try Lab.hostTime($0) }
            try #require(pause.count == 2)
            try expectEvents(1)
            let recording = try session.finish()
            // Its source is judged when it has been silent for longer than it may be.
            let paused = try recording.snapshots(at: [pause[0], pause[0].advanced(by: 3_000_000_000), pause[1]])
            #expect(paused[1].sources[1].state == "late", "the host is analyzed on without it")
            let vcpus = try paused.map { try #require(vcpu(of: "g1", in: $0)) }
            #expect(vcpus[0].times[.running] == vcpus[2].times[.running], "it does not run")
            #expect(vcpus[0].exitCount == vcpus[2].exitCount, "it does not exit")
            let snapshot = try recording.snapshot()
            #expect(snapshot.sources.map(\.state) == ["drained", "drained", "drained"])
            #expect(snapshot.sources.map(\.lost.total) == [0, 0, 0])
            try lab.expectNothingLeft("after the session")
        }

        @Test func `a collector that is killed leaves agents that clear up and serve the next`() throws {
            try Lab.host("kill -9 $(cat record.pid)")
            for guest in Lab.guests {
                // The machine tells the agent that its peer is gone; then it must not take long.
                try Lab.guest(
                    guest,
                    "for i in $(seq 100); do [ -z \"$(ls /sys/kernel/tracing/instances)\" ] && exit 0; usleep 100000; done; exit 1"
                )
            }
            try expectNextSessionIsGood()
        }

        @Test func `a guest whose TSC is written is recorded on, and the host sees it written`() throws {
            // Half a second forward, give or take: enough to be seen, and no limit of anything.
            try Lab.guest(1, "tsc-add 1000000000")
            try expectEvents(1)
            try expectEvents(2)
            let recording = try session.finish()
            let odd = try recording.snapshot().health.anomalies.map(\.name)
            #expect(odd.contains("clock_changed"), "\(odd)")
            #expect(try recording.eventCounts()["host"]?["kvm:kvm_write_tsc_offset"] ?? 0 >= 1)
        }

        private func vcpu(of guest: String, in snapshot: Snapshot) -> Snapshot.VCPU? {
            snapshot.guests.first { $0.name == guest }?.vcpus.first
        }
    }
}
