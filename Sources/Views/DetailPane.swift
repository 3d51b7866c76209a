import TraceModel

/// Everything about the selected vCPU: where its time went, who took its CPU, and why it left guest code.
///
/// Three lists side by side, or as many as fit. Times are since the start of the window; the time states also show the
/// interval, because that is what the table above shows.
struct DetailPane {
    let figures: TopFigures
    let vcpu: VCPUFigures
    let width: Int

    /// The bar, the titles, and ten entries: as many as there are states.
    static let height = 12
    private static let narrowestList = 22

    func lines(height: Int) -> [Line] {
        guard height >= 2, width > 0 else { return [] }
        var lists = [states, culprits]
        if figures.evidence.hasKVMEvents { lists.append(exits) }
        let gap = width >= 100 ? 3 : 2
        // The states are the narrowest; the lists of names share the rest, and lie close together on a wide screen.
        let first = min(width, width >= 100 ? 32 : 26)
        var widths = [first]
        let rest = width - first
        for count in (1..<lists.count).reversed() where widths.count == 1 {
            let share = min(rest / count - gap, 44)
            if share >= DetailPane.narrowestList { widths += Array(repeating: share, count: count) }
        }
        let columns = zip(lists, widths).map { $0.lines(width: $1) }
        var lines = [bar]
        for row in 0..<(min(height - 1, columns.map(\.count).max() ?? 0)) {
            var line = Line()
            var start = 0
            for (column, width) in zip(columns, widths) {
                line.pad(to: start)
                if row < column.count { line.append(column[row]) }
                start += width + gap
            }
            lines.append(line.cut(to: width))
        }
        return lines
    }

    private var bar: Line {
        let number = vcpu.vcpu.vcpu.map(String.init) ?? Format.unknown
        var line = Line("── ", .dim)
        line.append("\(vcpu.guestName.screenText.cut(to: 32))/\(number)", .strong)
        var parts: [String] = []
        if let tid = vcpu.vcpu.hostTID { parts.append("tid \(tid)") }
        if let cpu = vcpu.vcpu.hostCPU { parts.append("host CPU \(cpu)") }
        if let task = vcpu.vcpu.guestTask {
            parts.append("guest task \(task.screenText)" + (vcpu.vcpu.guestTID.map { " (\($0))" } ?? ""))
        }
        parts.append("\(Format.exact(vcpu.vcpu.migrations)) migrations")
        parts.append("\(Format.exact(vcpu.vcpu.wakeups)) wake-ups")
        if vcpu.vcpu.worstPreemptionNanoseconds > 0 {
            let at = Interval.difference(
                vcpu.vcpu.worstPreemptionAtNanoseconds, figures.current.window.startNanoseconds)
            parts.append("worst \(Format.duration(vcpu.vcpu.worstPreemptionNanoseconds)) at \(Format.clock(at))")
        }
        for part in parts where line.cells + 2 + part.cells + 1 <= width { line.append("  " + part, .dim) }
        line.append(" ", .dim)
        if line.cells < width { line.append(String(repeating: "─", count: width - line.cells), .dim) }
        return line.cut(to: width)
    }

    private var states: TextTable {
        var table = TextTable(
            columns: [
                .init(title: "STATE"), .init(title: "NOW %", alignment: .right, rank: 2),
                .init(title: "TOTAL", alignment: .right), .init(title: "%", alignment: .right, rank: 1),
            ], gap: 1)
        let all = StateShares(from: nil, to: vcpu.vcpu.times)
        for state in VCPUState.allCases {
            let total = all.time(state)
            guard total > 0 else { continue }
            let now = vcpu.shares.share(of: vcpu.shares.time(state))
            table.rows.append([
                .init("\(state.glyph) \(state.word)", state.style),
                .init(Format.percent(now), now?.isNothing == true ? .dim : .plain),
                .init(Format.duration(total)), .init(Format.percent(all.share(of: total))),
            ])
        }
        if table.rows.isEmpty { table.rows.append([.init("nothing yet", .dim)]) }
        return table
    }

    private var culprits: TextTable {
        var table = TextTable(
            columns: [
                .init(title: "WHO HAD THE CPU", shrinksTo: 10), .init(title: "TIMES", alignment: .right, rank: 1),
                .init(title: "TIME", alignment: .right),
            ], gap: 1)
        for culprit in vcpu.vcpu.culprits.prefix(DetailPane.height) {
            table.rows.append([
                .init(culprit.label), .init(Format.count(culprit.count)), .init(Format.duration(culprit.nanoseconds)),
            ])
        }
        if table.rows.isEmpty {
            table.rows.append([.init(figures.evidence.hasSchedulerEvents ? "nobody" : Format.unknown, .dim)])
        }
        return table
    }

    private var exits: TextTable {
        var table = TextTable(
            columns: [
                .init(title: "EXIT REASON", shrinksTo: 10), .init(title: "TIMES", alignment: .right, rank: 1),
                .init(title: "TIME", alignment: .right), .init(title: "MEAN", alignment: .right, rank: 2),
            ], gap: 1)
        for exit in vcpu.vcpu.exits.prefix(DetailPane.height) {
            let mean = exit.count > 0 ? exit.nanoseconds / Int64(clamping: exit.count) : 0
            table.rows.append([
                .init(exit.reason), .init(Format.count(exit.count)), .init(Format.duration(exit.nanoseconds)),
                .init(exit.count > 0 ? Format.duration(mean) : Format.unknown),
            ])
        }
        if table.rows.isEmpty { table.rows.append([.init("none", .dim)]) }
        return table
    }
}
