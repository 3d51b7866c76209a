import Collector
import SessionLog
import TraceModel
import Wire

/// The inputs of a session that never was: a host with two CPUs, two machines of two vCPUs that compete for them, an agent
/// in each with a clock of its own, and everything that can go wrong on the way.
struct SyntheticSession {
    struct Plan {
        var seed: UInt64 = 1
        /// Rounds of a millisecond each.
        var rounds = 60
        var clockOffsets: [Int64] = [-3_000_000_000, 70_000_000_000]
        /// Chance per round, in percent, that something breaks: losses, malformed bodies, unknown sources, messages out of
        /// place.
        var mishaps = 0
        /// The second guest breaks off halfway.
        var secondGuestDies = false
        /// And comes back at three quarters, booted anew: another clock, its events in another order.
        var secondGuestReturns = false
        /// The guests' rounds arrive so many rounds later than the host's.
        var guestDelay = 0
    }

    private(set) var inputs: [PipelineInput] = []
    private var random: SeededRandom
    private let plan: Plan
    private let hostTable: FormatTable
    private var guestTables: [FormatTable]
    private var guestEncoders: [BatchEncoder]
    private var guestSources = [SourceID(1), SourceID(2)]
    private var clockOffsets: [Int64]
    private var isAway = false
    private var now: Int64 = 5_000_000_000
    private var onCPU: [Int32] = [0, 0]
    private var isInGuest: Set<Int32> = []
    private var guestTask: [[Int32]] = [[0, 0], [0, 0]]
    /// What the guests have sent and the collector has not received, by the round in which it arrives.
    private var onTheWay: [(arrival: Int, input: PipelineInput)] = []

    static let machines = [
        VMFacts(
            vmmPID: 100, vmm: "qemu", name: "web", vcpuThreads: [.init(tid: 101, vcpu: 0), .init(tid: 102, vcpu: 1)]),
        VMFacts(
            vmmPID: 200, vmm: "qemu", name: "db", vcpuThreads: [.init(tid: 201, vcpu: 0), .init(tid: 202, vcpu: 1)]),
    ]
    private static let vcpuThreads: [Int32] = [101, 102, 201, 202]
    private static let otherThreads: [Int32] = [0, 1, 2, 50, 51]

    init(_ plan: Plan) throws {
        self.plan = plan
        random = SeededRandom(seed: plan.seed)
        hostTable = try KernelTexts.table(KernelTexts.host)
        guestTables = try [KernelTexts.guest, KernelTexts.guest].map { try KernelTexts.table($0) }
        guestEncoders = guestTables.map { BatchEncoder(formats: $0) }
        clockOffsets = plan.clockOffsets
        open()
        for number in 0..<plan.rounds { try round(number) }
        close()
    }

    private static func facts(_ name: String, isHost: Bool) -> SourceFacts {
        SourceFacts(
            name: name, isHost: isHost, endpoint: isHost ? "" : "unix:/\(name)", hostname: name, bootID: name,
            kernelRelease: "6.18",
            prepared: Prepared(
                token: 1, clock: .monoRaw, byteOrder: .native, longSize: 8, subBufferBytes: 4096,
                bufferKiBPerCPU: 1024, cpus: [0, 1], instance: "i"))
    }

    private mutating func tell(_ record: LogRecord) { inputs.append(.record(record)) }

    private func ticks(_ host: Int64, of guest: Int) -> UInt64 {
        UInt64(host - clockOffsets[guest] + 100_000_000_000)
    }

    private mutating func open() {
        tell(
            .session(
                SessionFacts(
                    program: "test", hostname: "host", kernelRelease: "6.18", bootID: "b",
                    start: HostTime(nanoseconds: now), wallClockSeconds: 0, maximumLagNanoseconds: 20_000_000)))
        tell(
            .sourceOpened(
                .host, Self.facts("host", isHost: true), formats: KernelTexts.host,
                names: TaskNamesMessage(tasks: [.init(tid: 50, comm: "compiler"), .init(tid: 2, comm: "kthreadd")])))
        tell(.kernelThreads([2]))
        for machine in Self.machines { tell(.machine(machine)) }
        for guest in 0..<2 {
            open(guest, KernelTexts.guest)
        }
    }

