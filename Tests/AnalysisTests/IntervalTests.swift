import Analysis
import Collector
import SessionLog
import Testing
import TraceModel

/// The list of intervals: it says the same as the totals, piece by piece.
struct IntervalTests {
    /// Tells the steps to an analyzer that lists, and takes what closed after each.
    private func list(_ steps: [Step], known: [Int32] = [31, 51]) -> [StateInterval] {
        var teller = Teller()
        teller.analyzer.listIntervals()
        teller.tell([(0, 0, .identified(machine(threads: known))), (0, 0, .linked(pid: 29))])
        var taken: [StateInterval] = []
        for step in steps {
            teller.tell([step])
            taken += teller.analyzer.takeIntervals()
        }
        taken += teller.analyzer.openIntervals()
        checkIntervals(taken, teller.analyzer.snapshot())
        return taken
    }

    private func text(_ intervals: [StateInterval], of tid: Int32) -> [String] {
        intervals.filter { $0.hostTID == tid }.map { interval in
            [
                "\(interval.startNanoseconds)–\(interval.endNanoseconds) \(interval.state.state.label)",
                interval.detail, interval.hostCPU.map { "CPU \($0)" }, interval.guestTask,
            ].compactMap(\.self).joined(separator: ", ")
        }
    }

    @Test
    func `an interval tells its state with the exit, the culprit, the cause, the CPU and the task that was robbed`() {
        let intervals = list([
            (0, 10, .switched(900, 31)), (0, 20, .entry(31)), (0, 22, .guestSwitched(0, 7)),
            (0, 30, .exit(31, ept)), (0, 40, .switched(31, 51, state: 0x100)), (0, 50, .switched(51, 900, state: 1)),
            (0, 60, .switched(900, 31)), (0, 70, .entry(31)), (0, 72, .guestSwitched(7, 0)), (0, 80, .exit(31, hlt)),
            (0, 90, .switched(31, 0, state: 1)),
            (0, 100, .waking(31)), (0, 110, .switched(0, 31)), (0, 120, .lost(atEnd: true)), (0, 130, .time),
        ])
        #expect(
            text(intervals, of: 31) == [
                "0–10 unknown, no event yet",
                "10–20 hypervisor, CPU 0",
                "20–30 running, CPU 0",
                "30–40 hypervisor, EPT_VIOLATION, CPU 0, task-7",
                "40–50 preempted, guest/1, CPU 0, task-7",
                "50–60 preempted, thread-900, CPU 0, task-7",
                "60–70 hypervisor, EPT_VIOLATION, CPU 0, task-7",
                "70–80 running, CPU 0, task-7",
                "80–90 polling, HLT, CPU 0, task-0",
                "90–100 halted, HLT, task-0",
                "100–110 waking, swapper, CPU 0, task-0",
                "110–130 unknown, events lost, task-0",
            ])
        #expect(
            text(intervals, of: 51) == [
                "0–40 unknown, no event yet", "40–50 hypervisor, CPU 0", "50–130 unknown, sleeps, and no exit told why",
            ])
    }

    @Test
    func `a list that begins in the middle begins with what goes on`() {
        var teller = Teller()
        teller.tell([(0, 0, .identified(machine(threads: [31]))), (0, 10, .switched(900, 31)), (0, 20, .entry(31))])
        #expect(teller.analyzer.takeIntervals() == [])
        teller.analyzer.listIntervals()
        teller.tell([(0, 30, .exit(31, ept)), (0, 40, .time)])
        let intervals = teller.analyzer.takeIntervals() + teller.analyzer.openIntervals()
        #expect(text(intervals, of: 31) == ["20–30 running, CPU 0", "30–40 hypervisor, EPT_VIOLATION, CPU 0"])
    }

    @Test
    func `a vCPU whose thread ended keeps its intervals until they are taken`() {
        var teller = Teller()
        teller.analyzer.listIntervals()
        for round in Int64(0)..<200 {
            let tid = Int32(100 + round)
            teller.tell([
                (0, round * 10, .identified(machine("m", pid: 29, threads: [tid]))),
                (0, round * 10 + 5, .switched(900, tid)), (0, round * 10 + 8, .ended(tid)),
            ])
        }
        #expect(Set(teller.analyzer.takeIntervals().compactMap(\.hostTID)).count == 200)
        #expect(teller.analyzer.takeIntervals() == [])
    }

    @Test(arguments: 0..<60)
    func `intervals tile the life of every vCPU and add up to its times, whatever happens`(round: UInt64) {
        var chaos = Chaos(seed: 0x1157_0000 + round)
        var random = SeededGenerator(seed: round)
        var teller = Teller(without: Chaos.absences[Int(round) % Chaos.absences.count])
        teller.analyzer.listIntervals()
        var taken: [StateInterval] = []
        for _ in 0..<120 {
            teller.tell([chaos.step()])
            if Int.random(in: 0..<5, using: &random) == 0 { taken += teller.analyzer.takeIntervals() }
        }
        taken += teller.analyzer.takeIntervals() + teller.analyzer.openIntervals()
        checkIntervals(taken, teller.analyzer.snapshot(), "round \(round)")
    }

    @Test(arguments: [false, true])
    func `listed states are those of the oracle, from instant to instant`(losses: Bool) {
        for seed in UInt64(0)..<200 {
            let kernel = SimulatedKernel(seed: seed, events: 90, losses: losses, start: 1000)
            compare(
                kernel.observations, SimulatedKernel.machines, Oracle(kernel.observations, start: 1000), "seed \(seed)")
        }
    }

    @Test(arguments: RecordedOracleTests.recordings)
    func `listed states of a real host are those of the oracle`(path: String) throws {
        let kernel = try RecordedKernel(RecordedInput(try LogReader(opening: path)))
        guard kernel.hasAllTypes else { try Test.cancel("no switches, entries or exits of the host were recorded") }
        let machines = kernel.vcpuThreads.map { machine("\($0)", pid: -$0, threads: [$0]) }
        compare(kernel.observations, machines, Oracle(kernel.observations, start: kernel.start), "\(path)")
    }

    private func compare(
        _ observations: [Observation], _ machines: [VMFacts], _ oracle: Oracle, _ comment: Comment
    ) {
        let analyzer = ToldAnalyzer(observations, start: oracle.start, machines, listsIntervals: true)
        checkIntervals(analyzer.intervals, analyzer.snapshot, comment)
        for tid in machines.flatMap(\.vcpuThreads).map(\.tid) {
            let intervals = analyzer.intervals
            let listed = intervals.filter { $0.hostTID == tid }.map {
                Stretch($0.startNanoseconds, $0.endNanoseconds, $0.state.state)
            }
            var figures = Oracle.Figures()
            let spans = oracle.states(of: tid, knownFrom: oracle.start, into: &figures).map {
                Stretch($0.span.start, $0.span.end, $0.state)
            }
            let (one, other) = (Stretch.joined(listed), Stretch.joined(spans))
            let difference = zip(one, other).first { $0 != $1 }
            #expect(one == other, "thread \(tid), first \(String(describing: difference)), \(comment)")
        }
    }
}

