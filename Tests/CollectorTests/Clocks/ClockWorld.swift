import Collector
import SessionLog
import Timeline
import TraceModel
import Wire

/// A host and its guests, whose every event is known with its true time; a pipeline that is told what a real one would be;
/// and what it made of each event.
struct ClockWorld {
    struct Judgement {
        var guest: Int
        var trueInstant: Double
        var errorNanoseconds: Int64
        var boundNanoseconds: Int64
        /// Nothing could tell yet that the clock was not what it had been.
        var isExcused: Bool
    }

    /// Of the guests' events.
    private(set) var judgements: [Judgement] = []
    private(set) var eventCount = 0
    private(set) var pipeline = CollectorPipeline()
    private(set) var guests: [SimulatedGuest] = []
    let end: Double

    private let hostClock: TraceClock
    private let scale: TSCScale?
    private let hostStart: UInt64
    private var random: SeededRandom
    private var now = 0.0
    private(set) var isHostLossy = false
    private let hostTable: FormatTable
    private let guestTable: FormatTable
    /// By number, which every event carries.
    private var truth: [Double] = []
    private var onTheWay: [(arrival: Double, order: Int, input: PipelineInput)] = []
    private var sentCount = 0
    private var guestArrival: [Double] = []
    /// When the first probe after each guest's silent step was told.
    private var noticed: [Double] = []

    private static let windowsPerRound = 3

    /// What the user lets through of the host's entries and exits: some of them.
    enum Filter {
        case exits
        /// Of both, and the pipeline is told, as by a live session.
        case told
        /// Of both, and nobody says so, as in a file of another program.
        case untold
    }

    private let filter: Filter?
    /// When the pipeline had found out, by guest.
    private(set) var distrusted: [Int: Double] = [:]

    init(seed: UInt64, filter: Filter? = nil) throws {
        self.filter = filter
        random = SeededRandom(seed: seed)
        hostTable = try KernelTexts.table(KernelTexts.host + KernelTexts.clockChanges)
        guestTable = try KernelTexts.table(KernelTexts.guest)
        end = Double.random(in: 1.5e9...3e9, using: &random)
        let hasTSC = random.chance(50)
        hostClock = hasTSC ? .x86TSC : random.chance(30) ? .mono : .monoRaw
        scale = hasTSC ? TSCScale(multiplier: 858_993_459, shift: 31, zero: 1_000) : nil
        hostStart = random.chance(20) ? 0 : UInt64.random(in: 0...(1 << 59), using: &random)
        isHostLossy = random.chance(20)
        let wander = hostClock == .mono ? 4.5 : 0.45
        for _ in 0..<1 + random.below(2) {
            guests.append(SimulatedGuest(seeded: &random, hostHasTSC: hasTSC, wander: wander, end: end))
        }
        // A clone reads the same clock, and its links are as good; what is done to one of them is not done to the other.
        if random.chance(30) {
            var clone = guests[0]
            clone.steps = []
            clone.pause = nil
            guests.append(clone)
        }
        guestArrival = guests.map { _ in 0 }
        noticed = guests.map { _ in .infinity }
        open()
        var nextProbe = 1e9
        let breaks =
            (guests.flatMap { $0.steps.map(\.at) }
            + guests.compactMap(\.pause).flatMap {
                [$0.lowerBound, $0.upperBound]
            }).sorted()
        // The host's trace does not end before it has told what it did.
        while now < end || breaks.contains(now) {
            var until = min(max(end, now + 4e7), now + Double.random(in: 2e6...4e7, using: &random))
            // While somebody is paused the others idle: an hour of events would be long.
            let isIdle = guests.contains { $0.isPaused(at: now) }
            if isIdle {
                until = guests.compactMap(\.pause).filter { $0.contains(now) }.map(\.upperBound).max() ?? until
            }
            if let next = breaks.first(where: { $0 > now }) { until = min(until, next) }
            round(until: until, isIdle: isIdle)
            let lost = pipeline.lostClocks()
            for guest in guests.indices where now >= nextProbe || lost.contains(id(guest)) { burst(8, of: guest) }
            if now >= nextProbe { nextProbe = now + 1e9 }
        }
        close()
    }

