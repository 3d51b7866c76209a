import Analysis
import Foundation
import Testing
import TraceModel

/// The analyzer against the oracle: two programs written apart must say the same.
struct OracleTests {
    /// Sequences of some hundred events each. More by `TANDEM_ORACLE_SEQUENCES`; a million take a release build minutes.
    private static let sequences =
        ProcessInfo.processInfo.environment["TANDEM_ORACLE_SEQUENCES"].flatMap { Int($0) } ?? 1200
    private static let firstSeed = ProcessInfo.processInfo.environment["TANDEM_ORACLE_SEED"].flatMap { UInt64($0) } ?? 0

    @Test(arguments: [false, true])
    func `the analyzer says what the oracle says`(losses: Bool) {
        for seed in Self.firstSeed..<Self.firstSeed + UInt64(Self.sequences / 2) {
            let start: Int64 = 1000
            let kernel = SimulatedKernel(seed: seed, events: 90, losses: losses, start: start)
            let problems = compare(kernel, start: start, losses: losses)
            #expect(problems.isEmpty, "seed \(seed), losses \(losses): \(problems.joined(separator: "; "))")
            if !problems.isEmpty { return }
        }
    }

    private func compare(_ kernel: SimulatedKernel, start: Int64, losses: Bool) -> [String] {
        let snapshot = ToldAnalyzer(kernel.observations, start: start, SimulatedKernel.machines).snapshot
        let oracle = Oracle(kernel.observations, start: start)
        var problems: [String] = []
        for tid in SimulatedKernel.vcpus {
            guard let row = snapshot.guests.flatMap(\.vcpus).first(where: { $0.hostTID == tid }) else {
                problems.append("no vCPU of thread \(tid)")
                continue
            }
            let guestCPU = SimulatedKernel.heard.firstIndex(of: tid)
            let expected = oracle.figures(of: tid, knownFrom: start, guestCPU: guestCPU)
            problems += differences(row, expected).map { "thread \(tid): \($0)" }
            problems += wakeUpDifferences(row, expected, of: tid).map { "thread \(tid): \($0)" }
            if let running = row.guestRunning {
                // Unknown time begins when the guest is first heard, which is the analyzer's matter.
                let told = [running.busyNanoseconds, running.idleNanoseconds]
                if told != [expected.busy, expected.idle] {
                    problems.append("thread \(tid): guest code \(told), not \(expected.busy) and \(expected.idle)")
                }
            }
            // Blame that is taken back after a loss leaves the count of whom it was given to.
            let counts = Dictionary(row.culprits.map { ($0.tid, $0.count) }, uniquingKeysWith: +)
            if !losses, counts != expected.culpritCounts {
                problems.append("thread \(tid): culprits' counts \(counts), not \(expected.culpritCounts)")
            }
        }
        var tasks: [Int32: [VCPUState: Int64]] = [:]
        var robbed: [Int32: [Int64: Int64]] = [:]
        for (number, tid) in SimulatedKernel.heard.enumerated() {
            let figures = oracle.figures(of: tid, knownFrom: start, guestCPU: number)
            for (task, times) in figures.tasks { tasks[task, default: [:]].merge(times) { $0 + $1 } }
            for (task, exits) in figures.robbed { robbed[task, default: [:]].merge(exits) { $0 + $1 } }
        }
        for task in snapshot.guests.flatMap(\.tasks) {
            // Reasons have names here and numbers there.
            let told = task.robbedBy.map(\.nanoseconds).sorted()
            let expected = (robbed[task.tid] ?? [:]).values.sorted()
            if told != expected { problems.append("task \(task.tid) robbed by exits of \(told), not \(expected)") }
            for state in VCPUState.allCases where task.times[state] != tasks[task.tid]?[state] ?? 0 {
                problems.append(
                    "task \(task.tid) \(state.label): \(task.times[state]), not \(tasks[task.tid]?[state] ?? 0)")
            }
        }
        return problems
    }

    /// Who wakes a vCPU says why: another vCPU of its machine by an IPI, its VMM's own thread for a disk, anybody else and
    /// the end of a poll nothing.
    private func wakeUpDifferences(
        _ row: Snapshot.VCPU, _ expected: Oracle.Figures, of tid: Int32
    ) -> [String] {
        let machine = SimulatedKernel.machines.first { $0.vcpuThreads.contains { $0.tid == tid } }
        var reasons: [Snapshot.WakeUpReason.Reason: [Int64]] = [:]
        for (waker, halts) in expected.wakers {
            let isOwn = machine?.vcpuThreads.contains { $0.tid == waker } ?? false
            let reason: Snapshot.WakeUpReason.Reason = isOwn ? .ipi : waker == machine?.vmmPID ? .disk : .unknown
            reasons[reason, default: [0, 0]][0] += Int64(halts.count)
            reasons[reason]?[1] += halts.halted
        }
        let told = Dictionary(
            uniqueKeysWithValues: row.wakeUpReasons.map { ($0.reason, [Int64($0.count), $0.haltedNanoseconds]) })
        return told == reasons ? [] : ["wake-ups \(told), not \(reasons)"]
    }
}

