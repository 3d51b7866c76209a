package import TraceModel

/// Everything about one vCPU, or about one machine: what stands behind `Enter` in the live view, and what
/// `tandem report --vcpu` and `--vm` print.
///
/// Totals are since the start of the window; the states also show the interval, because that is what the table shows.
package struct DetailPage {
    let figures: TopFigures
    let width: Int

    /// The page of a machine, or of one of its vCPUs, for a stream: all of it, as wide as `width`. Nil when the snapshot
    /// holds no such machine or vCPU.
    package static func render(_ snapshot: Snapshot, guest: GuestKey, vcpu: Int?, width: Int) -> Frame? {
        let figures = TopFigures(current: snapshot, previous: nil)
        let page = DetailPage(figures: figures, width: min(max(width, 40), 256))
        guard let index = snapshot.guests.firstIndex(where: { GuestKey($0) == guest }) else { return nil }
        guard let vcpu else { return Frame(lines: page.heading(machine: index) + page.lines(machine: index)) }
        guard let row = figures.vcpus[index].first(where: { $0.vcpu.vcpu == vcpu }) else { return nil }
        return Frame(lines: page.heading(row) + page.lines(row))
    }

    private var snapshot: Snapshot { figures.current }
    private var start: Int64 { snapshot.window.startNanoseconds }

    // MARK: One vCPU

    /// What does not scroll away.
    func heading(_ row: VCPUFigures) -> [Line] {
        let vcpu = row.vcpu
        let number = vcpu.vcpu.map(String.init) ?? Format.unknown
        let state = vcpu.state.state
        var now = Line("\(state.glyph) \(state.word)", state.style)
        now.append(" \(Format.duration(row.duration))", .dim)
        if let detail = vcpu.detail {
            now.append((state.isReady ? " by " : " ") + detail, state.isReady ? .ready : .plain)
        }
        var parts = [now]
        if let cpu = vcpu.hostCPU { parts.append(Line("host CPU \(cpu)", .dim)) }
        if let task = vcpu.guestTask {
            parts.append(Line("guest task \(task)" + (vcpu.guestTID.map { " (\($0))" } ?? ""), .dim))
        }
        if let tid = vcpu.hostTID { parts.append(Line("tid \(tid)", .dim)) }
        if let cell = clockPart(snapshot.guests[row.guestIndex]) { parts.append(cell) }
        parts.append(Line("\(Format.exact(vcpu.preemptions)) preemptions", .dim))
        parts.append(Line("\(Format.exact(vcpu.wakeups)) wake-ups", .dim))
        parts.append(Line("\(Format.exact(vcpu.migrations)) migrations", .dim))
        let name = Line("\(row.guestName.screenText.cut(to: 32))/\(number)", .strong)
        return [Line.bar(name, parts, width: width)] + lowerBound(vcpu.isLowerBound)
    }

    func lines(_ row: VCPUFigures) -> [Line] {
        let vcpu = row.vcpu
        let guest = snapshot.guests[row.guestIndex]
        let host = HostSections(evidence: figures.evidence, isLowerBound: vcpu.isLowerBound)
        let inside = GuestSections(hasAgent: guest.source != nil, hasTaskGaps: guest.hasTaskGaps)
        let all = StateShares(from: nil, to: vcpu.times)
        let tasks = guest.tasks.filter { $0.vcpu == vcpu.vcpu && $0.tid >= 0 }
        return PageLayout.lines(
            [
                host.states(all, now: figures.interval.isWholeWindow ? nil : row.shares),
                host.culprits(vcpu.culprits, ready: all.ready),
                host.exits(vcpu.exits, isEmulated: guest.isEmulated, start: start),
                host.wakeUps(
                    vcpu.wakeUpReasons, vcpu.halts, isEmulated: guest.isEmulated),
                inside.tasks(tasks, title: "TASK ON IT", limit: 10),
                inside.steal(vcpu.steal), inside.running(vcpu.guestRunning),
            ] + histograms(vcpu, hasExits: figures.evidence.hasKVMEvents && !guest.isEmulated), width: width)
    }

    private func histograms(_ vcpu: Snapshot.VCPU, hasExits: Bool) -> [Section] {
        var sections: [Section] = []
        if figures.evidence.hasSchedulerEvents {
            sections.append(HistogramSection.section("WAITS FOR A CPU", vcpu.ready, .ready, start: start))
            sections.append(
                HistogramSection.section("WAKE-UP TO RUNNING", vcpu.wakeUpLatency, .notice, start: start))
        }
        if hasExits {
            sections.append(
                HistogramSection.section(
                    "EXITS HANDLED", Snapshot.Durations(sumOf: vcpu.exits.compactMap(\.handling)), .hypervisor,
                    start: start, isCoarse: true))
        }
        return sections
    }

    // MARK: One machine

    func heading(machine index: Int) -> [Line] {
        let guest = snapshot.guests[index]
        var parts: [Line] = []
        let monitor = [guest.vmm, guest.vmmPID.map(String.init)].compactMap { $0 }.joined(separator: " ")
        if !monitor.isEmpty { parts.append(Line(monitor, .dim)) }
        parts.append(Line(guest.vcpus.count == 1 ? "1 vCPU" : "\(guest.vcpus.count) vCPUs", .dim))
        if let agent = guest.agent(in: snapshot) {
            parts.append(TopTable.state(of: agent))
            parts.append(HealthLines.lost(agent.lost.total, unknown: agent.lost.ofUnknownSize))
        } else {
            parts.append(Line(guest.source == nil ? "no agent" : "agent unknown", .dim))
        }
        if let part = clockPart(guest) { parts.append(part) }
        parts.append(Line("\(Format.exact(guest.taskMigrations)) task migrations", .dim))
        let name = Line(guest.name.screenText.cut(to: 32), .strong)
        return [Line.bar(name, parts, width: width)] + lowerBound(guest.vcpus.contains { $0.isLowerBound })
    }

    func lines(machine index: Int) -> [Line] {
        let guest = snapshot.guests[index]
        let isLowerBound = guest.vcpus.contains { $0.isLowerBound }
        let host = HostSections(evidence: figures.evidence, isLowerBound: isLowerBound)
        let inside = GuestSections(hasAgent: guest.source != nil, hasTaskGaps: guest.hasTaskGaps)
        let all = StateShares(sum: guest.vcpus.map { StateShares(from: nil, to: $0.times) })
        let now = StateShares(sum: figures.vcpus[index].map(\.shares))
        return PageLayout.lines(
            [
                host.states(all, now: figures.interval.isWholeWindow ? nil : now),
                host.culprits(guest.culprits, ready: all.ready),
                inside.clock(guest.clock(in: snapshot), causality: guest.causality),
                host.exits(
                    Snapshot.Exit.sum(of: guest.vcpus.map(\.exits)), isEmulated: guest.isEmulated, start: start,
                    isCoarse: true),
                host.wakeUps(
                    Snapshot.WakeUpReason.sum(of: guest.vcpus.map(\.wakeUpReasons)),
                    Snapshot.Halts(sumOf: guest.vcpus.map(\.halts)), isEmulated: guest.isEmulated),
                inside.tasks(guest.tasks, limit: Limits.tasksPerGuestShown + 1),
                inside.steal(Snapshot.Steal(sumOf: guest.vcpus.compactMap(\.steal))),
                inside.running(Snapshot.GuestRunning(sumOf: guest.vcpus.compactMap(\.guestRunning))),
            ], width: width)
    }

    /// The sections of a machine for which there are figures, with their longest lists cut.
    func measured(machine index: Int) -> [Section] {
        let guest = snapshot.guests[index]
        let isLowerBound = guest.vcpus.contains { $0.isLowerBound }
        let host = HostSections(evidence: figures.evidence, isLowerBound: isLowerBound)
        let inside = GuestSections(hasAgent: guest.source != nil, hasTaskGaps: guest.hasTaskGaps)
        var sections: [Section] = []
        let exits = Snapshot.Exit.sum(of: guest.vcpus.map(\.exits))
        if exits.contains(where: { $0.handling != nil }) {
            sections.append(host.exits(exits, isEmulated: false, start: start, isCoarse: true, limit: 8))
        }
        let wakeUps = Snapshot.WakeUpReason.sum(of: guest.vcpus.map(\.wakeUpReasons))
        if !wakeUps.isEmpty {
            sections.append(
                host.wakeUps(wakeUps, Snapshot.Halts(sumOf: guest.vcpus.map(\.halts)), isEmulated: false))
        }
        if !guest.tasks.isEmpty { sections.append(inside.tasks(guest.tasks, limit: 8)) }
        if let steal = Snapshot.Steal(sumOf: guest.vcpus.compactMap(\.steal)) { sections.append(inside.steal(steal)) }
        if let running = Snapshot.GuestRunning(sumOf: guest.vcpus.compactMap(\.guestRunning)) {
            sections.append(inside.running(running))
        }
        return sections
    }

    // MARK: Pieces

    private func clockPart(_ guest: Snapshot.Guest) -> Line? {
        guard let clock = guest.clock(in: snapshot) else { return nil }
        var part = Line("clock ", .dim)
        part.append(clock.boundText, clock.isBounded ? .plain : .notice)
        return part
    }

    private func lowerBound(_ isLowerBound: Bool) -> [Line] {
        guard isLowerBound else { return [] }
        return [
            Line("\(alarmGlyph) Events were lost: counts and times marked ≥ are lower bounds.", .alarm).cut(to: width)
        ]
    }
}
