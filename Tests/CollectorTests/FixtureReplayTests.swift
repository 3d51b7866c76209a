import Collector
import Foundation
import SessionLog
import Testing
import TraceModel

/// Recordings of real hosts and guests (Tests/Fixtures, made by `Deploy/lab/fixtures`): what a replay says of them stands
/// beside them. `TANDEM_WRITE_GOLDEN=1` writes it anew.
struct FixtureReplayTests {
    private static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Fixtures").path

    private func replayed(_ name: String) throws -> Snapshot {
        var replay = Replay(RecordedInput(try LogReader(opening: "\(Self.folder)/\(name)")))
        _ = try replay.advance(to: nil)
        #expect(replay.shortfall == nil)
        return replay.snapshot
    }

    /// What depends on nothing but the events: counts, and times to the nanosecond.
    private func golden(_ snapshot: Snapshot) -> String {
        var lines = ["\(snapshot.window.endNanoseconds - snapshot.window.startNanoseconds) ns"]
        for source in snapshot.sources {
            lines.append(
                "\(source.kind == "host" ? "host" : source.name): \(source.state), \(source.events) events, lost "
                    + "\(source.lost.total) and \(source.lost.ofUnknownSize) times an unknown number")
        }
        for guest in snapshot.guests.sorted(by: { $0.name < $1.name }) {
            for vcpu in guest.vcpus {
                lines.append("\(guest.name) vCPU \(vcpu.vcpu ?? -1), thread \(vcpu.hostTID ?? -1)")
                for state in VCPUState.allCases where vcpu.times[state] > 0 {
                    lines.append("  \(state.label) \(vcpu.times[state]) ns")
                }
                lines.append("  preempted \(vcpu.preemptions) times, \(vcpu.exitCount) exits")
                for culprit in vcpu.culprits.prefix(3) {
                    lines.append("  waited for \(culprit.guest ?? culprit.name) \(culprit.nanoseconds) ns")
                }
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// Replays it and compares; gives the snapshot for what is special about it.
    private func check(_ name: String, sourceLocation: SourceLocation = #_sourceLocation) throws -> Snapshot {
        let snapshot = try replayed(name)
        let file = "\(Self.folder)/\(name)/golden.txt"
        if ProcessInfo.processInfo.environment["TANDEM_WRITE_GOLDEN"] != nil {
            try golden(snapshot).write(toFile: file, atomically: true, encoding: .utf8)
        }
        let expected = try String(contentsOfFile: file, encoding: .utf8)
        #expect(golden(snapshot) == expected, "\(name)", sourceLocation: sourceLocation)
        for vcpu in snapshot.guests.flatMap(\.vcpus) {
            // Known from the beginning, all of them: every nanosecond is in one state.
            #expect(
                vcpu.times.total == snapshot.window.endNanoseconds - snapshot.window.startNanoseconds,
                "\(name), vCPU thread \(vcpu.hostTID ?? -1)", sourceLocation: sourceLocation)
        }
        return snapshot
    }

    private func share(of states: VCPUState..., guest: String, in snapshot: Snapshot) throws -> Double {
        let vcpu = try #require(snapshot.guests.first { $0.name == guest }?.vcpus.first)
        return Double(states.reduce(0) { $0 + vcpu.times[$1] }) / Double(vcpu.times.total)
    }

    @Test(arguments: ["two-guests", "two-guests-backports"])
    func `two guests of two kernels on a host are whole`(name: String) throws {
        let snapshot = try check(name)
        #expect(snapshot.sources.map(\.state) == ["drained", "drained", "drained"])
        #expect(snapshot.health.eventsLost == 0)
        for guest in ["g1", "g2"] {
            #expect(try share(of: .unknown, guest: guest, in: snapshot) < 0.05)
            let culprit = snapshot.guests.first { $0.name == guest }?.vcpus.first?.culprits.first
            #expect(culprit?.guest == (guest == "g1" ? "g2" : "g1"))
        }
    }

    @Test func `losses of the host make states unknown, and are counted`() throws {
        let snapshot = try check("losses")
        #expect(snapshot.sources[0].lost.ringBuffer > 0, "the host's")
        #expect(snapshot.sources[1].lost.ringBuffer > 0, "g1's")
        #expect(try share(of: .unknown, guest: "g1", in: snapshot) > 0.05)
    }

    @Test func `a guest that is paused neither runs nor waits for a CPU`() throws {
        let snapshot = try check("pause")
        // Four seconds; then its agent goes on where it was.
        let vcpu = try #require(snapshot.guests.first { $0.name == "g1" }?.vcpus.first)
        #expect(vcpu.times[.blocked] >= 4_000_000_000)
        #expect(snapshot.sources.map(\.state) == ["drained", "drained", "drained"])
    }
}
