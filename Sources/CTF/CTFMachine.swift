import SessionLog
import Timeline
import TraceModel
import Wire

/// One machine of an experiment on its way into a session.
struct CTFMachine {
    let id: SourceID
    let name: String
    let facts: CTFMachineFacts
    let survey: TraceSurvey
    let reader: MachineReader
    /// A guest's clock; the host's ticks are host time.
    var clock: GivenClock?
    var map: ClockMap
    /// Host time before which everything has been told.
    var reached: HostTime?
    /// The same on its own clock.
    var reachedTicks: TraceTicks?
    var hasEnded = false
    /// Read and not told yet, in the order of reading.
    private var pending: [EventBatch] = []

    var isHost: Bool { id == .host }

    init(id: SourceID, name: String, facts: CTFMachineFacts, survey: TraceSurvey, reader: MachineReader) {
        self.id = id
        self.name = name
        self.facts = facts
        self.survey = survey
        self.reader = reader
        map = ClockMap(clock: .mono, identity: id == .host)
    }

    mutating func set(_ clock: GivenClock) {
        self.clock = clock
        map.learn(.given(clock))
    }

    mutating func hold(_ batch: EventBatch) { pending.append(batch) }

    /// What was read before `ticks`; everything when nil.
    mutating func take(before ticks: TraceTicks?) -> [EventBatch] {
        guard let ticks else {
            defer { pending = [] }
            return pending
        }
        var taken: [EventBatch] = []
        var left: [EventBatch] = []
        for batch in pending {
            let (before, after) = batch.split(before: ticks)
            if !before.isEmpty { taken.append(before) }
            if !after.isEmpty { left.append(after) }
        }
        pending = left
        return taken
    }

    /// A reading of its clock that is not after `time`, where everything before that has been told: exact at the last
    /// watermark, else a little early (two clocks that count nanoseconds differ by less than 500 ppm).
    func ticks(notAfter time: HostTime) -> TraceTicks? {
        guard let reached, let reachedTicks else { return nil }
        if isHost { return TraceTicks(UInt64(max(0, time.nanoseconds))) }
        guard time < reached else { return reachedTicks }
        let before = UInt64(max(0, reached - time))
        let back = before &+ before / 1000 &+ 1
        return TraceTicks(reachedTicks.rawValue > back ? reachedTicks.rawValue - back : 0)
    }

    /// Where on the host's time line it begins, as far as is known.
    var begin: HostTime? { survey.first.flatMap { map.hostTime($0)?.time } }

    /// Where on the host's time line it ends.
    var end: HostTime? { survey.last.flatMap { map.hostTime($0)?.time } }

    /// A host time in the environment of an export of our own.
    func time(_ mark: String) -> HostTime? {
        facts.environment[mark].flatMap { Int64($0) }.map { HostTime(nanoseconds: $0) }
    }

    var opening: LogRecord {
        let prepared = Prepared(
            token: 0, clock: CTFMachine.traceClock(facts.clock.name), byteOrder: .native, longSize: 8,
            subBufferBytes: 4096, bufferKiBPerCPU: 0, cpus: survey.cpus.sorted(), instance: "")
        let names = survey.names.sorted { $0.key < $1.key }.map {
            TaskNamesMessage.Task(tid: $0.key, comm: $0.value.text)
        }
        return .sourceOpened(
            id,
            SourceFacts(
                name: name, isHost: isHost, endpoint: facts.paths.first ?? "", hostname: facts.hostname,
                bootID: facts.bootID, kernelRelease: facts.kernelRelease, prepared: prepared),
            formats: reader.formats.map { FormatMessage(system: $0.system, text: $0.text) },
            names: TaskNamesMessage(tasks: names))
    }

    /// The kernel's clocks under LTTng's and perf's names. What is none of them still counts nanoseconds here.
    private static func traceClock(_ name: String) -> TraceClock {
        switch name {
        case "monotonic_raw": .monoRaw
        case "boottime", "boot": .boot
        case "tai": .tai
        default: .mono
        }
    }
}

extension EventBatch {
    /// Events before `ticks`, with the losses before them, and the rest. The records are shared, not copied.
    fileprivate func split(before ticks: TraceTicks) -> (EventBatch, EventBatch) {
        guard let first = headers.first, first.ticks < ticks else {
            return headers.isEmpty ? (self, EventBatch(cpu: cpu)) : (EventBatch(cpu: cpu), self)
        }
        let middle = GuestMatch.partitionPoint(headers) { $0.ticks < ticks }
        guard middle < headers.count else { return (self, EventBatch(cpu: cpu)) }
        var parts = (EventBatch(cpu: cpu), EventBatch(cpu: cpu))
        parts.0.headers = Array(headers[..<middle])
        parts.1.headers = Array(headers[middle...])
        parts.0.records = records
        parts.1.records = records
        parts.0.losses = losses.filter { $0.index < middle }
        parts.1.losses = losses.filter { $0.index >= middle }.map {
            LossMark(index: $0.index - middle, place: $0.place, count: $0.count)
        }
        return parts
    }
}

