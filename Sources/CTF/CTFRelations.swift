import SessionLog
import Timeline
import TraceModel
import Wire

/// How the machines of an experiment belong together: roles, clocks, and which host threads are which guest's CPUs.
enum CTFRelations {
    /// The place of the host: the one that ran vCPUs; of several the busiest, of none the first.
    static func host(among surveys: [TraceSurvey]) -> Int {
        var best = 0
        for index in surveys.indices where surveys[index].kvmEvents > surveys[best].kvmEvents {
            best = index
        }
        return best
    }

    /// Gives each guest its clock. What is returned tells which machines the guests are.
    static func relate(_ machines: inout [CTFMachine]) -> [LogRecord] {
        guard let host = machines.firstIndex(where: \.isHost) else { return [] }
        var records = virtualMachines(machines[host].facts)
        let threads = machines[host].survey.clocks.threads
        var free = threads
        for index in machines.indices where index != host {
            let guest = machines[index]
            // An export of our own says all this.
            if guest.facts.environment[CTFMark.timeLine] == machines[host].facts.bootID,
                !guest.facts.bootID.isEmpty
            {
                for clock in identity(guest.survey) { machines[index].set(clock) }
                if let pid = guest.facts.environment[CTFMark.vmmPID].flatMap({ Int32($0) }) {
                    records.append(.link(guest.id, vmmPID: pid, evidence: "the export says so"))
                }
                continue
            }
            if let wall = wallClockOffset(guest, machines[host]) {
                machines[index].set(byWallClocks(guest.survey.first, wall))
            }
            let matches = match(guest.survey, machines[index].map, host: machines[host].survey, &free)
            if !matches.isEmpty { records += identify(guest.id, guest.name, matches, machines[host].survey) }
            if let proof = proof(guest.survey, matches, host: machines[host].survey, threads) {
                machines[index].set(proof.clock)
            }
        }
        for index in machines.indices where index != host {
            for clock in machines[index].clocks { records.append(.clock(machines[index].id, .given(clock))) }
        }
        return records
    }

    /// What an export of our own says of the host's virtual machines.
    private static func virtualMachines(_ facts: CTFMachineFacts) -> [LogRecord] {
        facts.environment.filter { $0.key.hasPrefix(CTFMark.virtualMachine) }.sorted { $0.key < $1.key }
            .compactMap { CTFMark.facts($0.value).map { .machine($0) } }
    }

    // MARK: Clocks

    /// The sharpest evidence that bounds the guest's clock from both sides, and the clock; nil when there is none.
    static func proof(
        _ guest: TraceSurvey, _ matches: [ThreadMatch], host: TraceSurvey,
        _ threads: [Int32: ClockSurvey.VCPUThread]
    ) -> (evidence: GuestSync.Evidence, clock: GivenClock)? {
        let windows = evidence(guest, matches, threads)
        let calls = GuestSync.Evidence(messages: hypercalls(guest, host))
        let packets = GuestSync.Evidence(messages: SyncPackets.messages(guest: guest.packets, host: host.packets))
        let kinds = [
            (windows.messages.isEmpty ? windows : windows + calls, "kvm_entry/kvm_exit"),
            (calls, "vmsync hypercalls"), (packets, "TCP packets"),
        ]
        for (evidence, method) in kinds where !evidence.messages.isEmpty {
            if let clock = GuestSync.clock(evidence, method: method) { return (evidence, clock) }
        }
        return nil
    }

    /// What the windows of guest mode prove.
    private static func evidence(
        _ guest: TraceSurvey, _ matches: [ThreadMatch], _ threads: [Int32: ClockSurvey.VCPUThread]
    ) -> GuestSync.Evidence {
        matches.reduce(into: GuestSync.Evidence()) { evidence, match in
            guard let thread = threads[match.tid], let times = guest.clocks.times[match.cpu] else { return }
            evidence = evidence + GuestSync.evidence(match, times, thread)
        }
    }