/// A stretch of one state, whatever its details.
private struct Stretch: Equatable {
    var start: Int64
    var end: Int64
    let state: VCPUState

    init(_ start: Int64, _ end: Int64, _ state: VCPUState) {
        (self.start, self.end, self.state) = (start, end, state)
    }

    static func joined(_ list: [Stretch]) -> [Stretch] {
        var result: [Stretch] = []
        for stretch in list where stretch.end > stretch.start {
            if let last = result.last, last.state == stretch.state {
                result[result.count - 1].end = stretch.end
            } else {
                result.append(stretch)
            }
        }
        return result
    }
}

/// What must hold of all intervals of a session, the open ones included.
func checkIntervals(
    _ intervals: [StateInterval], _ snapshot: Snapshot, _ comment: Comment = "",
    sourceLocation: SourceLocation = #_sourceLocation
) {
    var left = Dictionary(grouping: intervals, by: \.hostTID).mapValues { $0[...] }
    // Lives of one thread id follow each other.
    let rows = snapshot.guests.flatMap(\.vcpus).filter { $0.hostTID != nil }.map { row in
        let isEnded = row.detail == "thread ended"
        let end = isEnded ? row.sinceNanoseconds : snapshot.window.endNanoseconds
        return (row: row, start: end - row.times.total, end: end)
    }.sorted { ($0.start, $0.end) < ($1.start, $1.end) }
    for (row, start, end) in rows {
        var times = StateTimes()
        var reached = start
        var list = left[row.hostTID] ?? []
        while reached < end, let next = list.first, next.startNanoseconds == reached {
            #expect(next.endNanoseconds > next.startNanoseconds, comment, sourceLocation: sourceLocation)
            times[next.state.state] += next.endNanoseconds - next.startNanoseconds
            reached = next.endNanoseconds
            list.removeFirst()
        }
        left[row.hostTID] = list
        #expect(times == row.times, "thread \(row.hostTID ?? 0), \(comment)", sourceLocation: sourceLocation)
    }
    #expect(
        left.values.allSatisfy { $0.isEmpty }, "intervals beyond the lives, \(comment)", sourceLocation: sourceLocation)
}
