import Analysis
import RecordingSupport
import TraceModel

/// `tandem-bench analyze`: decoded batches in merged order to updated states.
///
/// The events are those of a recording, by default the one of `tandem demo` (two guests of the lab, host events sched and
/// kvm, guest events sched and irq), told over and over with times that go on. They are told in the runs that the merge
/// made of them, in runs of one event, as when two CPUs take turns, and one CPU after the other, the longest runs there
/// are (which is not the right order: it shows what the length of a run costs and nothing else). Beside it a synthetic
/// mix of one host CPU on which two vCPUs compete. What the merge costs is shown alone, and with the analysis behind it.
///
/// What the analysis allocates meanwhile is counted: nothing, once every vCPU, task and exit reason has been seen.
enum AnalyzeBenchmark {
    private static let demo = "Sources/Commands/Resources/demo-recording"

    static func run(_ arguments: ArraySlice<String>) throws {
        var arguments = arguments
        var soakEvents = 0
        if arguments.first == "--soak" {
            soakEvents = arguments.dropFirst().first.flatMap { Int($0) } ?? 100_000_000
            arguments = arguments.dropFirst(2)
        }
        let folder = arguments.first ?? demo
        var session = try AnalyzedSession(recording: folder)
        print(
            "\(folder): \(session.eventCount) events of \(session.sourceCount) sources in \(session.runs.count) runs of the",
            "merge, \(tenths(session.eventsPerRun)) events a run")
        if soakEvents > 0 { return soak(&session, events: soakEvents) }

        measure("analyze, runs of the merge", &session)
        measureMerge(&session)
        var single = session
        single.cutRuns(to: 1)
        measure("analyze, runs of one event", &single)
        var whole = session
        whole.joinRuns()
        measure("analyze, whole batches", &whole)
        var mix = SyntheticMix(eventsPerBatch: 4096, batches: 64).session
        measure("analyze, synthetic mix, one CPU", &mix)
        mix.cutRuns(to: 1)
        measure("analyze, synthetic mix, runs of one event", &mix)
    }

    private static func measure(_ name: String, _ session: inout AnalyzedSession) {
        var analyzer = session.analyzer()
        show(name, &session) { $0.costToTell(&analyzer) }
    }

    /// The merge alone, and both in one.
    private static func measureMerge(_ session: inout AnalyzedSession) {
        show("the merge alone", &session) { $0.costToMerge() }
        var analyzer = session.analyzer()
        show("merge and analyze", &session) { $0.costToMerge(into: &analyzer) }
    }

    /// After two tellings everything that takes room has it.
    private static func show(
        _ name: String, _ session: inout AnalyzedSession, _ tell: (borrowing AnalyzedSession) -> AnalyzedSession.Cost
    ) {
        var figures: [Double] = []
        var allocations: UInt = 0
        for telling in 0..<27 {
            let cost = tell(session)
            session.moveOn()
            if telling < 2 { continue }
            figures.append(Double(cost.nanoseconds) / Double(max(session.eventCount, 1)))
            allocations += cost.allocations
        }
        let measurement = Measurement(nanosecondsPerEvent: figures)
        measurement.show(name)
        print(
            "\(padded("", 44)) \(tenths(1000 / measurement.median)) M events/s,",
            "\(allocations) allocations in \(25 * session.eventCount) events")
    }

    /// The memory of a session that goes on and on.
    private static func soak(_ session: inout AnalyzedSession, events: Int) {
        var analyzer = session.analyzer()
        var told = 0
        var nextReport = min(1_000_000, events)
        while told < events {
            session.tell(&analyzer)
            session.moveOn()
            told += session.eventCount
            guard told >= nextReport else { continue }
            print("\(told / 1_000_000) M events, \(Clock.peakResidentKilobytes()) KiB resident at most")
            nextReport = min(nextReport * 10, events)
        }
        for guest in analyzer.snapshot().guests {
            for vcpu in guest.vcpus {
                print(
                    "\(guest.name)/\(vcpu.vcpu ?? -1): \(vcpu.exitCount) exits, \(vcpu.preemptions) preemptions,",
                    "\(guest.tasks.count) tasks shown")
            }
        }
    }
}