/// How the machines of an experiment belong together: roles, clocks, and which host threads are which guest's CPUs.
enum CTFRelations {
    /// The place of the host: the one that ran vCPUs; of several the busiest, of none the first.
    static func host(among surveys: [TraceSurvey]) -> Int {
        var best = 0
        for index in surveys.indices where surveys[index].kvmEvents > surveys[best].kvmEvents { best = index }
        return best
    }

    /// Gives each guest its clock. What is returned tells which machines the guests are.
    static func relate(_ machines: inout [CTFMachine]) -> [LogRecord] {
        guard let host = machines.firstIndex(where: \.isHost) else { return [] }
        var records = virtualMachines(machines[host].facts)
        var free = machines[host].survey.threads
        for index in machines.indices where index != host {
            let guest = machines[index]
            // An export of our own says all this.
            if guest.facts.environment[CTFMark.timeLine] == machines[host].facts.bootID, !guest.facts.bootID.isEmpty {
                machines[index].set(identity(guest.survey.first, bound: guest.survey.statedBoundNanoseconds))
                if let pid = guest.facts.environment[CTFMark.vmmPID].flatMap({ Int32($0) }) {
                    records.append(.link(guest.id, vmmPID: pid, evidence: "the export says so"))
                }
                continue
            }
            if let wall = wallClockOffset(guest, machines[host]) {
                machines[index].set(byWallClocks(guest.survey.first, wall))
            }
            let matches = match(guest, machines[index].map, host: machines[host], &free)
            guard !matches.isEmpty else { continue }
            records += identify(guest, matches, machines[host].survey)
            let messages =
                GuestSync.messages(
                    matches.map { match in
                        (
                            match, guest.survey.times[match.cpu] ?? [],
                            machines[host].survey.threads[match.tid]?.windows ?? []
                        )
                    }) + hypercalls(guest.survey, machines[host].survey)
            if let sync = GuestSync(messages.sorted { $0.first < $1.first }) {
                machines[index].set(sync.clock(method: "kvm_entry/kvm_exit"))
            }
        }
        for index in machines.indices where index != host {
            if let clock = machines[index].clock { records.append(.clock(machines[index].id, .given(clock))) }
        }
        return records
    }

    /// What an export of our own says of the host's virtual machines.
    private static func virtualMachines(_ facts: CTFMachineFacts) -> [LogRecord] {
        facts.environment.filter { $0.key.hasPrefix(CTFMark.virtualMachine) }.sorted { $0.key < $1.key }
            .compactMap { CTFMark.facts($0.value).map { .machine($0) } }
    }

    // MARK: Clocks

    private static func identity(_ ticks: TraceTicks?, bound: Int64) -> GivenClock {
        let ticks = ticks ?? TraceTicks(0)
        return GivenClock(
            knots: [
                .init(
                    ticks: ticks, host: HostTime(nanoseconds: Int64(clamping: ticks.rawValue)), boundNanoseconds: bound)
            ],
            nanosecondsPerTick: 1, method: "the host's time line")
    }

    /// What the machines believed the time of day to be; nil when one did not know.
    private static func wallClockOffset(_ guest: CTFMachine, _ host: CTFMachine) -> Int64? {
        guard let guestZero = guest.facts.clock.epochOffsetNanoseconds,
            let hostZero = host.facts.clock.epochOffsetNanoseconds
        else { return nil }
        let (offset, overflow) = guestZero.subtractingReportingOverflow(hostZero)
        return overflow ? nil : offset
    }

    /// A guest's wall clock may have been set from a clock chip that knows only seconds.
    static func byWallClocks(_ ticks: TraceTicks?, _ offset: Int64) -> GivenClock {
        let ticks = ticks ?? TraceTicks(0)
        return GivenClock(
            knots: [
                .init(
                    ticks: ticks, host: HostTime(nanoseconds: Int64(clamping: ticks.rawValue)).advanced(by: offset),
                    boundNanoseconds: GuestMatch.reachNanoseconds)
            ], nanosecondsPerTick: 1, method: "wall clocks")
    }

    // MARK: Threads

