import Analysis
import Testing
import TraceModel

/// What holds for every sequence of events, possible or not.
struct LawTests {
    /// Sequences that no kernel would write: threads on two CPUs at once, times that step back, gaps anywhere.
    private struct Chaos {
        var random: SeededGenerator
        var time: Int64 = 0

        mutating func step() -> Step {
            time += Int64.random(in: 0...20, using: &random)
            // Now and then an event is late, by up to its CPU's lag.
            let late = Int.random(in: 0..<12, using: &random) == 0
            let at = late ? time - Int64.random(in: 0...60, using: &random) : time
            return (Int.random(in: 0..<3, using: &random), at, happening())
        }

        private mutating func happening() -> Happening {
            let tid = Int32.random(in: 30...35, using: &random)
            let other = Int32.random(in: 30...35, using: &random)
            let cpu = Int.random(in: -1..<4, using: &random)
            let vcpu = Int64(tid - 30)
            switch Int.random(in: 0..<40, using: &random) {
            case 0..<10: return .switched(tid, other, state: [0, 0x100, 1, 2, 1].randomElement(using: &random) ?? 0)
            case 10: return .switched(tid, 0, state: [1, 0x10].randomElement(using: &random) ?? 1)
            case 11: return .switched(0, tid)
            case 12..<17: return .entry(tid, vcpu: vcpu)
            case 17..<22: return .exit(tid, [12, 1, 48].randomElement(using: &random) ?? 1, vcpu: vcpu)
            case 22: return .exit(tid, 1, vcpu: vcpu ^ 1)
            case 23, 24: return .userspaceExit(tid, reason: [2, 5].randomElement(using: &random) ?? 2)
            case 25..<28: return .waking(tid, on: cpu)
            case 28, 29: return .wakeup(tid, on: cpu)
            case 30: return .wakeupNew(tid, on: cpu)
            case 31, 32: return .migrated(tid, to: cpu)
            case 33: return .ended(tid)
            case 34: return .lost(atEnd: Bool.random(using: &random))
            case 35: return .vcpuWakeup(tid, waited: Bool.random(using: &random))
            case 36: return .identified(machine("m\(tid / 3)", pid: tid / 3, threads: [tid, other]))
            case 37: return .guestSwitched(1, 2)
            case 38: return .linked(pid: tid / 3)
            default: return .time
            }
        }
    }

    private static let absences: [Set<String>] = [
        [], ["kvm"], ["sched_switch"], ["sched"], ["kvm_entry"], ["sched_waking", "sched_wakeup"],
    ]

    @Test(arguments: 0..<60)
    func `times add up to wall time after every step of any sequence, and never run backwards`(round: UInt64) {
        let seed = 0x7a6d_0000 + round
        var chaos = Chaos(random: SeededGenerator(seed: seed))
        var teller = Teller(without: Self.absences[Int(round) % Self.absences.count])
        // When the wall time of each live vCPU began, by thread id.
        var began: [Int32: Int64] = [:]
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
                // The same, or that of a later thread with the same id.
                if let known = began[tid] { #expect(known <= start, "seed \(seed) step \(step)") }
                beginnings[tid, default: []].insert(start)
                #expect(begins.updateValue(start, forKey: tid) == nil, "two live vCPUs are thread \(tid), seed \(seed)")
            }
            began = begins
            for vcpu in snapshot.guests.flatMap(\.vcpus) where vcpu.detail == "thread ended" {
                let start = vcpu.sinceNanoseconds - vcpu.times.total
                #expect(beginnings[vcpu.hostTID ?? 0]?.contains(start) == true, "seed \(seed) step \(step)")
            }
            checkLaws(of: teller.analyzer)
        }
    }

    @Test
    func `no sequence traps, and the same sequence gives the same snapshot`() {
        for seed in UInt64(0)..<400 {
            var snapshots: [Snapshot] = []
            for _ in 0..<2 {
                var chaos = Chaos(random: SeededGenerator(seed: seed))
                var script = Script(without: Self.absences[Int(seed) % Self.absences.count])
                for _ in 0..<150 { script.add(chaos.step()) }
                snapshots.append(script.run())
            }
            #expect(snapshots[0] == snapshots[1], "seed \(seed)")
        }
    }

    @Test
    func `however the runs are cut, the snapshot is the same`() {
        for seed in UInt64(0)..<400 {
            var chaos = Chaos(random: SeededGenerator(seed: seed))
            var script = Script(without: Self.absences[Int(seed) % Self.absences.count])
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

/// SplitMix64 (Steele, Lea, Flood 2014): the same numbers for the same seed, on every machine.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
