import Analysis
import Testing
import TraceModel

/// What holds for every sequence of events, possible or not.
struct LawTests {
    @Test(arguments: 0..<60)
    func `times add up to wall time after every step of any sequence, and never run backwards`(round: UInt64) {
        let seed = 0x7a6d_0000 + round
        var chaos = Chaos(seed: seed)
        var teller = Teller(without: Chaos.absences[Int(round) % Chaos.absences.count])
        // When the wall time of each live vCPU began, by thread id.
        var began: [Int32: Int64] = [:]
        // How many of the same id have ended.
        var ends: [Int32: Int] = [:]
        // And of every one that ever was.
        var beginnings: [Int32: Set<Int64>] = [:]
        for step in 0..<120 {
            teller.tell([chaos.step()])
            let snapshot = teller.analyzer.snapshot()
            var begins: [Int32: Int64] = [:]
            for vcpu in snapshot.guests.flatMap(\.vcpus) where vcpu.hostTID != nil && vcpu.detail != "thread ended" {
                let start = snapshot.window.endNanoseconds - vcpu.times.total
                #expect(start >= 0 && start <= vcpu.sinceNanoseconds, "seed \(seed) step \(step)")
                let tid = vcpu.hostTID ?? 0
                // The same, or that of a later thread with the same id, once the former ended.
                if let known = began[tid], ends[tid, default: 0] == ended(tid, snapshot) {
                    #expect(known == start, "seed \(seed) step \(step)")
                }
                beginnings[tid, default: []].insert(start)
                #expect(begins.updateValue(start, forKey: tid) == nil, "two live vCPUs are thread \(tid), seed \(seed)")
            }
            began = begins
            for tid in Set(begins.keys).union(ends.keys) { ends[tid] = ended(tid, snapshot) }
            for vcpu in snapshot.guests.flatMap(\.vcpus) where vcpu.detail == "thread ended" {
                let start = vcpu.sinceNanoseconds - vcpu.times.total
                #expect(beginnings[vcpu.hostTID ?? 0]?.contains(start) == true, "seed \(seed) step \(step)")
            }
            checkLaws(of: teller.analyzer)
        }
    }

    private func ended(_ tid: Int32, _ snapshot: Snapshot) -> Int {
        snapshot.guests.flatMap(\.vcpus).count { $0.hostTID == tid && $0.detail == "thread ended" }
    }

    @Test
    func `no sequence traps, and the same sequence gives the same snapshot`() {
        for seed in UInt64(0)..<400 {
            var snapshots: [Snapshot] = []
            for _ in 0..<2 {
                var chaos = Chaos(seed: seed)
                var script = Script(without: Chaos.absences[Int(seed) % Chaos.absences.count])
                for _ in 0..<150 { script.add(chaos.step()) }
                snapshots.append(script.run())
            }
            #expect(snapshots[0] == snapshots[1], "seed \(seed)")
        }
    }

    @Test
    func `however the runs are cut, the snapshot is the same`() {
        for seed in UInt64(0)..<400 {
            var chaos = Chaos(seed: seed)
            var script = Script(without: Chaos.absences[Int(seed) % Chaos.absences.count])
            for _ in 0..<150 { script.add(chaos.step()) }
            let whole = script.run()
            var random = SeededGenerator(seed: seed ^ 0xffff)
            #expect(script.run { Int.random(in: 0...$0, using: &random) } == whole, "seed \(seed)")
            #expect(script.run { min($0, 1) } == whole, "seed \(seed)")
        }
    }

    @Test
    func `arbitrary bytes as records never trap`() {
        let table = KernelFormats.table(KernelFormats.sched + KernelFormats.kvm)
        for seed in UInt64(0)..<300 {
            var random = SeededGenerator(seed: seed)
            var analyzer = Analyzer(start: HostTime(nanoseconds: .random(in: .min ... .max, using: &random)))
            analyzer.bind(.host, name: "host", formats: table)
            analyzer.bind(SourceID(1), name: "guest", formats: table)
            for _ in 0..<20 {
                var batch = EventBatch(cpu: .random(in: -1...4, using: &random))
                var times: [HostTime] = []
                for _ in 0..<Int.random(in: 0...10, using: &random) {
                    let length = Int.random(in: 8...72, using: &random)
                    batch.headers.append(
                        EventHeader(
                            ticks: TraceTicks(0), offset: UInt32(batch.records.count), length: UInt32(length),
                            pid: .random(in: -1...6, using: &random), typeIndex: .random(in: 0...12, using: &random),
                            flags: 0, preemptCount: 0))
                    for _ in 0..<length {
                        batch.records.append([0, 0, 0, 1, 5, 0xff].randomElement(using: &random) ?? 0)
                    }
                    times.append(HostTime(nanoseconds: .random(in: .min ... .max, using: &random)))
                }
                if Bool.random(using: &random) {
                    batch.losses = [LossMark(index: .random(in: -1...11, using: &random), place: .agent, count: 3)]
                }
                analyzer.apply(
                    batch, times: times, range: 0..<times.count,
                    source: SourceID(.random(in: 0...2, using: &random)),
                    boundNanoseconds: .random(in: .min ... .max, using: &random))
            }
            checkLaws(of: analyzer)
        }
    }
}