    private mutating func open(_ guest: Int, _ formats: [FormatMessage]) {
        tell(
            .sourceOpened(
                guestSources[guest], Self.facts(["web", "db"][guest], isHost: false), formats: formats,
                names: TaskNamesMessage(tasks: [.init(tid: 7, comm: "nginx")])))
        for _ in 0..<8 { probe(guest) }
        tell(.link(guestSources[guest], vmmPID: Self.machines[guest].vmmPID, evidence: "cid"))
    }

    private mutating func comeBack() throws {
        let formats = Array(KernelTexts.guest.reversed())
        guestTables[1] = try KernelTexts.table(formats)
        guestEncoders[1] = BatchEncoder(formats: guestTables[1])
        guestSources[1] = guestSources[1].successor ?? guestSources[1]
        guestTask[1] = [0, 0]
        clockOffsets[1] = now - 10_000_000
        isAway = false
        open(1, formats)
    }

    private mutating func probe(_ guest: Int) {
        let sent = now
        let received = sent + Int64(2_000 + random.below(30_000))
        let answered = received + Int64(random.below(1_000))
        let back = answered + Int64(2_000 + random.below(30_000))
        now = back
        tell(
            .probe(
                guestSources[guest],
                ClockProbe(
                    hostSent: HostTime(nanoseconds: sent), guestReceived: TraceTicks(ticks(received, of: guest)),
                    guestSent: TraceTicks(ticks(answered, of: guest)), hostReceived: HostTime(nanoseconds: back))))
    }

    // MARK: Rounds

    private mutating func round(_ number: Int) throws {
        let start = now
        var host = [EventBatch(cpu: 0), EventBatch(cpu: 1)]
        var guests = [[EventBatch(cpu: 0), EventBatch(cpu: 1)], [EventBatch(cpu: 0), EventBatch(cpu: 1)]]
        for _ in 0..<10 + random.below(60) {
            now += Int64(1 + random.below(30_000))
            step(&host, &guests)
        }
        now = max(now, start + 1_000_000)
        for cpu in 0..<2 where !host[cpu].isEmpty || random.chance(plan.mishaps) {
            if random.chance(plan.mishaps) { lose(from: &host[cpu]) }
            inputs.append(.batch(.host, host[cpu]))
        }
        for guest in 0..<(isAway ? 1 : 2) { send(guests[guest], of: guest, arriving: number + plan.guestDelay) }
        tell(.message(.host, .watermark(TraceTicks(UInt64(now)))))
        arrive(number)
        if plan.secondGuestDies, number == plan.rounds / 2 {
            tell(.sourceClosed(SourceID(2), reason: "the agent closed the connection", isFailure: true))
            isAway = true
        }
        if isAway, plan.secondGuestReturns, number == plan.rounds * 3 / 4 { try comeBack() }
        if number % 10 == 0 { for guest in 0..<2 { probe(guest) } }
        // Of a time that is to come, and of threads that nobody knows: the machines of this session stay.
        if number == plan.rounds / 3 { tell(.threadsEnded([990], by: HostTime(nanoseconds: now + 3_000_000))) }
        if random.chance(plan.mishaps) { mishap() }
    }

