import TraceModel

/// The sections of a page that say what the host knows of vCPUs: states, culprits, exits, wake-ups.
///
/// Figures are totals since the start of the window. Where events were lost they are lower bounds, and the titles of
/// their columns say so. What cannot be known has a sentence instead of an empty table.
struct HostSections {
    let evidence: Evidence
    /// Events of these vCPUs were lost.
    let isLowerBound: Bool

    private var least: String { isLowerBound ? "≥" : "" }

    func states(_ all: StateShares, now: StateShares?) -> Section {
        var table = TextTable(
            columns: [
                .init(title: "STATE", room: 12...12), .init(title: "TIME", alignment: .right, room: 7...7),
                .init(title: "%", alignment: .right, room: 5...5),
            ], gap: 1)
        // A report has no present beside its whole.
        if now != nil { table.columns.append(.init(title: "NOW %", alignment: .right, room: 5...5)) }
        table.columns.append(.init(title: "", rank: 1, room: 4...24))
        for state in VCPUState.allCases where all.time(state) > 0 {
            let share = all.share(of: all.time(state))
            var row: [TextTable.Cell] = [
                .init("\(state.glyph) \(state.word)", state.style), .init(Format.duration(all.time(state))),
                .init(Format.percent(share)),
            ]
            if let now {
                let present = now.share(of: now.time(state))
                row.append(.init(Format.percent(present), present?.isNothing == true ? .dim : .plain))
            }
            table.rows.append(row + [.init(bar: share, state.style)])
        }
        if table.rows.isEmpty { table.rows.append([.init("nothing yet", .dim)]) }
        return Section(32...56, table)
    }

    /// Most first, with their share of all waiting; `ready` is the time that they share.
    func culprits(_ culprits: [Snapshot.Culprit], ready: Int64) -> Section {
        let title = "WHO HAD THE CPU"
        guard evidence.hasSchedulerEvents else {
            return HostSections.unknown(
                title, "Cannot be known: no sched event came, so nobody saw who was on the CPU.", 38...60)
        }
        guard !culprits.isEmpty else {
            return HostSections.sentence(
                title, ready > 0 ? "Not known yet." : "Nobody: it never waited for a CPU.", 38...60)
        }
        var table = TextTable(
            columns: [
                .init(title: title, room: 15...24),
                .init(title: least + "TIMES", alignment: .right, room: 6...6),
                .init(title: least + "TIME", alignment: .right, room: 7...7),
                .init(title: "%", alignment: .right, room: 5...5), .init(title: "", rank: 1, room: 4...24),
            ], gap: 1)
        let shown = HostSections.split(culprits, limit: 12)
        let labels = culprits.labels
        for (index, culprit) in shown.enumerated() {
            let share = Share(culprit.nanoseconds, of: ready)
            table.rows.append([
                .init(labels[index], index == 0 ? .ready : .plain), .init(Format.count(culprit.count)),
                .init(Format.duration(culprit.nanoseconds)), .init(Format.percent(share)), .init(bar: share, .ready),
            ])
        }
        let rest = culprits.dropFirst(shown.count)
        if !rest.isEmpty {
            let time = rest.reduce(0) { HostSections.sum($0, $1.nanoseconds) }
            table.rows.append([
                .init("\(rest.count) others", .dim), .init(""), .init(Format.duration(time), .dim),
                .init(Format.percent(Share(time, of: ready)), .dim),
            ])
        }
        return Section(38...66, table)
    }

