import TraceModel

/// Everything that the live view shows of two snapshots, computed once per snapshot and not once per key press.
struct TopFigures {
    let current: Snapshot
    let interval: Interval
    let evidence: Evidence
    /// Per guest, in the snapshot's order.
    let vcpus: [[VCPUFigures]]
    /// Some vCPU was on a CPU without kvm events telling what it did there.
    let showsOnCPU: Bool
    /// Busy time of all host CPUs; nil when none was seen.
    let hostBusy: Share?

    init(current: Snapshot, previous: Snapshot?) {
        let interval = Interval(from: previous, to: current)
        self.current = current
        self.interval = interval
        evidence = Evidence(current)
        vcpus = current.guests.enumerated().map { index, guest in
            guest.vcpus.map {
                VCPUFigures($0, of: guest, guestIndex: index, interval: interval, end: current.window.endNanoseconds)
            }
        }
        showsOnCPU = vcpus.joined().contains { ($0.shares.share(of: $0.shares.onCPU)?.permille ?? 0) > 0 }
        var busy: Int64 = 0
        var whole: Int64 = 0
        for cpu in current.host.cpus {
            let before = interval.before(cpu)
            let unknown = Interval.difference(cpu.unknownNanoseconds, before?.unknownNanoseconds ?? 0)
            busy =
                busy.addingReportingOverflow(
                    Interval.difference(cpu.busyNanoseconds, before?.busyNanoseconds ?? 0)
                ).partialValue
            whole = whole.addingReportingOverflow(Interval.difference(interval.nanoseconds, unknown)).partialValue
        }
        hostBusy = Share(busy, of: whole)
    }
}

/// One vCPU in one interval.
struct VCPUFigures {
    let key: VCPUKey
    let guestIndex: Int
    let guestName: String
    let hasAgent: Bool
    let vcpu: Snapshot.VCPU
    let shares: StateShares
    let preemptionRate: Double?
    let exitRate: Double?
    /// For how long it is in its state.
    let duration: Int64
    /// Who had the CPU longest while it was ready in this interval; when it never was, since the start.
    let culprit: Snapshot.Culprit?
    let culpritIsPast: Bool

    init(_ vcpu: Snapshot.VCPU, of guest: Snapshot.Guest, guestIndex: Int, interval: Interval, end: Int64) {
        let before = interval.before(vcpu, of: guest)
        key = VCPUKey(vcpu, of: guest)
        self.guestIndex = guestIndex
        guestName = guest.name
        hasAgent = guest.source != nil
        self.vcpu = vcpu
        shares = StateShares(from: before?.times, to: vcpu.times)
        preemptionRate = interval.rate(vcpu.preemptions, since: before?.preemptions ?? 0)
        exitRate = interval.rate(vcpu.exitCount, since: before?.exitCount ?? 0)
        duration = Interval.difference(end, vcpu.sinceNanoseconds)
        let recent = VCPUFigures.topCulprit(vcpu.culprits, since: before?.culprits ?? [])
        culprit = recent ?? vcpu.culprits.first
        culpritIsPast = recent == nil
    }

    static func topCulprit(
        _ culprits: [Snapshot.Culprit], since earlier: [Snapshot.Culprit]
    ) -> Snapshot.Culprit? {
        var top: (culprit: Snapshot.Culprit, time: Int64)?
        for (index, culprit) in culprits.enumerated() {
            // The order seldom changes between two snapshots: look at the same place first.
            let same =
                earlier.indices.contains(index) && earlier[index].isSame(as: culprit)
                ? earlier[index] : earlier.first { $0.isSame(as: culprit) }
            let time = Interval.difference(culprit.nanoseconds, same?.nanoseconds ?? 0)
            if time > (top?.time ?? 0) { top = (culprit, time) }
        }
        return top?.culprit
    }

    func cell(_ column: TopColumn, _ evidence: Evidence) -> TextTable.Cell {
        let state = vcpu.state.state
        let unknown = TextTable.Cell(Format.unknown, .unknown)
        if let cell = shares.cell(column, evidence) { return cell }
        switch column {
        case .machine: return .init(guestName, .strong)
        case .vcpu: return vcpu.vcpu.map { .init("\($0)") } ?? unknown
        case .tid: return vcpu.hostTID.map { .init("\($0)") } ?? unknown
        case .cpu:
            if let cpu = vcpu.hostCPU { return .init("\(cpu)") }
            return state == .halted || state == .blocked ? .init("-", .dim) : unknown
        case .state: return .init("\(state.glyph) \(state.word)", state.style)
        case .duration: return .init(Format.duration(duration), .dim)
        case .detail: return .init(vcpu.detail ?? "", state.isReady ? .ready : .plain)
        case .task:
            if let task = vcpu.guestTask { return .init(task) }
            return hasAgent ? unknown : .init("no agent", .dim)
        case .preemptionRate: return evidence.hasSchedulerEvents ? .rate(preemptionRate) : unknown
        case .preemptions:
            return evidence.hasSchedulerEvents
                ? .count(vcpu.preemptions, isLowerBound: vcpu.isLowerBound) : unknown
        case .worst: return evidence.hasSchedulerEvents ? .duration(vcpu.worstPreemptionNanoseconds) : unknown
        case .culprit: return .culprit(culprit, isPast: culpritIsPast, shares)
        case .exitRate: return shares.lacksKVMEvents && vcpu.exitCount == 0 ? unknown : .rate(exitRate)
        case .running, .hypervisor, .onCPU, .ready, .halted, .blocked, .unknown, .strip: return unknown
        }
    }

    /// By what the column is sorted; nil is unknown and comes last in both directions.
    func sortValue(_ column: TopColumn) -> SortValue? {
        if let time = shares.time(column) {
            return shares.total > 0 ? .number(Double(time) / Double(shares.total)) : nil
        }
        switch column {
        case .machine: return .text(guestName)
        // By machine first, so that a flat table keeps the machines together.
        case .vcpu: return vcpu.vcpu.map { .number(Double(guestIndex) * 1e6 + Double($0)) }
        case .tid: return vcpu.hostTID.map { .number(Double($0)) }
        case .cpu: return vcpu.hostCPU.map { .number(Double($0)) }
        case .state: return .number(Double(vcpu.state.state.rawValue))
        case .duration: return .number(Double(duration))
        case .detail: return vcpu.detail.map { .text($0) }
        case .task: return vcpu.guestTask.map { .text($0) }
        case .preemptionRate: return preemptionRate.map { .number($0) }
        case .preemptions: return .number(Double(vcpu.preemptions))
        case .worst: return .number(Double(vcpu.worstPreemptionNanoseconds))
        case .culprit: return culprit.map { .text($0.label) }
        case .exitRate: return exitRate.map { .number($0) }
        case .running, .hypervisor, .onCPU, .ready, .halted, .blocked, .unknown, .strip: return nil
        }
    }
}

/// What rows are ordered by.
enum SortValue: Hashable {
    case number(Double)
    case text(String)

    static func < (a: SortValue, b: SortValue) -> Bool {
        switch (a, b) {
        case (.number(let a), .number(let b)): a < b
        case (.text(let a), .text(let b)): a < b
        case (.number, .text): true
        case (.text, .number): false
        }
    }
}
