package import TraceModel

/// The state of everything at one instant: what `tandem report --at T` prints.
///
/// No rates and no totals: what each vCPU, each host CPU and each guest task is doing at that moment, since when, and
/// because of whom.
package enum InstantView {
    /// `snapshot` ends at the instant.
    package static func render(_ snapshot: Snapshot, width: Int) -> Frame {
        let now = snapshot.window.endNanoseconds
        var first = Line(
            "At \(Format.exactSeconds(Interval.difference(now, snapshot.window.startNanoseconds))) s", .strong)
        first.append(" after the start", .dim)
        first.append("   ")
        first.append(HealthLines.lost(snapshot.health.eventsLost, unknown: snapshot.health.lossesOfUnknownSize))
        var blocks = [[first.cut(to: width)], vcpus(snapshot, width: width), tasks(snapshot, width: width)]
        blocks.append(cpus(snapshot, width: width))
        blocks.append(
            snapshot.health.limits.flatMap { $0.wrapped(to: width) }.map { Line($0, .notice) })
        return Frame(lines: Array(blocks.filter { !$0.isEmpty }.joined(separator: [Line()])))
    }

    private static func vcpus(_ snapshot: Snapshot, width: Int) -> [Line] {
        let figures = TopFigures(current: snapshot, previous: nil)
        guard figures.hasVCPUs else {
            return HostTable.sentence(snapshot).wrapped(to: width).map { Line($0, .notice) }
        }
        var table = TextTable(columns: [
            .init(title: "VCPU", shrinksTo: 8), .init(title: "STATE"), .init(title: "FOR", alignment: .right),
            .init(title: "DETAIL", shrinksTo: 10, rank: 1), .init(title: "CPU", alignment: .right, rank: 1),
            .init(title: "GUEST TASK", shrinksTo: 10), .init(title: "TID", alignment: .right, rank: 2),
            .init(title: "CLOCK", rank: 3),
        ])
        for row in figures.vcpus.joined() {
            let guest = snapshot.guests[row.guestIndex]
            let clock = guest.source == nil ? nil : guest.clock(in: snapshot)
            let isUncertain = row.vcpu.guestRunning?.isUncertainNow == true
            var task = row.cell(.task, figures.evidence)
            if isUncertain { task = .init(task.text + " (uncertain)", .notice) }
            table.rows.append([
                .init("\(row.guestName)/\(row.vcpu.vcpu.map(String.init) ?? Format.unknown)", .strong),
                row.cell(.state, figures.evidence), .init(Format.duration(row.duration)),
                row.cell(.detail, figures.evidence), row.cell(.cpu, figures.evidence), task,
                .init(row.vcpu.guestTID.map(String.init) ?? "-", .dim),
                .init(clock?.boundText ?? "-", clock?.isBounded == true ? .plain : .dim),
            ])
        }
        return table.lines(width: width)
    }

    /// Only tasks that the guest believes to run: whether the others sleep or wait is not known.
    private static func tasks(_ snapshot: Snapshot, width: Int) -> [Line] {
        var table = TextTable(columns: [
            .init(title: "GUEST TASK", shrinksTo: 10), .init(title: "TID", alignment: .right),
            .init(title: "ON", shrinksTo: 8), .init(title: "IN TRUTH"),
            .init(title: "ROBBED SO FAR", alignment: .right, rank: 1),
        ])
        for guest in snapshot.guests {
            for task in guest.tasks where task.isCurrent {
                let vcpu = guest.vcpus.first { $0.vcpu == task.vcpu }
                let state = vcpu?.state.state ?? .unknown
                table.rows.append([
                    .init(task.name), .init("\(task.tid)", .dim),
                    .init("\(guest.name)/\(task.vcpu.map(String.init) ?? Format.unknown)", .strong),
                    .init("\(state.glyph) \(state.word)", state.style),
                    .init(Format.duration(max(0, task.robbedNanoseconds))),
                ])
            }
        }
        return table.rows.isEmpty ? [] : table.lines(width: width)
    }

    private static func cpus(_ snapshot: Snapshot, width: Int) -> [Line] {
        var table = TextTable(columns: [
            .init(title: "HOST CPU", alignment: .right), .init(title: "TASK", shrinksTo: 10),
            .init(title: "TID", alignment: .right), .init(title: "WHICH IS"),
        ])
        for cpu in snapshot.host.cpus {
            let isKnown = !cpu.task.isEmpty
            let guest = cpu.guest.flatMap { snapshot.guests.indices.contains($0) ? snapshot.guests[$0] : nil }
            table.rows.append([
                .init("\(cpu.cpu)"),
                cpu.tid == 0 && isKnown
                    ? .init("idle", .halted) : .init(isKnown ? cpu.task : Format.unknown, isKnown ? .plain : .unknown),
                .init(isKnown ? "\(cpu.tid)" : Format.unknown, .dim),
                .init(guest.map { "\($0.name)/\(cpu.vcpu.map(String.init) ?? Format.unknown)" } ?? "", .strong),
            ])
        }
        return table.rows.isEmpty ? [] : table.lines(width: width)
    }
}
