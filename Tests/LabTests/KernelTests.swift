import SessionLog
import Testing
import TraceModel

extension LabTests {
    /// More than one kernel: the guests of a lab have different ones, and these tests are run in a lab for each host kernel.
    /// Formats, events and their fields differ between them; what is said of the guests does not.
    struct Kernels {
        let lab: Lab

        init() throws { lab = try Lab() }

        @Test func `guests of different kernels are recorded whole and judged the same`() throws {
            let releases = try [
                "host": Lab.host("uname -r"), "g1": Lab.guest(1, "uname -r"), "g2": Lab.guest(2, "uname -r"),
            ]
            #expect(releases["g1"]?.prefix(4) != releases["g2"]?.prefix(4), "\(releases)")
            let session = try LabSession.start(LabSession.Transport.vsock.options(Lab.guests))
            for guest in Lab.guests { try Lab.startWork(guest, "busy 600") }
            let begin = try session.snapshot()
            let end = try session.wait(until: "six seconds are analyzed") {
                $0.window.endNanoseconds > begin.window.endNanoseconds + 6_000_000_000
            }
            for guest in Lab.guests { try Lab.stopWork(guest) }
            let recording = try session.finish()
            let observation = Observation([begin, end])
            var verdict = Verdict()
            for (guest, other) in [("g1", "g2"), ("g2", "g1")] {
                let vcpu = try observation.vcpu(of: guest)
                // Half each, as in GroundTruth; the first slices belong to the start of the work.
                verdict.expect(vcpu, .preempted, .waking, in: 0.35...0.65)
                verdict.expect(vcpu, .unknown, in: 0...0.01)
                verdict.expect(vcpu.share(waitingFor: other) >= 0.75, "waited for others than \(other)", vcpu)
                // Reasons of exits have names, from the format of this host's kvm:kvm_exit.
                let names = vcpu.exits.keys
                verdict.expect(names.allSatisfy { $0.first?.isLetter == true }, "exits without a name", vcpu)
            }
            #expect(verdict.faults == [])
            let snapshot = try recording.snapshot()
            #expect(snapshot.sources.map(\.state) == ["drained", "drained", "drained"])
            for source in snapshot.sources {
                #expect(source.events > 100, "\(source.name)")
                #expect(source.lost.total == 0, "\(source.name)")
            }
            // Anything about formats, records or batches would be a kernel that is not understood.
            let strange = snapshot.health.anomalies.map(\.name).filter { name in
                ["malformed", "format", "record", "sub_buffer", "unknown"].contains { name.contains($0) }
            }
            #expect(strange == [])
            try checkReleases(recording, releases)
            try lab.expectNothingLeft("after the session")
        }

        /// The recording says of each machine which kernel it had.
        private func checkReleases(_ recording: LabRecording, _ releases: [String: String]) throws {
            var recorded: [String: String] = [:]
            let input = try recording.input()
            while let next = try input.next() {
                guard case .record(.sourceOpened(_, let facts, _, _)) = next else { continue }
                recorded[facts.isHost ? "host" : facts.name] = facts.kernelRelease
            }
            #expect(recorded == releases)
        }
    }
}