    private mutating func step(_ host: inout [EventBatch], _ guests: inout [[EventBatch]]) {
        let cpu = random.below(2)
        let current = onCPU[cpu]
        if isInGuest.contains(current) {
            let guest = current >= 200 ? 1 : 0
            let vcpu = Int(current % 100) - 1
            if random.chance(50) {
                let next = Int32(random.below(4)) * 7
                let previous = guestTask[guest][vcpu]
                guard next != previous else { return }
                guestTask[guest][vcpu] = next
                guests[guest][vcpu].append(
                    "sched_switch", of: guestTables[guest], at: ticks(now, of: guest), pid: previous,
                    ["prev_pid": Int64(previous), "next_pid": Int64(next)],
                    comms: ["prev_comm": "task-\(previous)", "next_comm": "task-\(next)"])
            } else {
                isInGuest.remove(current)
                host[cpu].append(
                    "kvm_exit", of: hostTable, at: UInt64(now), pid: current,
                    ["exit_reason": [12, 1, 48][random.below(3)], "isa": 1, "vcpu_id": Int64(vcpu)])
            }
        } else if Self.vcpuThreads.contains(current), random.chance(60) {
            isInGuest.insert(current)
            host[cpu].append(
                "kvm_entry", of: hostTable, at: UInt64(now), pid: current, ["vcpu_id": Int64(current % 100) - 1])
        } else if random.chance(30) {
            let woken = Self.vcpuThreads[random.below(4)]
            host[cpu].append(
                "sched_waking", of: hostTable, at: UInt64(now), pid: current,
                ["pid": Int64(woken), "target_cpu": Int64(random.below(2))], comms: ["comm": "CPU/KVM"])
        } else {
            switchThread(on: cpu, &host[cpu])
        }
    }

    private mutating func switchThread(on cpu: Int, _ batch: inout EventBatch) {
        let current = onCPU[cpu]
        let choices = (Self.vcpuThreads + Self.otherThreads).filter { $0 == 0 || !onCPU.contains($0) }
        let next = choices[random.below(choices.count)]
        guard next != current else { return }
        onCPU[cpu] = next
        batch.append(
            "sched_switch", of: hostTable, at: UInt64(now), pid: current,
            ["prev_pid": Int64(current), "next_pid": Int64(next), "prev_state": [0, 1, 2, 0x100][random.below(4)]],
            comms: ["prev_comm": "thread-\(current)", "next_comm": "thread-\(next)"])
    }

    private mutating func send(_ batches: [EventBatch], of guest: Int, arriving round: Int) {
        let source = guestSources[guest]
        for var batch in batches {
            if random.chance(plan.mishaps) { lose(from: &batch) }
            guard !batch.isEmpty else { continue }
            for frame in guestEncoders[guest].frames(for: batch) {
                onTheWay.append((round, .record(.message(source, .batch(frame.body)))))
            }
        }
        onTheWay.append((round, .record(.message(source, .watermark(TraceTicks(ticks(now, of: guest)))))))
    }

    private mutating func arrive(_ round: Int) {
        inputs += onTheWay.filter { $0.arrival <= round }.map(\.input)
        onTheWay.removeAll { $0.arrival <= round }
    }

    private mutating func lose(from batch: inout EventBatch) {
        let places: [(LossMark.Place, UInt64?)] = [(.ringBuffer, 17), (.ringBuffer, nil), (.agent, 3), (.malformed, 1)]
        let (place, count) = places[random.below(4)]
        batch.losses.append(LossMark(index: random.below(batch.headers.count + 1), place: place, count: count))
    }

    private mutating func mishap() {
        let source = SourceID(UInt32(random.below(5)))
        switch random.below(8) {
        case 0: tell(.message(source, .batch((0..<random.below(60)).map { _ in UInt8(random.below(256)) })))
        case 1: tell(.message(SourceID(99), .watermark(TraceTicks(random.next()))))
        case 2: tell(.message(source, .hello(Hello(role: .agent, program: "twice"))))
        case 3:
            tell(
                .message(
                    source,
                    .statistics(
                        SourceStatistics(
                            cpus: [], cpuNanoseconds: random.next(), residentBytes: 1, isFinal: false,
                            anomalies: [.timeWentBack: 2]))))
        case 4: tell(.message(source, .onlineCPUs([0])))
        case 5:
            tell(
                .message(
                    source,
                    .steal(
                        StealSample(
                            ticks: TraceTicks(UInt64(now)),
                            cpus: [.init(cpu: random.below(3), nanoseconds: random.next() >> 20)]))))
        case 6: tell(.message(source, .watermark(TraceTicks(UInt64(now) / 2))))
        default: tell(.link(source, vmmPID: 4711, evidence: "wrong"))
        }
    }

    private mutating func close() {
        arrive(.max)
        for source in guestSources + [.host] where !(isAway && source == guestSources[1]) {
            tell(.sourceClosed(source, reason: "drained", isFailure: false))
        }
    }
}
