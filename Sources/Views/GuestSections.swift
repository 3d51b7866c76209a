import TraceModel

/// The sections of a page that need an agent in the guest: its tasks, its steal time, its clock.
struct GuestSections {
    let hasAgent: Bool
    /// The guest's own events were lost: what its tasks did then is nobody's.
    let hasTaskGaps: Bool

    private static let noAgent = "Cannot be known: no agent runs inside this machine."

    /// Believed, real, robbed: the tasks that lost most first.
    ///
    /// The cause column is what makes the difference to `top` in the guest: it shows full CPU time for a task whose vCPU
    /// was not even running.
    func tasks(_ tasks: [Snapshot.GuestTask], title: String = "GUEST TASK", limit: Int) -> Section {
        let room = 80...128
        guard hasAgent else { return HostSections.unknown(title, GuestSections.noAgent, room) }
        guard !tasks.isEmpty else {
            return HostSections.sentence(title, "None was seen: the guest sent no sched_switch for it yet.", room)
        }
        func column(_ title: String, _ width: Int) -> TextTable.Column {
            .init(title: title, alignment: .right, room: width...width)
        }
        var table = TextTable(
            columns: [
                .init(title: title, room: 12...16), .init(title: "TID", alignment: .right, rank: 2, room: 7...7),
                column("BELIEVES", 8), column("REALLY", 8), column("ROBBED", 8), column("%", 5), column("WORST", 7),
                .init(title: "ROBBED BY", rank: 1, room: 15...66),
            ], gap: 1)
        for task in HostSections.split(tasks, limit: limit) {
            let share = Share(task.robbedNanoseconds, of: task.believedNanoseconds)
            let style = Threshold.ready(share)
            let isOthers = task.tid < 0
            // What its vCPU did in a gap of the host's events is neither real nor robbed: both are lower bounds. After a gap
            // of the guest's own, so is all the time that it had.
            let believedLeast = hasTaskGaps ? "≥" : ""
            let least = hasTaskGaps || task.times[.unknown] > 0 ? "≥" : ""
            table.rows.append([
                .init(task.name, task.isCurrent ? .running : isOthers ? .dim : .plain),
                .init(isOthers ? "" : "\(task.tid)", .dim),
                .init(believedLeast + Format.duration(task.believedNanoseconds)),
                .init(least + Format.duration(task.reallyNanoseconds)),
                .init(least + Format.duration(max(0, task.robbedNanoseconds)), style),
                .init((style == .alarm ? alarmGlyph : "") + Format.percent(share), style),
                .init(
                    task.worstRobbedNanoseconds > 0 ? Format.duration(task.worstRobbedNanoseconds) : "-",
                    task.worstRobbedNanoseconds > 0 ? .plain : .dim),
                .init(GuestSections.causes(task)),
            ])
        }
        let hidden = tasks.count - HostSections.split(tasks, limit: limit).count
        if hidden > 0 { table.rows.append([.init("\(hidden) others", .dim)]) }
        return Section(room, table)
    }

    /// `preempted 1.20 s, EPT_VIOLATION 12.3 ms`: what took the time, most first.
    static func causes(_ task: Snapshot.GuestTask) -> String {
        var causes = task.robbedBy.map { ($0.reason, $0.nanoseconds) }
        for state: VCPUState in [.preempted, .waking] { causes.append((state.word, task.times[state])) }
        // What the reasons do not explain: an exit whose beginning was not seen.
        let explained = task.robbedBy.reduce(0) { HostSections.sum($0, $1.nanoseconds) }
        var outside: Int64 = 0
        for state: VCPUState in [.hypervisor, .userspace, .polling, .halted, .blocked] {
            outside = HostSections.sum(outside, task.times[state])
        }
        causes.append(("other exits", Interval.difference(outside, explained)))
        causes = causes.filter { $0.1 > 0 }.sorted { $0.1 > $1.1 }
        if task.times[.unknown] > 0 { causes.append(("not known", task.times[.unknown])) }
        // Not one more cause: whose this time is, the clock cannot tell.
        if task.uncertainNanoseconds > 0 { causes.append(("of all uncertain", task.uncertainNanoseconds)) }
        return causes.map { "\($0.0) \(Format.duration($0.1))" }.joined(separator: ", ")
    }

