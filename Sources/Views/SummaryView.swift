package import TraceModel

/// What a recording was, printed when it ends: the vCPUs, who took the CPU from whom, the exits and victims of each
/// machine, the sources, the clocks, and what went wrong.
///
/// A vCPU takes two lines of the table, its times and below them their shares, and one line each for who took its CPU
/// and why it left guest code; so it is readable at 80 columns and needs no legend. Everything about one machine or vCPU
/// is on its page (`DetailPage`).
package enum SummaryView {
    package static func render(_ snapshot: Snapshot, width: Int) -> Frame {
        let age = Interval.difference(snapshot.window.endNanoseconds, snapshot.window.startNanoseconds)
        var events: UInt64 = 0
        for source in snapshot.sources { events &+= source.events }
        var first = Line("\(Format.clock(age))  ", .strong)
        first.append("\(Format.exact(events)) events   ")
        first.append(
            HealthLines.lost(snapshot.health.eventsLost, unknown: snapshot.health.lossesOfUnknownSize))
        var blocks: [[Line]] = [[first.cut(to: width)], vcpus(snapshot, width: width)]
        let figures = TopFigures(current: snapshot, previous: nil)
        blocks.append(durations(figures, width: width))
        blocks.append(matrix(figures, width: width))
        for index in snapshot.guests.indices.prefix(SummaryView.mostMachines) {
            blocks.append(machine(index, figures, width: width))
        }
        if snapshot.guests.count > SummaryView.mostMachines {
            let rest = snapshot.guests.count - SummaryView.mostMachines
            blocks.append([Line("The pages of \(rest) more machines are not shown here.", .dim).cut(to: width)])
        }
        blocks.append(sources(snapshot, width: width))
        blocks.append(clocks(snapshot, width: width))
        blocks.append(remarks(snapshot, width: width))
        return Frame(lines: Array(blocks.filter { !$0.isEmpty }.joined(separator: [Line()])))
    }

    // MARK: vCPUs

    private static func vcpus(_ snapshot: Snapshot, width: Int) -> [Line] {
        let figures = TopFigures(current: snapshot, previous: nil)
        guard figures.hasVCPUs else {
            return HostTable.sentence(snapshot).wrapped(to: width).map { Line($0, .notice) }
        }
        let evidence = figures.evidence
        let times = timeColumns(evidence, showsOnCPU: figures.showsOnCPU)
        var table = TextTable(
            columns: [.init(title: "VCPU", shrinksTo: 8), .init(title: "TID", alignment: .right, rank: 3)]
                + times.map { .init(title: $0.title, alignment: .right, rank: $0.rank) }
                + [
                    .init(title: "PREEMPTIONS", alignment: .right, rank: 1),
                    .init(title: "WORST", alignment: .right, rank: 1),
                ] + (evidence.hasExits ? [.init(title: "EXITS", alignment: .right, rank: 2)] : []))
        var notes: [[Line]] = []
        for vcpu in figures.vcpus.joined() {
            let name = "\(vcpu.guestName)/\(vcpu.vcpu.vcpu.map(String.init) ?? Format.unknown)"
            var row: [TextTable.Cell] = [.init(name, .strong), vcpu.cell(.tid, evidence)]
            row += times.map { column in
                guard column.isKnown else { return .init(Format.unknown, .unknown) }
                let time = column.time(vcpu.shares)
                return .init(Format.duration(time), time == 0 ? .dim : .plain)
            }
            row += [vcpu.cell(.preemptions, evidence), vcpu.cell(.worst, evidence)]
            if evidence.hasExits {
                row.append(.init((vcpu.vcpu.isLowerBound ? "≥" : "") + Format.exact(vcpu.vcpu.exitCount)))
            }
            table.rows.append(row)
            table.rows.append(
                [.init(""), .init("")]
                    + times.map { column in
                        // Nothing to say about what is zero or unknown in the line above.
                        guard column.isKnown, let share = vcpu.shares.share(of: column.time(vcpu.shares)),
                            !share.isNothing
                        else { return .init("") }
                        let style = column.isReady ? Threshold.ready(share) : .plain
                        return .init((style == .alarm ? alarmGlyph : "") + Format.percent(share) + " %", style)
                    })
            notes.append(SummaryView.notes(vcpu, hasKVMEvents: evidence.hasKVMEvents, width: width))
        }
        let lines = table.lines(width: width)
        var result = Array(lines.prefix(1))
        for (index, notes) in notes.enumerated() {
            result += lines.dropFirst(1 + 2 * index).prefix(2)
            result += notes
        }
        return result
    }

    private struct TimeColumn {
        var title: String
        var rank: Int
        var isKnown: Bool
        var isReady = false
        var time: (StateShares) -> Int64
    }

    private static func timeColumns(_ evidence: Evidence, showsOnCPU: Bool) -> [TimeColumn] {
        let off = evidence.hasSchedulerEvents
        var columns: [TimeColumn] = []
        if evidence.hasKVMEvents {
            columns.append(.init(title: "RUN", rank: 0, isKnown: true) { $0.running })
            columns.append(.init(title: "HYP", rank: 0, isKnown: true) { $0.hypervisor })
        }
        if !evidence.hasKVMEvents || showsOnCPU {
            columns.append(.init(title: "ON CPU", rank: 0, isKnown: true) { $0.onCPU })
        }
        columns.append(.init(title: "READY", rank: 0, isKnown: off, isReady: true) { $0.ready })
        columns.append(.init(title: "HALTED", rank: 1, isKnown: off) { $0.halted })
        columns.append(.init(title: "BLOCKED", rank: 2, isKnown: off) { $0.blocked })
        columns.append(.init(title: "UNKNOWN", rank: 2, isKnown: true) { $0.unknown })
        return columns
    }

    /// Who took the CPU and why guest code was left; at most four of each, by time.
    private static func notes(_ vcpu: VCPUFigures, hasKVMEvents: Bool, width: Int) -> [Line] {
        let least = vcpu.vcpu.isLowerBound ? "≥" : ""
        func entry(_ name: String, _ nanoseconds: Int64, _ count: UInt64) -> String {
            "\(name) \(least)\(Format.duration(nanoseconds)) (\(least)\(Format.count(count)) times)"
        }
        let culprits = zip(vcpu.vcpu.culprits, vcpu.vcpu.culprits.labels).map { entry($1, $0.nanoseconds, $0.count) }
        let exits = vcpu.vcpu.exits.map { exit in
            hasKVMEvents
                ? entry(exit.reason, exit.nanoseconds, exit.count)
                : "\(exit.reason) (\(least)\(Format.count(exit.count)) times)"
        }
        return [("  waited for ", culprits, Style.ready), ("  exits ", exits, Style.hypervisor)]
            .filter { !$0.1.isEmpty }
            .map { label, entries, style in
                var line = Line(label, .dim)
                for (index, entry) in entries.prefix(4).enumerated() {
                    if index > 0 { line.append(", ", .dim) }
                    line.append(entry, index == 0 ? style : .plain)
                }
                if entries.count > 4 { line.append(", \(entries.count - 4) more", .dim) }
                return line.cut(to: width)
            }
    }

    // MARK: How long, who, and what it cost

    /// Machines that get a block of their own: the others are in the tables above.
    private static let mostMachines = 16

    /// One row per vCPU: how long it waited for a CPU, all waits and those after a wake-up.
    private static func durations(_ figures: TopFigures, width: Int) -> [Line] {
        let rows = figures.vcpus.joined().filter { $0.vcpu.ready != nil }
        guard !rows.isEmpty else { return [] }
        func column(_ title: String, _ rank: Int = 0) -> TextTable.Column {
            .init(title: title, alignment: .right, rank: rank)
        }
        var table = TextTable(columns: [
            .init(title: "WAITS OF", shrinksTo: 8), column("TIMES"), column("P50"), column("P99"),
            column("P99.9", 1), column("MAX"), column("AT", 1), column("AFTER WAKE-UP P50", 2), column("P99", 2),
            column("MAX", 2),
        ])
        let start = figures.current.window.startNanoseconds
        for row in rows {
            guard let ready = row.vcpu.ready else { continue }
            let name = "\(row.guestName)/\(row.vcpu.vcpu.map(String.init) ?? Format.unknown)"
            let least = row.vcpu.isLowerBound ? "≥" : ""
            let woken = row.vcpu.wakeUpLatency
            let at = Interval.difference(ready.maximumAtNanoseconds, start)
            table.rows.append(
                [
                    .init(name, .strong), .init(least + Format.count(ready.count)),
                    .init(Format.duration(ready.p50Nanoseconds)), .init(Format.duration(ready.p99Nanoseconds)),
                    .init(Format.duration(ready.p999Nanoseconds)), .init(Format.duration(ready.maximumNanoseconds)),
                    .init(Format.clock(at), .dim),
                ]
                    + [woken?.p50Nanoseconds, woken?.p99Nanoseconds, woken?.maximumNanoseconds].map {
                        $0.map { .init(Format.duration($0)) } ?? .init("-", .dim)
                    })
        }
        return table.lines(width: width)
    }

    private static func matrix(_ figures: TopFigures, width: Int) -> [Line] {
        guard figures.current.guests.contains(where: { !$0.takenBy.isEmpty }) else { return [] }
        let page = MatrixPage(figures: figures, width: width)
        return page.heading + page.lines(height: 24)
    }

    /// Exits, wake-ups, victims and steal of a machine; what cannot be known of it is said on its page only.
    private static func machine(_ index: Int, _ figures: TopFigures, width: Int) -> [Line] {
        let page = DetailPage(figures: figures, width: width)
        let sections = page.measured(machine: index)
        return sections.isEmpty ? [] : page.heading(machine: index) + PageLayout.lines(sections, width: width)
    }

    // MARK: Sources and clocks

    private static func sources(_ snapshot: Snapshot, width: Int) -> [Line] {
        guard !snapshot.sources.isEmpty else { return [] }
        let age = Interval.difference(snapshot.window.endNanoseconds, snapshot.window.startNanoseconds)
        var table = TextTable(columns: [
            .init(title: "SOURCE", shrinksTo: 8), .init(title: "STATE", rank: 1),
            .init(title: "EVENTS", alignment: .right), .init(title: "WIRE", alignment: .right, rank: 2),
            .init(title: "LOST", alignment: .right), .init(title: "RING BUFFER", alignment: .right, rank: 3),
            .init(title: "AGENT", alignment: .right, rank: 3), .init(title: "MALFORMED", alignment: .right, rank: 4),
            .init(title: "LATE", alignment: .right, rank: 4), .init(title: "CPU TIME", alignment: .right, rank: 2),
        ])
        func count(_ count: UInt64, _ style: Style = .alarm) -> TextTable.Cell {
            .init(Format.exact(count), count == 0 ? .dim : style)
        }
        for source in snapshot.sources {
            let lost = HealthLines.lost(source.lost.total, unknown: source.lost.ofUnknownSize)
            let isLoss = source.lost.total > 0 || source.lost.ofUnknownSize > 0
            // Files do not tell what it cost to make them, nor does the host send anything.
            let cost = Int64(clamping: source.producerCPUNanoseconds)
            let unknown = TextTable.Cell("-", .dim)
            table.rows.append([
                .init(source.name, .strong), .init(source.state, source.state == "gone" ? .alarm : .plain),
                count(source.events, .plain),
                source.bytes == 0 ? unknown : .init(Format.bytes(source.bytes)),
                .init(lost.text.split(separator: " ").last.map(String.init) ?? "0", isLoss ? .alarm : .dim),
                count(source.lost.ringBuffer), count(source.lost.agent), count(source.lost.malformed),
                count(source.lateEvents, .notice),
                cost == 0 ? unknown : .init("\(Format.duration(cost)) \(Format.percent(Share(cost, of: age))) %"),
            ])
        }
        return table.lines(width: width)
    }

    private static func clocks(_ snapshot: Snapshot, width: Int) -> [Line] {
        let guests = snapshot.guests.filter { $0.source != nil }
        guard !guests.isEmpty else { return [] }
        // Nobody is shown a column of question marks.
        let hasContainment = guests.contains { $0.clock(in: snapshot)?.containment != nil }
        let columns: [TextTable.Column] = [
            .init(title: "CLOCK OF", shrinksTo: 8), .init(title: "TRACE CLOCK", rank: 2),
            .init(title: "QUALITY", rank: 1),
            .init(title: "ERROR", alignment: .right), .init(title: "OFFSET", alignment: .right, rank: 3),
            .init(title: "DRIFT", alignment: .right, rank: 2), .init(title: "EPOCH", alignment: .right, rank: 3),
        ]
        let last = TextTable.Column(title: "CONTAINED", alignment: .right, rank: 2)
        var table = TextTable(columns: columns + (hasContainment ? [last] : []))
        for guest in guests {
            guard let clock = guest.clock(in: snapshot) else {
                table.rows.append([.init(guest.name, .strong), .init(Format.unknown, .unknown)])
                continue
            }
            let style: Style = clock.isBounded ? .plain : .notice
            let unknown = TextTable.Cell(Format.unknown, .unknown)
            let isKnown = clock.quality != "absent"
            let row: [TextTable.Cell] = [
                .init(guest.name, .strong), .init(clock.clock), .init(clock.quality, style),
                clock.isBounded ? .init(clock.boundText) : unknown,
                isKnown ? .init(Format.seconds(clock.offsetNanoseconds) + " s") : unknown,
                isKnown ? .init(Format.partsPerMillion(clock.driftPPM)) : unknown, .init("\(clock.epoch)"),
            ]
            let share = clock.containment.map { TextTable.Cell(Format.hundredths($0) + " %") } ?? unknown
            table.rows.append(row + (hasContainment ? [share] : []))
        }
        return table.lines(width: width)
    }

    // MARK: What went wrong, and what cannot be known

    private static func remarks(_ snapshot: Snapshot, width: Int) -> [Line] {
        var lines: [Line] = []
        func add(_ text: String, _ style: Style) {
            for (index, part) in text.wrapped(to: width - 2).enumerated() {
                lines.append(Line((index == 0 ? "" : "  ") + part, style))
            }
        }
        for sentence in snapshot.health.limits { add(sentence, .notice) }
        for remark in Remarks.anomalies(snapshot) + Remarks.checks(snapshot) { add(remark.text, remark.style) }
        return lines
    }
}

extension Format {
    /// `+12.34 ppm`; two digits, and none where the figure is so large that they would be noise.
    static func partsPerMillion(_ drift: Double) -> String {
        guard drift.isFinite, drift.magnitude < 1e9 else { return unknown }
        let hundredths = UInt64((drift.magnitude * 100).rounded())
        let rest = hundredths % 100
        let sign = hundredths == 0 ? "" : drift < 0 ? "-" : "+"
        return "\(sign)\(hundredths / 100).\(rest < 10 ? "0" : "")\(rest) ppm"
    }
}
