import Foundation
import Testing
import TraceModel

extension LabTests {
    /// The agent as its systemd unit runs it: user root without a capability, everything read-only but trace instances. In
    /// the host, because that has a systemd, and a kernel whose tracing may be touched; the host is its own guest, over
    /// vsock's loopback.
    struct Unit {
        let lab: Lab
        private static let repository = URL(filePath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent().path

        init() throws {
            lab = try Lab()
            for unit in ["tandem-agent.socket", "tandem-agent.service"] {
                try Lab.run("push-host", "\(Unit.repository)/systemd/\(unit)", unit)
            }
            try Lab.run("push-host", "\(Unit.repository)/Deploy/lab/inside/run-units", "bin/run-units")
        }

        @Test func `an agent without any privilege serves a session and leaves nothing`() throws {
            let manager = try Lab.host("run-units")
            defer { _ = try? Lab.host("kill -9 \(manager); pkill -9 -x tandem-agent; umount /usr/local/bin") }
            let inside = "nsenter -t \(manager) -p -m"
            let text = try Lab.host("tandem record -A unit@1 -o units.tandem -d 4 -q --format json")
            let snapshot = try JSONDecoder().decode(Snapshot.self, from: Data(text.utf8))
            let source = try #require(snapshot.sources.first { $0.name == "unit" })
            #expect(source.state == "drained")
            #expect(source.events > 0)
            let status = try Lab.host("cat /proc/$(pgrep -x tandem-agent)/status")
            for line in ["CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"] {
                #expect(status.contains(line), "\(status)")
            }
            #expect(try Lab.host("\(inside) systemctl is-active tandem-agent.service") == "active")
            try lab.expectNothingLeft("after the unit's session")
        }
    }
}