    /// What the guest was told of its steal time, what the host measured, and what is between them.
    func steal(_ steal: Snapshot.Steal?) -> Section {
        let title = "STEAL, THREE WAYS"
        let room = 39...48
        guard hasAgent else { return HostSections.unknown(title, GuestSections.noAgent, room) }
        guard let steal else {
            return HostSections.sentence(title, "Its agent has sent no two samples of /proc/stat.", room)
        }
        let span = Interval.difference(steal.untilNanoseconds, steal.fromNanoseconds)
        func row(_ name: String, _ time: Int64, _ style: Style, isLeast: Bool = false) -> [TextTable.Cell] {
            [
                .init(name, .dim), .init((isLeast ? "≥" : "") + Format.duration(time), style),
                .init(Format.percent(Share(max(0, time), of: span)) + " %", style == .plain ? .plain : style),
            ]
        }
        var table = TextTable(
            columns: [
                .init(title: title, room: 18...18), .init(title: "TIME", alignment: .right, room: 8...8),
                .init(title: "OF ALL", alignment: .right, room: 6...6),
            ], gap: 1)
        table.rows = [row("the guest was told", steal.toldNanoseconds, .plain)]
        var verdict: String?
        if let ready = steal.readyNanoseconds, let difference = steal.difference {
            let isLeast = steal.unknownNanoseconds > 0
            table.rows.append(row("the host measured", ready, .plain, isLeast: isLeast))
            let tick = GuestSections.clockTickNanoseconds
            if difference.least > tick {
                table.rows.append(row("it was not told", difference.least, .notice, isLeast: isLeast))
            } else if difference.most < -tick {
                let surplus = Int64(clamping: difference.most.magnitude)
                table.rows.append(row("told too much", surplus, .notice, isLeast: isLeast))
            } else if steal.unknownNanoseconds <= tick {
                // The guest counts in clock ticks; less than one is rounding and no lie.
                let rest = Int64(clamping: difference.least.magnitude)
                table.rows.append(row(difference.least < 0 ? "told too much" : "it was not told", rest, .dim))
                verdict = "less than a clock tick: they agree"
            } else {
                table.rows.append(row("of it unknown", steal.unknownNanoseconds, .unknown))
                verdict = "too much is unknown to compare them"
            }
        } else {
            verdict = "no sched_switch: the host cannot measure"
        }
        return Section(room) { width in
            table.lines(width: width, firstTitleStyle: .strong)
                + (verdict.map { [Line($0, .dim).cut(to: width)] } ?? [])
        }
    }

    /// USER_HZ is 100 on every architecture that KVM runs on (include/asm-generic/param.h).
    private static let clockTickNanoseconds: Int64 = 10_000_000

    /// What the guest did with the time in which its code ran, by its own scheduler's word.
    func running(_ running: Snapshot.GuestRunning?) -> Section {
        let title = "GUEST CODE RAN"
        let room = 39...48
        guard hasAgent else { return HostSections.unknown(title, GuestSections.noAgent, room) }
        guard let running else {
            return HostSections.sentence(title, "No sched_switch of the guest has come yet.", room)
        }
        var table = TextTable(
            columns: [
                .init(title: title, room: 18...18), .init(title: "TIME", alignment: .right, room: 8...8),
                .init(title: "%", alignment: .right, room: 6...6),
            ], gap: 1)
        let whole = [running.busyNanoseconds, running.idleNanoseconds, running.unknownNanoseconds]
            .reduce(0) { HostSections.sum($0, $1) }
        func add(_ name: String, _ time: Int64, _ style: Style = .plain) {
            let share = Share(time, of: whole)
            table.rows.append([
                .init(name, .dim), .init(Format.duration(time), time == 0 ? .dim : style),
                .init(Format.percent(share), time == 0 ? .dim : style),
            ])
        }
        add("with work", running.busyNanoseconds)
        add("in its idle task", running.idleNanoseconds)
        add("not known", running.unknownNanoseconds, .unknown)
        add("uncertain of these", running.uncertainNanoseconds, .notice)
        return Section(room) { width in
            var lines = table.lines(width: width, firstTitleStyle: .strong)
            if running.isUncertainNow {
                lines.append(Line("now: switched within the clock's error", .notice).cut(to: width))
            }
            return lines
        }
    }

