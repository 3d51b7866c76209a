import TraceModel

/// All vCPUs of one machine in one row: what was true of a machine as long as it has one vCPU, made true for many.
///
/// Shares are of all its vCPUs' time together, so they still exclude each other and add up to 100; rates are sums, the
/// worst wait is that of the vCPU that had it, and the culprits are those of the whole machine.
struct MachineFigures {
    let key: GuestKey
    private let guest: Snapshot.Guest
    private let index: Int
    private let clock: Snapshot.Clock?
    private let vcpus: [VCPUFigures]
    let shares: StateShares
    private let culprit: Snapshot.Culprit?
    private let culpritIsPast: Bool

    init(_ figures: TopFigures, machine index: Int) {
        guest = figures.current.guests[index]
        self.index = index
        key = GuestKey(guest)
        clock = guest.source == nil ? nil : guest.clock(in: figures.current)
        vcpus = figures.vcpus[index]
        shares = StateShares(sum: vcpus.map(\.shares))
        let recent = VCPUFigures.topCulprit(guest.culprits, since: figures.interval.before(guest)?.culprits ?? [])
        culprit = recent ?? guest.culprits.first
        culpritIsPast = recent == nil
    }

    private var preemptions: UInt64 {
        vcpus.reduce(0) { $0.addingReportingOverflow($1.vcpu.preemptions).partialValue }
    }

    private var worst: Int64 { vcpus.map(\.vcpu.worstPreemptionNanoseconds).max() ?? 0 }

    /// Nil when one of them is not known.
    private func sum(_ rate: (VCPUFigures) -> Double?) -> Double? {
        vcpus.reduce(0.0) { sum, vcpu in
            guard let sum, let rate = rate(vcpu) else { return nil }
            return sum + rate
        }
    }

    private var isLowerBound: Bool { vcpus.contains(where: \.vcpu.isLowerBound) }

    /// `●2 ▲1`: how many are in which state, most first.
    private var states: TextTable.Cell {
        var counts: [VCPUState: Int] = [:]
        for vcpu in vcpus { counts[vcpu.vcpu.state.state, default: 0] += 1 }
        let order = VCPUState.allCases.filter { counts[$0] != nil }
            .sorted { (-(counts[$0] ?? 0), $0.rawValue) < (-(counts[$1] ?? 0), $1.rawValue) }
        let text = order.map { "\($0.glyph)\(counts[$0] ?? 0)" }.joined(separator: " ")
        let isTrouble = order.contains { $0.isReady }
        return .init(text, isTrouble ? .ready : order.first?.style ?? .dim)
    }

    func cell(_ column: TopColumn, _ evidence: Evidence) -> TextTable.Cell {
        let unknown = TextTable.Cell(Format.unknown, .unknown)
        if let cell = shares.cell(column, evidence) { return cell }
        switch column {
        case .machine: return .init(guest.name, .strong)
        case .vcpu: return .init("\(vcpus.count)", vcpus.isEmpty ? .notice : .plain)
        case .tid: return guest.vmmPID.map { .init("\($0)") } ?? unknown
        case .state: return vcpus.isEmpty ? .init("none seen", .notice) : states
        case .detail:
            guard let clock else { return guest.source == nil ? .init("no agent", .dim) : unknown }
            return .init(clock.boundText, clock.isBounded ? .plain : .notice)
        case .preemptionRate: return evidence.hasSchedulerEvents ? .rate(sum(\.preemptionRate)) : unknown
        case .preemptions:
            return evidence.hasSchedulerEvents ? .count(preemptions, isLowerBound: isLowerBound) : unknown
        case .worst: return evidence.hasSchedulerEvents ? .duration(worst) : unknown
        case .culprit: return .culprit(culprit, isPast: culpritIsPast, shares)
        case .exitRate:
            let hasExits = vcpus.contains { $0.vcpu.exitCount > 0 }
            return shares.lacksKVMEvents && !hasExits ? unknown : .rate(sum(\.exitRate))
        default: return .init("")
        }
    }

    func sortValue(_ column: TopColumn) -> SortValue? {
        if let share = shares.time(column) {
            return shares.total > 0 ? .number(Double(share) / Double(shares.total)) : nil
        }
        switch column {
        case .machine: return .text(guest.name)
        // The snapshot's own order.
        case .vcpu: return .number(Double(index))
        case .tid: return guest.vmmPID.map { .number(Double($0)) }
        case .state: return .number(Double(vcpus.count { $0.vcpu.state.state.isReady }))
        case .detail: return clock.map { .number($0.isBounded ? Double($0.boundNanoseconds) : .infinity) }
        case .preemptionRate: return sum(\.preemptionRate).map { .number($0) }
        case .preemptions: return .number(Double(preemptions))
        case .worst: return .number(Double(worst))
        case .culprit: return culprit.map { .text($0.label) }
        case .exitRate: return sum(\.exitRate).map { .number($0) }
        default: return nil
        }
    }
}

// MARK: Cells that vCPUs and machines have in common

extension StateShares {
    /// On a CPU, and no kvm event told what it did there, while another machine's did.
    var lacksKVMEvents: Bool { onCPU > 0 && running == 0 && hypervisor == 0 }

    /// The time behind a column of percentages; nil for another column.
    func time(_ column: TopColumn) -> Int64? {
        switch column {
        case .running: running
        case .hypervisor: hypervisor
        case .onCPU: onCPU
        case .ready: ready
        case .halted: halted
        case .blocked: blocked
        case .unknown: unknown
        default: nil
        }
    }

    /// The cell of a column of percentages; nil for another column.
    func cell(_ column: TopColumn, _ evidence: Evidence) -> TextTable.Cell? {
        guard let time = time(column) else { return nil }
        let isUnknown =
            switch column {
            case .running, .hypervisor: lacksKVMEvents
            case .ready, .halted, .blocked: !evidence.hasSchedulerEvents
            default: false
            }
        guard !isUnknown, let share = share(of: time) else { return .init(Format.unknown, .unknown) }
        switch column {
        case .ready:
            let style = Threshold.ready(share)
            return .init((style == .alarm ? alarmGlyph : "") + Format.percent(share), style)
        case .unknown: return .init(Format.percent(share), share.isNothing ? .dim : .unknown)
        default: return .init(Format.percent(share), share.isNothing ? .dim : .plain)
        }
    }
}

extension TextTable.Cell {
    static func rate(_ rate: Double?) -> TextTable.Cell {
        .init(Format.rate(rate), rate == 0 ? .dim : rate == nil ? .unknown : .plain)
    }

    /// `isLowerBound`: events were lost, so that there may be more.
    static func count(_ count: UInt64, isLowerBound: Bool) -> TextTable.Cell {
        .init((isLowerBound ? "≥" : "") + Format.exact(count), count == 0 ? .dim : .plain)
    }

    static func duration(_ nanoseconds: Int64) -> TextTable.Cell {
        .init(Format.duration(nanoseconds), nanoseconds == 0 ? .dim : .plain)
    }

    static func culprit(_ culprit: Snapshot.Culprit?, isPast: Bool, _ shares: StateShares) -> TextTable.Cell {
        guard let culprit else { return .init("", .plain) }
        if isPast { return .init("(\(culprit.label))", .dim) }
        // Blamed only as loudly as what it did: a little waiting is everyday life.
        return switch Threshold.ready(shares.share(of: shares.ready)) {
        case .alarm: .init(culprit.label, .ready)
        case .notice: .init(culprit.label, .notice)
        default: .init(culprit.label)
        }
    }
}