    private func id(_ guest: Int) -> SourceID { SourceID(UInt32(guest + 1)) }

    private func vmm(_ guest: Int) -> Int32 { Int32(1_000 * (guest + 1)) }

    private func thread(_ guest: Int, _ cpu: Int) -> Int32 { vmm(guest) + 1 + Int32(cpu) }

    private func hostTicks(_ instant: Double) -> UInt64 {
        hostStart + UInt64(instant / (scale?.nanosecondsPerCycle ?? 1))
    }

    func hostTime(_ instant: Double) -> HostTime {
        let ticks = hostTicks(instant)
        return scale?.hostTime(ticks) ?? HostTime(nanoseconds: Int64(ticks))
    }

    private func reading(_ instant: Double, of guest: Int, cpu: Int) -> TraceTicks {
        guests[guest].reading(instant, cpu: cpu, hostTicks: hostTicks(instant))
    }

    // MARK: Opening

    private func facts(_ name: String, _ clock: TraceClock, cpus: [Int], isHost: Bool) -> SourceFacts {
        SourceFacts(
            name: name, isHost: isHost, endpoint: isHost ? "" : "unix:/\(name)", hostname: name, bootID: "same",
            kernelRelease: "6.18",
            prepared: Prepared(
                token: 1, clock: clock, byteOrder: .native, longSize: 8, subBufferBytes: 4096, bufferKiBPerCPU: 1024,
                cpus: cpus, instance: "i"))
    }

    private mutating func open() {
        tell(
            .session(
                SessionFacts(
                    program: "test", hostname: "host", kernelRelease: "6.18", bootID: "b", start: hostTime(0),
                    wallClockSeconds: 0, maximumLagNanoseconds: 500_000_000)))
        _ = pipeline.takePlacements()
        tell(
            .sourceOpened(
                .host, facts("host", hostClock, cpus: [0, 1], isHost: true),
                formats: KernelTexts.host + KernelTexts.clockChanges, names: TaskNamesMessage(tasks: [])))
        if let scale { tell(.clock(.host, .scale(scale))) }
        if filter == .told { tell(.clock(.host, .partialEntries)) }
        for guest in guests.indices {
            let threads = guests[guest].cpus.map { VMFacts.Thread(tid: thread(guest, $0), vcpu: $0) }
            tell(.machine(VMFacts(vmmPID: vmm(guest), vmm: "qemu", name: "g\(guest)", vcpuThreads: threads)))
            tell(
                .sourceOpened(
                    id(guest),
                    facts("g\(guest)", guests[guest].traceClock, cpus: Array(guests[guest].cpus), isHost: false),
                    formats: KernelTexts.guest, names: TaskNamesMessage(tasks: [])))
            tell(.link(id(guest), vmmPID: vmm(guest), evidence: "cid"))
            if guests[guest].clock == .known, let scale {
                tell(.clock(id(guest), .kvm(KVMClock(scale: scale, vcpus: guests[guest].settings))))
            }
            burst(32, of: guest)
        }
    }

    private mutating func tell(_ record: LogRecord) { apply(.record(record)) }

    /// Probes arrive when they were answered, however many are on the way at once.
    private mutating func burst(_ count: Int, of guest: Int) {
        let link = guests[guest].link
        for number in 0..<count {
            let sent = now + Double(number / 4) * 2e5 + Double(number % 4) * 2e3
            var arrival = sent + link.delay(link.toGuest, &random)
            if let pause = guests[guest].pause, pause.contains(arrival) { arrival = pause.upperBound + 2e4 }
            let answer = arrival + Double.random(in: 200..<20_000, using: &random)
            let back = answer + link.delay(link.toHost, &random)
            let cpu = random.below(guests[guest].cpus.count)
            guard Double.random(in: 0..<1, using: &random) >= link.lostShare else { continue }
            let probe = ClockProbe(
                hostSent: hostTime(sent), guestReceived: reading(arrival, of: guest, cpu: cpu),
                guestSent: reading(answer, of: guest, cpu: cpu), hostReceived: hostTime(back))
            send(.record(.probe(id(guest), probe)), at: back)
            for step in guests[guest].steps where arrival >= step.at && sent >= step.at {
                noticed[guest] = min(noticed[guest], back)
            }
        }
    }