    /// Why guest code was left: most time first, with the distribution of the time until it went on.
    /// `isCoarse`: the percentiles are upper ends of powers of two.
    func exits(
        _ exits: [Snapshot.Exit], isEmulated: Bool, start: Int64, isCoarse: Bool = false, limit: Int = .max - 1
    ) -> Section {
        let title = "EXIT REASON"
        guard evidence.hasExits, !isEmulated else {
            return HostSections.unknown(
                title,
                isEmulated
                    ? "None: this machine is emulated in user space, which has no exits."
                    : "Cannot be known: no kvm event came; are kvm:kvm_entry and kvm:kvm_exit enabled?", 60...80)
        }
        guard !exits.isEmpty else { return HostSections.sentence(title, "None yet.", 60...80) }
        func column(_ title: String, _ width: Int, _ rank: Int = 0) -> TextTable.Column {
            .init(title: title, alignment: .right, rank: rank, room: width...width)
        }
        var table = TextTable(
            columns: [
                .init(title: title, room: 14...24), column(least + "TIMES", 6), column(least + "TIME", 7),
                column("%", 4), column("MEAN", 7), column("P99", isCoarse ? 8 : 7), column("MAX", 7),
                column("AT", 8, 1),
            ], gap: 1)
        let whole = exits.reduce(0) { HostSections.sum($0, $1.nanoseconds) }
        for exit in HostSections.split(exits, limit: limit) {
            let share = Share(exit.nanoseconds, of: whole)
            var row: [TextTable.Cell] = [.init(exit.reason), .init(Format.count(exit.count))]
            // Without kvm_entry nothing tells when an exit was over.
            guard evidence.hasKVMEvents else {
                row += [TextTable.Cell](repeating: .init(Format.unknown, .unknown), count: 6)
                table.rows.append(row)
                continue
            }
            row += [
                .init(Format.duration(exit.nanoseconds)),
                .init(Format.percent(share), share?.isNothing == true ? .dim : .plain),
            ]
            if let handling = exit.handling {
                row += [
                    .init(Format.duration(handling.meanNanoseconds)),
                    .init((isCoarse ? "≤" : "") + Format.duration(handling.p99Nanoseconds)),
                    .init(Format.duration(handling.maximumNanoseconds)),
                    .init(Format.clock(Interval.difference(handling.maximumAtNanoseconds, start)), .dim),
                ]
            } else {
                let mean = exit.count > 0 && exit.nanoseconds > 0 ? exit.nanoseconds / Int64(clamping: exit.count) : nil
                row.append(.init(mean.map { Format.duration($0) } ?? Format.unknown, mean == nil ? .unknown : .plain))
                row += [.init("-", .dim), .init("-", .dim)]
            }
            table.rows.append(row)
        }
        let hidden = exits.count - HostSections.split(exits, limit: limit).count
        if hidden > 0 { table.rows.append([.init("\(hidden) others", .dim)]) }
        return Section(60...80, table)
    }

    /// What ended the halts, and whether the thread slept or polled.
    func wakeUps(
        _ reasons: [Snapshot.WakeUpReason], _ halts: Snapshot.Halts, isEmulated: Bool
    ) -> Section {
        let title = "WOKEN BY"
        guard evidence.hasKVMEvents, !isEmulated else {
            return HostSections.unknown(
                title, "Cannot be known: without kvm events a halt looks like any other sleep.", 36...54)
        }
        var table = TextTable(
            columns: [
                .init(title: title, room: 12...16), .init(title: least + "TIMES", alignment: .right, room: 6...6),
                .init(title: least + "HALTED", alignment: .right, room: 7...7),
                .init(title: "%", alignment: .right, room: 4...4), .init(title: "", rank: 1, room: 4...16),
            ], gap: 1)
        // Of the column beside it, as in the other tables.
        let whole = reasons.reduce(Int64(0)) { $0 &+ $1.haltedNanoseconds }
        for reason in reasons {
            let share = Share(reason.haltedNanoseconds, of: whole)
            let style: Style = reason.reason == .unknown ? .unknown : .plain
            table.rows.append([
                .init(reason.reason.word, style), .init(Format.count(reason.count)),
                .init(Format.duration(reason.haltedNanoseconds)), .init(Format.percent(share)),
                .init(bar: share, reason.reason == .unknown ? .unknown : .halted),
            ])
        }
        return Section(36...54) { width in
            var lines = table.lines(width: width, firstTitleStyle: .strong)
            if reasons.isEmpty { lines = HostSections.text(title, "No wake-up from a halt was seen.", .dim, width) }
            if halts.polled > 0 || halts.slept > 0 {
                var line = Line("halts  ", .dim)
                line.append("\(Format.count(halts.slept)) slept, \(Format.count(halts.polled)) polled")
                if let limit = halts.pollLimitNanoseconds { line.append(", up to \(Format.duration(limit))", .dim) }
                lines.append(line.cut(to: width))
            }
            return lines
        }
    }

    // MARK: Pieces

    /// One more than the limit is shown rather than "1 other".
    static func split<Row>(_ rows: [Row], limit: Int) -> ArraySlice<Row> {
        rows.count <= limit + 1 ? rows[...] : rows.prefix(limit)
    }

    /// Never negative, and at most what fits: snapshots can come from a file.
    static func sum(_ a: Int64, _ b: Int64) -> Int64 {
        let (sum, overflow) = a.addingReportingOverflow(max(0, b))
        return overflow ? .max : max(0, sum)
    }

    static func unknown(_ title: String, _ reason: String, _ room: ClosedRange<Int>) -> Section {
        Section(room) { text(title, reason, .notice, $0) }
    }

    static func sentence(_ title: String, _ text: String, _ room: ClosedRange<Int>) -> Section {
        Section(room) { HostSections.text(title, text, .dim, $0) }
    }

    static func text(_ title: String, _ text: String, _ style: Style, _ width: Int) -> [Line] {
        [Line(title, .strong).cut(to: width)] + text.wrapped(to: width).map { Line($0, style) }
    }
}

extension Snapshot.WakeUpReason.Reason {
    var word: String {
        switch self {
        case .timer: "timer"
        case .ipi: "IPI"
        case .disk: "disk"
        case .net: "network"
        case .unknown: "unknown"
        }
    }
}
