import Testing
import TraceModel

extension LabTests {
    /// Sessions as they should go.
    struct Sessions {
        let lab: Lab

        init() throws { lab = try Lab() }

        /// Every source has delivered all it had: nothing lost, nothing malformed, nothing odd that should not be.
        private func checkWhole(
            _ snapshot: Snapshot, sources: [String], sourceLocation: SourceLocation = #_sourceLocation
        ) {
            #expect(snapshot.sources.dropFirst().map(\.name) == sources, sourceLocation: sourceLocation)
            for source in snapshot.sources {
                #expect(source.state == "drained", "\(source.name)", sourceLocation: sourceLocation)
                #expect(source.events > 100, "\(source.name)", sourceLocation: sourceLocation)
                #expect(source.lost.total == 0, "\(source.name)", sourceLocation: sourceLocation)
                #expect(source.lost.ofUnknownSize == 0, "\(source.name)", sourceLocation: sourceLocation)
            }
            let faults = snapshot.health.anomalies.filter {
                $0.name.contains("malformed") || $0.name.contains("unknown")
            }
            #expect(faults == [], sourceLocation: sourceLocation)
        }

        @Test(arguments: LabSession.Transport.allCases)
        func `two guests are recorded whole, whatever leads to their agents`(transport: LabSession.Transport) throws {
            let session = try LabSession.start(transport.options(Lab.guests))
            for guest in Lab.guests { try Lab.startWork(guest, "switch 2") }
            try session.wait(until: "both guests have sent a thousand events") { snapshot in
                snapshot.sources.dropFirst().allSatisfy { $0.events >= 1000 }
            }
            let recording = try session.finish()
            let snapshot = try recording.snapshot()
            checkWhole(snapshot, sources: ["g1", "g2"])
            #expect(recording.log.contains("lost 0"), "\(recording.log)")
            // The vCPU threads are those that QEMU started, as the lab saw them.
            for guest in Lab.guests {
                let threads = try Lab.host("cut -d' ' -f2 \"$LAB_RUN/g\(guest)/vcpus\"")
                let seen = snapshot.guests.first { $0.name == "g\(guest)" }?.vcpus.compactMap(\.hostTID)
                #expect(seen?.map(String.init) == threads.split(separator: "\n").map(String.init))
            }
            try lab.expectNothingLeft("after the session")
        }

        @Test func `an agent behind a Unix socket is recorded whole`() throws {
            try Lab.host("tandem-agent unix:agent.sock >agent.log 2>&1 & echo $! >agent.pid")
            let session = try LabSession.start("-A here@unix:agent.sock")
            try Lab.host("workload switch 2")
            try session.wait(until: "it has sent a thousand events") { $0.sources[1].events >= 1000 }
            checkWhole(try session.finish().snapshot(), sources: ["here"])
            try Lab.host("kill $(cat agent.pid); while kill -0 $(cat agent.pid) 2>/dev/null; do sleep 0.1; done")
            try lab.expectNothingLeft("after the session")
        }

        /// Who may not own tracefs can be given it: to read by mount options, and to begin traces by ownership of the folder
        /// where they begin, which what is made there inherits. Tried in the host, because that has setpriv(1).
        @Test func `an agent of another user is recorded whole once the folder for traces is its own`() throws {
            let (user, group) = (4241, 4242)
            try Lab.host("mount -o remount,gid=\(group),mode=0750 /sys/kernel/tracing")
            defer {
                _ = try? Lab.host(
                    """
                    kill $(cat agent.pid); while kill -0 $(cat agent.pid) 2>/dev/null; do sleep 0.1; done
                    chown 0:0 /sys/kernel/tracing/instances; mount -o remount,gid=0,mode=0700 /sys/kernel/tracing
                    """)
            }
            try Lab.host(
                """
                setpriv --reuid=\(user) --regid=\(group) --clear-groups \
                    tandem-agent unix:/tmp/agent.sock >agent.log 2>&1 & echo $! >agent.pid
                for i in $(seq 150); do grep -q 'listening on' agent.log && exit 0; sleep 0.2; done; cat agent.log; exit 1
                """)
            // In the group only.
            let answer = try Lab.host("tandem record -A here@unix:/tmp/agent.sock -o early.tandem -d 1 2>&1; true")
            #expect(answer.contains("only the owner can start one"), "\(answer)")
            try Lab.host("chown \(user) /sys/kernel/tracing/instances")
            let session = try LabSession.start("-A here@unix:/tmp/agent.sock")
            try Lab.host("workload switch 2")
            try session.wait(until: "it has sent a thousand events") { $0.sources[1].events >= 1000 }
            checkWhole(try session.finish().snapshot(), sources: ["here"])
            let status = try Lab.host("grep -E '^(Uid|CapEff)' /proc/$(cat agent.pid)/status | tr -s '\\t' ' '")
            #expect(status == "Uid: \(user) \(user) \(user) \(user)\nCapEff: 0000000000000000")
            try lab.expectNothingLeft("after the session")
        }

        @Test func `a collector that comes before an agent says whom it did not reach, and begins nothing`() throws {
            try Lab.stopAgent(2)
            let answer = try Lab.host(
                "tandem record -A g1@3 -A g2@4 -o early.tandem -d 1 2>&1; echo status $?; ls early.tandem 2>/dev/null; true"
            )
            #expect(answer.contains("guest 'g2' at vsock:4:9823: "), "\(answer)")
            #expect(answer.hasSuffix("status 1"), "\(answer)")
            try lab.expectNothingLeft("after the refusal")
            // Then it comes, and everything is as if it had been there.
            try Lab.startAgent(2)
            let session = try LabSession.start(LabSession.Transport.vsock.options(Lab.guests))
            try Lab.startWork(2, "switch 2")
            try session.wait(until: "g2 has sent a hundred events") { $0.sources[2].events > 100 }
            #expect(try session.finish().snapshot().sources.map(\.state) == ["drained", "drained", "drained"])
        }
    }
}
