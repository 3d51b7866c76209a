import CTF
import SessionLog
import Testing
import TraceModel
import Wire

/// What LTTng and its addons tell beside the scheduler's and KVM's events.
struct SurveyTests {
    private func inputs(_ machines: [MadeMachine]) throws -> [PipelineInput] {
        let scratch = try Scratch()
        try MadeMachine.write(machines, into: "\(scratch.path)/made")
        let input = try CTFInput(
            SessionPaths(
                path: "\(scratch.path)/made/\(machines[0].name)",
                guests: machines.dropFirst().map { .init(name: $0.name, path: "\(scratch.path)/made/\($0.name)") }))
        var all: [PipelineInput] = []
        while let next = try input.next() { all.append(next) }
        return all
    }

    /// A hypercall every 10 ms: the guest calls, the host sees it 5 µs later, answers after 3 µs, and the guest goes on after 4.
    @Test func `vmsync's hypercalls, seen from both sides, bound a guest's clock`() throws {
        let offset: UInt64 = 7_000_000_123
        func event(_ name: String, _ time: UInt64, _ count: UInt64, _ thread: Int32) -> MadeMachine.Event {
            MadeMachine.Event(
                time: time, name: "vmsync:\(name)", thread: thread,
                fields: [("cnt", .number(count)), ("vm_uid", .number(0xfeed))])
        }
        var host: [MadeMachine.Event] = []
        var guest: [MadeMachine.Event] = []
        for call in 0..<UInt64(200) {
            let time = 60_000_000_000 + call * 10_000_000
            guest.append(event("vmsync_gh_guest", time - offset, 2 * call + 1, 9))
            host.append(event("vmsync_gh_host", time + 5_000, 2 * call + 1, 4711))
            host.append(event("vmsync_hg_host", time + 8_000, 2 * call + 2, 4711))
            guest.append(event("vmsync_hg_guest", time + 12_000 - offset, 2 * call + 2, 9))
        }
        let all = try inputs([
            MadeMachine(name: "host", isHost: true, events: host),
            MadeMachine(name: "web", isHost: false, events: guest),
        ])
        var clocks: [GivenClock] = []
        for case .record(.clock(_, .given(let clock))) in all { clocks.append(clock) }
        #expect(clocks.map(\.method) == ["vmsync hypercalls"])
        for knot in try #require(clocks.first).knots {
            let error = abs(knot.host.nanoseconds - Int64(knot.ticks.rawValue) - Int64(offset))
            #expect(error <= knot.boundNanoseconds)
        }
        let bounds = try #require(clocks.first).knots.map(\.boundNanoseconds).sorted()
        // Between what one hypercall's two messages allow, 9 µs, and what the rate may change from one to the next.
        #expect(bounds[bounds.count / 2] < 20_000)
    }

    @Test func `names of threads come from the statedump, before they are switched to`() throws {
        func task(_ tid: UInt64, _ name: String) -> MadeMachine.Event {
            MadeMachine.Event(
                time: 1000 + tid, name: "lttng:lttng_statedump_process_state",
                fields: [("tid", .number(tid)), ("pid", .number(100)), ("name", .text(name))])
        }
        let all = try inputs([
            MadeMachine(name: "host", isHost: true, events: [task(100, "qemu-system-x86"), task(101, "CPU 0/KVM")])
        ])
        var names: [TaskNamesMessage] = []
        for case .record(.sourceOpened(_, _, _, let told)) in all { names.append(told) }
        #expect(
            try #require(names.first).tasks == [
                .init(tid: 100, comm: "qemu-system-x86"), .init(tid: 101, comm: "CPU 0/KVM"),
            ])
    }

    /// Half of the fixture's events are in either stream.
    @Test(arguments: [2, 3, 16])
    func `it makes no difference how many threads read`(threads: Int) throws {
        for name in ["lttng-plain/host", "lttng-plain"] {
            var problems: [String] = []
            let alone = try CTFExperiment.open(Fixtures.path(name), threads: 1, problems: &problems)
            let together = try CTFExperiment.open(Fixtures.path(name), threads: threads, problems: &problems)
            #expect(problems == [])
            for machine in together { machine.begin() }
            for (one, many) in zip(alone, together) {
                let (one, many) = (Everything(one), Everything(many))
                #expect(one.batches == many.batches)
                #expect(one.watermarks == many.watermarks)
                #expect(one.formats == many.formats)
            }
        }
    }
}
