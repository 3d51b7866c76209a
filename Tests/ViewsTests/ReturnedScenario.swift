import Testing
import TraceModel
import Views

extension Scenario {
    /// A guest was reset and its agent came back, and another one's clock rests on what a file says.
    static var returned: Scenario {
        var scenario = competing
        func change(_ snapshot: inout Snapshot) {
            // What the collector counts and says of it (CollectorSource, PipelineReturns).
            snapshot.health.lossesOfUnknownSize = 2
            snapshot.health.anomalies = [.init(name: "agent_returned", count: 2)]
            snapshot.health.limits = [
                "web1 was without an agent for 14.2 s (it is silent and refuses clock probes: its machine was reset, or its "
                    + "agent has ended; 2 times in all): what its guest did then is unknown, and its tasks are counted from "
                    + "then on"
            ]
            snapshot.sources[1].lost.ofUnknownSize = 2
            snapshot.guests[0].clock = clock(bound: 83)
            snapshot.guests[0].clock?.epoch = 2
            snapshot.guests[1].clock = clock(
                bound: Snapshot.Clock.unknownBoundNanoseconds, quality: "estimated", containment: 0.72)
            snapshot.guests[1].clock?.estimators = ["trace-cmd ptp"]
        }
        change(&scenario.current)
        if var previous = scenario.previous {
            change(&previous)
            scenario.previous = previous
        }
        return scenario
    }
}

/// The screens of a machine whose agent came back.
struct ReturnedTests {
    @Test(arguments: [80, 120])
    func `an agent that came back, and how long nobody was there, are seen at once`(width: Int) throws {
        let scenario = Scenario.returned
        let frame = TopView.render(
            current: scenario.current, previous: scenario.previous, options: TopOptions(), width: width, height: 24)
        try checkGolden(frame, "returned-\(width)")
    }

    @Test
    func `the summary says the same`() throws {
        try checkGolden(SummaryView.render(Scenario.returned.current, width: 120), "summary-returned-120")
    }

    @Test
    func `the page of a machine whose clock rests on a file's word says that nobody knows its error`() throws {
        var model = TopModel()
        let scenario = Scenario.returned
        model.show(try #require(scenario.previous))
        model.show(scenario.current)
        for key: Key in [.character("t"), .character("t"), .down, .down, .enter] {
            _ = model.handle(key)
            _ = model.frame(width: 120, height: 40)
        }
        try checkGolden(model.frame(width: 120, height: 40), "machine-estimated-120")
    }
}