    /// The host's time line itself, with the bounds that the trace states; exact where it states none.
    private static func identity(_ survey: TraceSurvey) -> [GivenClock] {
        let start = survey.first ?? TraceTicks(0)
        let exact = GivenClock(
            knots: [
                .init(
                    ticks: start, host: HostTime(nanoseconds: Int64(clamping: start.rawValue)), boundNanoseconds: 0)
            ], nanosecondsPerTick: 1, method: StatedBounds.method)
        return [exact] + survey.statedBounds.sorted { $0.key < $1.key }.compactMap { $0.value.clock(cpu: $0.key) }
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
                    ticks: ticks,
                    host: HostTime(nanoseconds: Int64(clamping: ticks.rawValue)).advanced(by: offset),
                    boundNanoseconds: ThreadMatch.reachNanoseconds)
            ], nanosecondsPerTick: 1, method: "wall clocks")
    }

    // MARK: Threads

    /// The host threads of the guest's CPUs; those found are no other guest's any more.
    static func match(
        _ guest: TraceSurvey, _ map: ClockMap, host: TraceSurvey, _ free: inout [Int32: ClockSurvey.VCPUThread]
    ) -> [ThreadMatch] {
        let guess = guest.first.flatMap { first in
            map.hostTime(first).map { $0.time.nanoseconds &- Int64(clamping: first.rawValue) }
        }
        return ThreadMatch.all(guest.clocks.times, among: &free, guess: guess) {
            hypercallMatch(guest, host, cpu: $0)
        }
    }

    /// `known` is what the host itself says of the machine.
    static func identify(
        _ guest: SourceID, _ name: String, _ matches: [ThreadMatch], _ host: TraceSurvey, known: VMFacts? = nil
    ) -> [LogRecord] {
        let threads = matches.map { VMFacts.Thread(tid: $0.tid, vcpu: $0.cpu) }
        let list = threads.map { "\($0.tid)" }.joined(separator: ", ")
        let evidence = "its events lie between kvm_entry and kvm_exit of thread \(list)"
        if var machine = known {
            machine.vcpuThreads.removeAll { thread in threads.contains { $0.tid == thread.tid } }
            machine.vcpuThreads += threads
            return [.machine(machine), .link(guest, vmmPID: machine.vmmPID, evidence: evidence)]
        }
        // Without a statedump only the threads are known; the first stands for its process.
        let process =
            threads.lazy.compactMap { host.processes[$0.tid] }.first ?? threads.map(\.tid).min() ?? 0
        let vmm = host.names[process]?.text ?? "vmm"
        return [
            .machine(VMFacts(vmmPID: process, vmm: vmm, name: name, vcpuThreads: threads)),
            .link(guest, vmmPID: process, evidence: evidence),
        ]
    }

    // MARK: vmsync

    /// A hypercall of the guest that the host saw tells thread and offset at once.
    private static func hypercallMatch(_ guest: TraceSurvey, _ host: TraceSurvey, cpu: Int)
        -> ThreadMatch?
    {
        guard let message = hypercalls(guest, host).first,
            let call = host.vmsync.first(where: { $0.ticks == message.exit && $0.kind == .hostReceived })
        else { return nil }
        let low = Int64(clamping: message.entry) &- Int64(clamping: message.first)
        let high = Int64(clamping: message.exit) &- Int64(clamping: message.last)
        return ThreadMatch(
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
        for event in host.vmsync {
            seen[Key(kind: event.kind, vm: event.vm, count: event.count)] = event.ticks
        }
        var messages: [GuestSync.Message] = []
        var opened: (entry: UInt64, first: UInt64)?
        for event in guest.vmsync {
            switch event.kind {
            case .guestReceived:
                opened = seen[Key(kind: .hostSent, vm: event.vm, count: event.count)].map {
                    ($0, event.ticks)
                }
            case .guestSent:
                guard let start = opened,
                    let received = seen[Key(kind: .hostReceived, vm: event.vm, count: event.count)]
                else { continue }
                messages.append(
                    GuestSync.Message(
                        entry: start.entry, first: start.first, last: event.ticks, exit: received))
                opened = nil
            case .hostReceived, .hostSent: break
            }
        }
        return messages
    }
}