    private mutating func send(_ input: PipelineInput, at arrival: Double) {
        sentCount += 1
        onTheWay.append((arrival, sentCount, input))
    }

    // MARK: Rounds

    private mutating func round(until: Double, isIdle: Bool) {
        var host = [EventBatch(cpu: 0), EventBatch(cpu: 1)]
        var crossings: [(at: Double, cpu: Int, name: String, tid: Int32, vcpu: Int)] = []
        for guest in guests.indices {
            announce(guest, until: until, in: &host[random.below(2)])
            for cpu in guests[guest].cpus {
                var batch = EventBatch(cpu: cpu)
                if !isIdle, !guests[guest].idle.contains(cpu) {
                    for (entry, exit) in windows(until: until, of: guest, cpu: cpu, &batch) {
                        let place = random.below(2)
                        crossings.append((entry, place, "kvm_entry", thread(guest, cpu), cpu))
                        crossings.append((exit, place, "kvm_exit", thread(guest, cpu), cpu))
                    }
                }
                if !batch.isEmpty { deliver(.batch(id(guest), batch), of: guest, at: until) }
            }
            let watermark = reading(until, of: guest, cpu: random.below(guests[guest].cpus.count))
            if !guests[guest].isPaused(at: until),
                guests[guest].cpus.allSatisfy({ cpu in
                    reading(until, of: guest, cpu: cpu) == watermark
                })
            {
                deliver(.record(.message(id(guest), .watermark(watermark))), of: guest, at: until)
            }
        }
        crossings.sort { $0.at < $1.at }
        for crossing in crossings {
            if let filter, filter != .exits || crossing.name == "kvm_exit", random.chance(40) { continue }
            if isHostLossy, random.chance(1) {
                host[crossing.cpu].losses.append(
                    LossMark(index: host[crossing.cpu].headers.count, place: .ringBuffer, count: 1))
                continue
            }
            host[crossing.cpu].append(
                crossing.name, of: hostTable, at: hostTicks(crossing.at), pid: crossing.tid,
                ["vcpu_id": Int64(crossing.vcpu), "exit_reason": 12, "isa": 1])
        }
        for batch in host where !batch.isEmpty { send(.batch(.host, batch), at: until) }
        send(.record(.message(.host, .watermark(TraceTicks(hostTicks(until))))), at: until)
        now = until
        arrive()
        noteDistrust()
    }

    private mutating func noteDistrust() {
        guard filter == .untold, distrusted.count < guests.count else { return }
        let limits = pipeline.snapshot().health.limits
        for guest in guests.indices where distrusted[guest] == nil {
            if limits.contains(where: { $0.hasPrefix("entries and exits of g\(guest) are missing by turns") }) {
                distrusted[guest] = now
            }
        }
    }

