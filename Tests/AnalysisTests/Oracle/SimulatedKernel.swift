/// A kernel that schedules vCPUs of two machines and other threads over a few CPUs, at random but by the rules.
///
/// What it writes could have been written by a real one: nobody runs on two CPUs, switches chain, guests write events in
/// guest mode only. Now and then a stretch of one CPU's events is lost, while the other CPUs go on telling theirs.
struct SimulatedKernel {
    enum Place: Equatable {
        case running(Int)
        case queued(Int)
        case sleeping
    }

    enum Mode { case guest, host, userspace }

    static let vcpus: [Int32] = [31, 32, 51]
    /// Thread of the first machine's vCPU n, which is CPU n of the guest that is heard.
    static let heard: [Int32] = [31, 32]
    static let machines = [machine("web1", pid: 29, threads: heard), machine("db", pid: 49, threads: [51])]
    /// A thread of the first machine's VMM, and one of nobody.
    static let others: [Int32] = [29, 901]
    /// HLT, and others, by VMX's and SVM's numbers.
    static let exits: [Int64: [Int64]] = [1: [12, 1, 48, 30, 12], 2: [0x78, 0x60, 0x400, 0x7b, 0x78]]

    private(set) var observations: [Observation] = []
    private var random: SeededGenerator
    private let cpuCount: Int
    private let loses: Bool
    private let isa: Int64
    private var now: Int64
    private var current: [Int32]
    private var places: [Int32: Place] = [:]
    private var modes: [Int32: Mode] = [:]
    private var guestTasks: [Int: Int32] = [:]
    /// The CPU whose events are being lost.
    private var hidden: Int?

    init(seed: UInt64, events: Int, losses: Bool, start: Int64) {
        random = SeededGenerator(seed: seed)
        cpuCount = .random(in: 1...3, using: &random)
        loses = losses
        isa = seed % 4 == 3 ? 2 : 1
        now = start
        current = [Int32](repeating: 0, count: cpuCount)
        for tid in Self.vcpus + Self.others {
            places[tid] = .sleeping
            modes[tid] = .host
        }
        while observations.count < events {
            step(on: .random(in: 0..<cpuCount, using: &random))
            if loses, observations.count > 20, Int.random(in: 0..<60, using: &random) == 0 { lose() }
        }
        // The host's events decide where the story ends.
        write(0, .other(current[0]))
    }

    private mutating func chance(_ one: Int) -> Bool { Int.random(in: 0..<one, using: &random) == 0 }

    private mutating func write(_ cpu: Int, _ happening: Happening) {
        if chance(3) { now += 0 } else { now += .random(in: 1...40, using: &random) }
        guard cpu != hidden else { return }
        observations.append(Observation(cpu: cpu, at: now, current: current[cpu], happening: happening))
    }

    /// What happens on one CPU meanwhile is not told. A last event before it says since when.
    private mutating func lose() {
        let cpu = Int.random(in: 0..<cpuCount, using: &random)
        write(cpu, .other(current[cpu]))
        hidden = cpu
        for _ in 0..<Int.random(in: 0...12, using: &random) { step(on: .random(in: 0..<cpuCount, using: &random)) }
        hidden = nil
        observations.append(Observation(cpu: cpu, at: now, current: current[cpu], happening: .lost()))
        write(cpu, .other(current[cpu]))
    }

    private func queue(of cpu: Int) -> [Int32] {
        places.filter { $0.value == .queued(cpu) }.keys.sorted()
    }

    private mutating func step(on cpu: Int) {
        let tid = current[cpu]
        if chance(6) { return wake(from: cpu) }
        if chance(12) { return migrate(from: cpu) }
        if tid == 0 {
            if let next = queue(of: cpu).randomElement(using: &random) { switchTo(next, on: cpu, state: 0) }
            return
        }
        guard Self.vcpus.contains(tid) else { return leave(cpu) }
        switch modes[tid] ?? .host {
        case .guest:
            if cpu != hidden, let number = Self.heard.firstIndex(of: tid), chance(2) {
                return guestSwitch(number, on: cpu)
            }
            modes[tid] = .host
            write(cpu, .exit(tid, exit(of: tid), isa: isa))
        case .host where chance(8):
            modes[tid] = .userspace
            write(cpu, .userspaceExit(tid, reason: chance(3) && !hasTask(tid) ? 5 : 2, errno: chance(4) ? -4 : 0))
        case .host, .userspace:
            if chance(3) { return leave(cpu) }
            modes[tid] = .guest
            write(cpu, .entry(tid))
        }
    }

    /// Nobody but the idle task halts.
    private mutating func exit(of tid: Int32) -> Int64 {
        let exits = Self.exits[isa] ?? []
        let exit = exits.randomElement(using: &random) ?? 1
        return exit == exits[0] && hasTask(tid) ? exits[2] : exit
    }

    private func hasTask(_ tid: Int32) -> Bool {
        Self.heard.firstIndex(of: tid).flatMap { guestTasks[$0] } ?? 0 != 0
    }

    private mutating func leave(_ cpu: Int) {
        let tid = current[cpu]
        let next = queue(of: cpu).randomElement(using: &random)
        if let next, chance(2) {
            places[tid] = .queued(cpu)
            switchTo(next, on: cpu, state: chance(2) ? 0 : 0x100)
        } else {
            places[tid] = .sleeping
            switchTo(next ?? 0, on: cpu, state: chance(2) ? 1 : 2)
        }
    }

    private mutating func switchTo(_ next: Int32, on cpu: Int, state: Int64) {
        write(cpu, .switched(current[cpu], next, state: state))
        current[cpu] = next
        if next != 0 { places[next] = .running(cpu) }
    }

    private mutating func wake(from cpu: Int) {
        let sleepers = places.filter { $0.value == .sleeping }.keys.sorted()
        guard let tid = sleepers.randomElement(using: &random) else { return }
        let target = Int.random(in: 0..<cpuCount, using: &random)
        places[tid] = .queued(target)
        write(cpu, .waking(tid, on: target))
        guard chance(3) else { return }
        let chosen = Int.random(in: 0..<cpuCount, using: &random)
        places[tid] = .queued(chosen)
        write(cpu, .wakeup(tid, on: chosen))
    }

    private mutating func migrate(from cpu: Int) {
        let queued = places.filter { if case .queued = $0.value { true } else { false } }.keys.sorted()
        guard let tid = queued.randomElement(using: &random) else { return }
        let target = Int.random(in: 0..<cpuCount, using: &random)
        places[tid] = .queued(target)
        write(cpu, .migrated(tid, to: target))
    }

    private mutating func guestSwitch(_ number: Int, on cpu: Int) {
        let previous = guestTasks[number] ?? 0
        let next = Int32.random(in: 0...4, using: &random)
        guard next != previous else { return }
        guestTasks[number] = next
        now += .random(in: 0...20, using: &random)
        observations.append(
            Observation(cpu: number, at: now, current: previous, happening: .guestSwitched(previous, next)))
    }
}