/// Where a row of the snapshot says something else than the oracle.
func differences(_ row: Snapshot.VCPU, _ expected: Oracle.Figures) -> [String] {
    var problems: [String] = []
    func check<Value: Equatable>(_ name: String, _ value: Value, _ other: Value) {
        if value != other { problems.append("\(name): \(value), not \(other)") }
    }
    for state in VCPUState.allCases { check(state.label, row.times[state], expected.times[state] ?? 0) }
    check("preemptions", row.preemptions, expected.preemptions)
    check("wakeups", row.wakeups, expected.wakeups)
    check("migrations", row.migrations, expected.migrations)
    check("worst preemption", row.worstPreemptionNanoseconds, expected.worstPreemption)
    check("worst preemption at", row.worstPreemptionAtNanoseconds, expected.worstPreemptionAt)
    check("longest wait at", row.ready?.maximumAtNanoseconds ?? 0, expected.longestReadyAt)
    check("polled", row.halts.polled, expected.polled)
    check("slept", row.halts.slept, expected.slept)
    let culprits = Dictionary(row.culprits.map { ($0.tid, $0.nanoseconds) }, uniquingKeysWith: +)
    if row.culprits.count > Limits.culpritsPerVCPU {
        // Those that found no place in the table are one row without a thread: the others may be short of what is in it.
        check("culprits together", culprits.values.reduce(0, +), expected.culprits.values.reduce(0, +))
        for (tid, nanoseconds) in culprits where tid >= 0 && nanoseconds > expected.culprits[tid] ?? 0 {
            problems.append("culprits \(tid): \(nanoseconds), not \(expected.culprits[tid] ?? 0)")
        }
    } else {
        check("culprits", culprits.filter { $0.value > 0 }, expected.culprits)
    }
    // Reasons have names here and numbers there: the rows are told apart by their figures.
    let exits = expected.exitCounts.map { reason, count in
        [
            Int64(count), expected.exitTimes[reason] ?? 0, Int64(expected.handled[reason]?.count ?? 0),
            expected.handled[reason]?.reduce(0, +) ?? 0, expected.handled[reason]?.max() ?? 0,
        ]
    }
    let rows = row.exits.map {
        [
            Int64($0.count), $0.nanoseconds, Int64($0.handling?.count ?? 0), $0.handling?.totalNanoseconds ?? 0,
            $0.handling?.maximumNanoseconds ?? 0,
        ]
    }
    check("exits", rows.sorted { $0.lexicographicallyPrecedes($1) }, exits.sorted { $0.lexicographicallyPrecedes($1) })
    for (name, durations, list) in [
        ("ready", row.ready, expected.ready), ("wake-ups", row.wakeUpLatency, expected.wakeUpLatencies),
    ] {
        check("\(name) count", durations?.count ?? 0, UInt64(list.count))
        check("\(name) total", durations?.totalNanoseconds ?? 0, list.reduce(0, +))
        check("\(name) maximum", durations?.maximumNanoseconds ?? 0, list.max() ?? 0)
        // The middle one of the list, within a step of the histogram.
        let middle = list.isEmpty ? 0 : list.sorted()[(list.count + 1) / 2 - 1]
        let told = durations?.p50Nanoseconds ?? 0
        if told < middle || told > middle + middle / 128 + 1 { problems.append("\(name) p50: \(told), not \(middle)") }
    }
    return problems
}

/// Observations as they look to an analyzer.
struct ToldAnalyzer {
    let snapshot: Snapshot
    private(set) var intervals: [StateInterval] = []

    /// The first machine is the guest that is heard.
    init(_ observations: [Observation], start: Int64, _ machines: [VMFacts], listsIntervals: Bool = false) {
        var writer = EventWriter(KernelFormats.sched + KernelFormats.kvm, without: [])
        var analyzer = writer.analyzer(start: start)
        if listsIntervals { analyzer.listIntervals() }
        for machine in machines { analyzer.identify(machine) }
        if let heard = machines.first { analyzer.link(SourceID(1), vmmPID: heard.vmmPID) }
        var pendingLoss: Set<Int> = []
        for observation in observations {
            if case .lost = observation.happening {
                pendingLoss.insert(observation.cpu)
                continue
            }
            var batch = EventBatch(cpu: observation.cpu)
            let isGuests = writer.appendGuestEvent(observation.happening, to: &batch)
            if !isGuests {
                writer.setCurrent(observation.current, on: observation.cpu)
                guard writer.appendHostEvent(observation.happening, to: &batch) else { continue }
                if pendingLoss.remove(observation.cpu) != nil {
                    batch.losses = [LossMark(index: 0, place: .ringBuffer, count: nil)]
                }
            }
            analyzer.apply(
                batch, times: [HostTime(nanoseconds: observation.at)], range: 0..<1,
                source: isGuests ? SourceID(1) : .host, boundNanoseconds: 0)
            intervals += analyzer.takeIntervals()
        }
        intervals += analyzer.openIntervals()
        snapshot = analyzer.snapshot()
    }
}