    /// When a vCPU is inside, and what the guest writes then.
    private mutating func windows(
        until: Double, of guest: Int, cpu: Int, _ batch: inout EventBatch
    ) -> [(Double, Double)] {
        var windows: [(Double, Double)] = []
        // Whatever happens to a clock at a round's start, nobody is inside then.
        var cursor = now + 5_000
        let crossing = guests[guest].crossingNanoseconds
        for _ in 0..<random.below(Self.windowsPerRound + 1) {
            let entry = cursor + Double.random(in: 2e3...3e6, using: &random)
            let exit = entry + 4 * crossing + Double.random(in: 1e3...2e6, using: &random)
            guard exit < until - 1_000 else { break }
            cursor = exit
            windows.append((entry, exit))
            var instants = (0..<random.below(4)).map { _ in
                Double.random(in: entry + crossing...exit - crossing, using: &random)
            }
            if random.chance(80) { instants.append(entry + crossing * Double.random(in: 1...1.3, using: &random)) }
            if random.chance(80) { instants.append(exit - crossing * Double.random(in: 1...1.3, using: &random)) }
            for instant in instants.sorted() {
                batch.append(
                    "sched_waking", of: guestTable, at: reading(instant, of: guest, cpu: cpu).rawValue, pid: 0,
                    ["pid": 7, "prio": Int64(truth.count), "target_cpu": Int64(cpu)])
                truth.append(instant)
            }
        }
        return windows
    }

    /// What the host's kernel writes about a clock that it sets at the round's start.
    private mutating func announce(_ guest: Int, until: Double, in batch: inout EventBatch) {
        let machine = guests[guest]
        let isUnknownThread = random.chance(20)
        let tid = isUnknownThread ? 9_999 : vmm(guest)
        if case .nanoseconds = machine.clock {
            let isTold = machine.steps.contains { $0.isTold && $0.at == now } || machine.pause?.upperBound == now
            if isTold { batch.append("kvm_update_master_clock", of: hostTable, at: hostTicks(now), pid: tid) }
            return
        }
        for step in machine.steps where step.at == now {
            for setting in machine.settings {
                batch.append(
                    "kvm_write_tsc_offset", of: hostTable, at: hostTicks(now), pid: tid,
                    [
                        "vcpu_id": Int64(setting.vcpu), "previous_tsc_offset": setting.offset,
                        "next_tsc_offset": setting.offset &+ step.ticks,
                    ])
            }
        }
    }

    /// A guest's words come in the order in which it said them.
    private mutating func deliver(_ input: PipelineInput, of guest: Int, at instant: Double) {
        let delay = random.chance(10) ? 2e8 : 5e7
        guestArrival[guest] = max(guestArrival[guest], instant + Double.random(in: -5e6...delay, using: &random))
        send(input, at: guestArrival[guest])
    }

    private mutating func arrive(all: Bool = false) {
        let arrived = onTheWay.filter { all || $0.arrival <= now }
            .sorted { ($0.arrival, $0.order) < ($1.arrival, $1.order) }
        onTheWay.removeAll { all || $0.arrival <= now }
        for item in arrived { apply(item.input) }
    }

    private mutating func close() {
        arrive(all: true)
        for guest in guests.indices { tell(.sourceClosed(id(guest), reason: "drained", isFailure: false)) }
        tell(.sourceClosed(.host, reason: "drained", isFailure: false))
    }

    // MARK: Judging

    private mutating func apply(_ input: PipelineInput) {
        pipeline.apply(input)
        for placed in pipeline.takePlacements() where placed.source != .host { judge(placed) }
    }

    private mutating func judge(_ placed: PlacedBatch) {
        guard let place = guestTable.typeIndex(system: "sched", name: "sched_waking"),
            let field = IntegerField("prio", of: guestTable.formats[place], byteOrder: .native)
        else { return }
        let guest = Int(placed.source.rawValue) - 1
        let records = placed.batch.records.span.bytes
        for (header, time) in zip(placed.batch.headers, placed.times) {
            guard let number = field.value(in: records, of: header), truth.indices.contains(Int(number)) else {
                continue
            }
            let instant = truth[Int(number)]
            let silent = guests[guest].steps.first { !$0.isTold }?.at ?? .infinity
            judgements.append(
                Judgement(
                    guest: guest, trueInstant: instant, errorNanoseconds: abs(time - hostTime(instant)),
                    boundNanoseconds: placed.boundNanoseconds,
                    isExcused: instant >= silent && instant <= noticed[guest]))
        }
        eventCount += placed.times.count
    }
}