    /// How the guest's clock is put on the host's, and how far it can be trusted.
    func clock(_ clock: Snapshot.Clock?, causality: [Snapshot.CausalPair] = []) -> Section {
        let title = "CLOCK"
        let room = 39...56
        guard hasAgent else { return HostSections.unknown(title, GuestSections.noAgent, room) }
        guard let clock else { return HostSections.sentence(title, "Not compared yet.", room) }
        return Section(room) { width in
            var lines = [Line(title, .strong)]
            func add(_ name: String, _ value: Line) {
                var line = Line()
                line.append(name, .dim, width: 10, alignment: .left)
                line.append(value)
                lines.append(line.cut(to: width))
            }
            let basis = clock.estimators.isEmpty ? "" : ", by " + clock.estimators.joined(separator: ", ")
            var state = Line(clock.quality, clock.isBounded ? .running : .notice)
            state.append(basis, .dim)
            add("state", state)
            add("error", Line(clock.boundText, clock.isBounded ? .plain : .notice))
            if clock.quality != "absent" {
                add("offset", Line(Format.seconds(clock.offsetNanoseconds) + " s, host minus guest"))
                add("drift", Line(Format.partsPerMillion(clock.driftPPM)))
            }
            add("epoch", Line("\(clock.epoch)"))
            add("guest", Line(clock.clock))
            add("contained", clock.gauge(width: max(0, min(20, width - 20))))
            for pair in causality { add(pair.effect, pair.line) }
            for text in (clock.advice ?? "").wrapped(to: width) { lines.append(Line(text, .notice)) }
            return lines
        }
    }
}

extension Snapshot.GuestTask {
    /// Time in which it executed; on a vCPU without kvm events, time in which that vCPU had a host CPU.
    var reallyNanoseconds: Int64 { HostSections.sum(times[.running], times[.onCPU]) }
}

extension Snapshot.CausalPair {
    /// `431 ns after cpu_idle, 1,008 times`: how soon the host sees what the guest does, and how often too soon.
    var line: Line {
        var line = Line(p50Nanoseconds.map { Format.duration($0) } ?? Format.unknown)
        line.append(" after \(cause), \(Format.count(count)) times", .dim)
        if violations > 0 { line.append(", \(Format.count(violations)) before it", .notice) }
        return line
    }
}

extension Snapshot.Clock {
    /// `█████████▉ 99.98 %`: the share of guest events that lie where they can only have happened, in guest mode.
    func gauge(width: Int) -> Line {
        guard let containment, (0...1).contains(containment) else {
            return Line("cannot be told: no kvm events to compare with", .dim)
        }
        let style: Style =
            containment < Threshold.containmentAlarm
            ? .alarm : containment < Threshold.containmentNotice ? .notice : .running
        var line = Line(Bars.bar(UInt64(containment * 1e6), of: 1_000_000, width: width), style)
        line.pad(to: width)
        line.append(
            "\(width > 0 ? " " : "")\(style == .alarm ? alarmGlyph : "")\(Format.hundredths(containment)) %",
            style == .running ? .plain : style)
        return line
    }

    /// What to do about a clock that is not as good as it could be.
    var advice: String? {
        switch quality {
        case "absent": "Its events cannot be placed yet: they need a probe's answer, or kvm events of both sides."
        case "estimated":
            "Placed by what its file says, which has no word on its error; with kvm_entry and kvm_exit it would be proved."
        case "one-sided": "Its events can only be too late: is kvm:kvm_exit recorded, and does the agent answer probes?"
        default:
            containment.map { $0 < Threshold.containmentNotice } == true
                ? "Guest events outside of entry..exit: the error is larger than stated, or host events were lost."
                : nil
        }
    }
}
