import Collector
import SessionLog
import Testing
import TraceModel
import Wire

/// A guest that boots another kernel while the session goes on: its events have other numbers, its records other layouts.
struct KernelChangeTests {
    private func snapshot(_ session: ReturnedSession) -> Snapshot {
        var pipeline = CollectorPipeline()
        for input in session.inputs {
            pipeline.apply(input)
            _ = pipeline.takeUnidentifiedThreads()
        }
        return pipeline.snapshot()
    }

    private func formats(_ session: ReturnedSession) -> [SourceID: [String: String]] {
        session.inputs.reduce(into: [:]) { formats, input in
            guard case .record(.sourceOpened(let source, _, let told, _)) = input else { return }
            formats[source] = Dictionary(
                told.map { message in
                    let name = message.text.split(separator: "\n").first.map(String.init) ?? ""
                    return ("\(message.system) \(name)", message.text)
                }, uniquingKeysWith: { first, _ in first })
        }
    }

    @Test func `a guest that comes back with another kernel is read by that kernel's own formats`() throws {
        let session = try ReturnedSession(.otherKernel)
        let all = formats(session)
        let (before, after) = (all[ReturnedSession.first] ?? [:], all[ReturnedSession.second] ?? [:])
        // Otherwise nothing is shown by this.
        let name = "sched name: sched_switch"
        #expect(try #require(before[name]) != #require(after[name]))

        let joined = snapshot(session)
        let apart = snapshot(try ReturnedSession(.anotherGuest))
        #expect(joined.sources.map(\.name) == [joined.sources[0].name, "g1"])
        #expect(joined.sources.map(\.state) == ["drained", "drained"])
        #expect(apart.sources.count == 3)
        #expect(joined.sources[1].events == apart.sources[1].events + apart.sources[2].events)
        #expect(apart.sources[2].events > 1_000)
        // The machine on which it runs now, event by event as if it had been another guest all along.
        let machine = try #require(joined.guests.first { $0.source == 1 && !$0.tasks.isEmpty })
        let control = try #require(apart.guests.first { $0.source == 2 })
        #expect(machine.vmmPID == control.vmmPID)
        #expect(machine.tasks == control.tasks)
        #expect(machine.vcpus == control.vcpus)
        #expect(machine.tasks.contains { $0.name == "tandem-agent" || $0.name.hasPrefix("tandem") }, "\(machine.tasks)")
        let strange = joined.health.anomalies.map(\.name).filter { name in
            ["malformed", "format", "record", "sub_buffer", "unknown", "field"].contains { name.contains($0) }
        }
        #expect(strange == [])
        #expect(joined.health.anomalies.contains { $0.name == "agent_returned" && $0.count == 1 })
    }
}
