import TraceModel

/// What was odd, as sentences that end with what to do: anomalies of the input, and rules between the layers that were
/// broken.
enum Remarks {
    struct Remark {
        var text: String
        var style: Style
    }

    static func anomalies(_ snapshot: Snapshot) -> [Remark] {
        counted(snapshot).map { count in
            let style = style(of: count)
            let advice = Anomaly.allCases.first { $0.label == count.name }?.advice
            return Remark(
                text: "\(style == .alarm ? alarmGlyph + " " : "")\(count.name) \(Format.exact(count.count))"
                    + (advice.map { ": " + $0 } ?? ""), style: style)
        }
    }

    /// What was wrong with the input, worst first.
    static func counted(_ snapshot: Snapshot) -> [Snapshot.AnomalyCount] {
        let counted = snapshot.health.anomalies.filter { $0.count > 0 }
        let order: [Style] = [.alarm, .notice, .dim]
        return order.flatMap { style in counted.filter { Remarks.style(of: $0) == style } }
    }

    static func style(of count: Snapshot.AnomalyCount) -> Style {
        switch Anomaly.allCases.first(where: { $0.label == count.name })?.severity {
        case .defect: .alarm
        case .dataLoss: .notice
        case .notice, nil: .dim
        }
    }

    /// Broken rules first, with advice; those that hold in one sentence, because that is what makes the rest credible.
    static func checks(_ snapshot: Snapshot) -> [Remark] {
        let broken = snapshot.health.checks.filter { $0.violations > 0 }
        var remarks = broken.map { check in
            let share = Share(Int64(clamping: check.violations), of: Int64(clamping: check.checked))
            let excused = check.excused > 0 ? ", \(Format.exact(check.excused)) excused" : ""
            return Remark(
                text: "\(check.name.rawValue) broken in \(Format.exact(check.violations)) of "
                    + "\(Format.count(check.checked)) checks (\(Format.percent(share)) %\(excused)): \(check.name.advice)",
                style: check.style)
        }
        let kept = snapshot.health.checks.filter { $0.violations == 0 && $0.checked > 0 }
        if !kept.isEmpty {
            let count = kept.reduce(UInt64(0)) { $0.addingReportingOverflow($1.checked).partialValue }
            let names = kept.map(\.name.rawValue).joined(separator: ", ")
            remarks.append(
                Remark(text: "Never broken in \(Format.count(count)) checks: \(names).", style: .dim))
        }
        return remarks
    }
}

extension Snapshot.Check {
    /// One in a thousand may be the price of a clock that is not exact; more is trouble.
    var style: Style {
        violations > 0 && violations >= checked / 1_000 ? .notice : .dim
    }
}

extension Snapshot.Check.Name {
    /// What a broken rule means, and what to do about it.
    fileprivate var advice: String {
        switch self {
        case .entryExitAlternation:
            "an entry or exit is missing; were events lost, or is one of kvm:kvm_entry and kvm:kvm_exit not recorded?"
        case .hostSwitchChain: "switches of a host CPU are missing; were events lost? Try larger buffers (-b)."
        case .guestSwitchChain: "switches of a guest's CPU are missing; were its events lost? Try larger buffers (-b)."
        case .guestEventContainment:
            "guest events lie where the guest did not run; the clock's error is larger than the gaps, or host events "
                + "were lost."
        case .causeBeforeEffect:
            "guest events lie behind the exits that they caused; the clock's error is larger than stated."
        case .runningWhileHalted:
            "a vCPU halted with a task that is not idle; the guest's switches are late or lost, or its clock is off."
        }
    }
}
