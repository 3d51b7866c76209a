import TraceModel

/// Sequences that no kernel would write: threads on two CPUs at once, times that step back, gaps anywhere.
struct Chaos {
    /// Events that a host may not have.
    static let absences: [Set<String>] = [
        [], ["kvm"], ["sched_switch"], ["sched"], ["kvm_entry"], ["sched_waking", "sched_wakeup"],
    ]

    private var random: SeededGenerator
    private var time: Int64 = 0

    init(seed: UInt64) { random = SeededGenerator(seed: seed) }

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
        switch Int.random(in: 0..<41, using: &random) {
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
        case 39: return .gone([tid, other, tid / 3])
        default: return .time
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