    /// The host threads of the guest's CPUs; those found are no other guest's any more.
    private static func match(
        _ guest: CTFMachine, _ map: ClockMap, host: CTFMachine, _ free: inout [Int32: TraceSurvey.VCPUThread]
    ) -> [GuestMatch] {
        var found: [GuestMatch] = []
        // The busiest CPU first: it has most to say about the offset.
        let cpus = guest.survey.times.keys.sorted {
            let counts = (guest.survey.times[$0]?.count ?? 0, guest.survey.times[$1]?.count ?? 0)
            return counts.0 != counts.1 ? counts.0 > counts.1 : $0 < $1
        }
        for cpu in cpus {
            let times = guest.survey.times[cpu] ?? []
            let candidates = free.values.filter { $0.number == nil || Int($0.number ?? 0) == cpu }
                .sorted { $0.tid < $1.tid }
            let known = found.first ?? hypercallMatch(guest.survey, host.survey, cpu: cpu)
            if let known {
                let fitting = candidates.filter {
                    GuestMatch.fits(times, $0, offset: known.offset, margin: known.marginNanoseconds + 100_000)
                }
                guard fitting.count == 1 else { continue }
                found.append(
                    GuestMatch(
                        tid: fitting[0].tid, cpu: cpu, offset: known.offset,
                        marginNanoseconds: known.marginNanoseconds, guestTicks: known.guestTicks))
            } else if let first = guest.survey.first, let place = map.hostTime(first) {
                let guess = place.time.nanoseconds &- Int64(clamping: first.rawValue)
                if let match = GuestMatch.find(times: times, cpu: cpu, threads: candidates, guess: guess) {
                    found.append(match)
                }
            }
            if let last = found.last { free[last.tid] = nil }
        }
        return found
    }

    private static func identify(
        _ guest: CTFMachine, _ matches: [GuestMatch], _ host: TraceSurvey
    ) -> [LogRecord] {
        let threads = matches.map { VMFacts.Thread(tid: $0.tid, vcpu: $0.cpu) }
        // Without a statedump only the threads are known; the first stands for its process.
        let process = threads.lazy.compactMap { host.processes[$0.tid] }.first ?? threads.map(\.tid).min() ?? 0
        let vmm = host.names[process]?.text ?? "vmm"
        let list = threads.map { "\($0.tid)" }.joined(separator: ", ")
        return [
            .machine(VMFacts(vmmPID: process, vmm: vmm, name: guest.name, vcpuThreads: threads)),
            .link(
                guest.id, vmmPID: process,
                evidence: "its events lie between kvm_entry and kvm_exit of thread \(list)"),
        ]
    }

    // MARK: vmsync

    /// A hypercall of the guest that the host saw tells thread and offset at once.
    private static func hypercallMatch(_ guest: TraceSurvey, _ host: TraceSurvey, cpu: Int) -> GuestMatch? {
        guard let message = hypercalls(guest, host).first,
            let call = host.vmsync.first(where: { $0.ticks == message.exit && $0.kind == .hostReceived })
        else { return nil }
        let low = Int64(clamping: message.entry) &- Int64(clamping: message.first)
        let high = Int64(clamping: message.exit) &- Int64(clamping: message.last)
        return GuestMatch(
            tid: call.thread, cpu: cpu, offset: low &+ (high &- low) / 2,
            marginNanoseconds: max(1_000, (high &- low) / 2), guestTicks: message.first)
    }

    /// From the end of one hypercall to the start of the next: the host sent at its end, the guest at the next's start.
    private static func hypercalls(_ guest: TraceSurvey, _ host: TraceSurvey) -> [GuestSync.Message] {
        struct Key: Hashable {
            let kind: TraceSurvey.VMSync.Kind
            let vm: Int64
            let count: Int64
        }
        var seen: [Key: UInt64] = [:]
        for event in host.vmsync { seen[Key(kind: event.kind, vm: event.vm, count: event.count)] = event.ticks }
        var messages: [GuestSync.Message] = []
        var opened: (entry: UInt64, first: UInt64)?
        for event in guest.vmsync {
            switch event.kind {
            case .guestReceived:
                opened = seen[Key(kind: .hostSent, vm: event.vm, count: event.count)].map { ($0, event.ticks) }
            case .guestSent:
                guard let start = opened,
                    let received = seen[Key(kind: .hostReceived, vm: event.vm, count: event.count)]
                else { continue }
                messages.append(
                    GuestSync.Message(entry: start.entry, first: start.first, last: event.ticks, exit: received))
                opened = nil
            case .hostReceived, .hostSent: break
            }
        }
        return messages
    }
}
