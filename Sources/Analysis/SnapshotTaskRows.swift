import TraceModel

/// The tasks of one guest as rows of the snapshot.
extension Analyzer {
    /// By time on a vCPU, largest first; the rest as `others`.
    func taskRows(of source: GuestSource) -> [Snapshot.GuestTask] {
        var rows = source.tasks.rows
        var isCurrent = [Bool](repeating: false, count: rows.count)
        var others = source.tasks.others
        for cpu in source.cpus where cpu.isKnown {
            var piece = presentPiece(of: cpu)
            if cpu.row >= 0 {
                rows[Int(cpu.row)].add(&piece)
                isCurrent[Int(cpu.row)] = true
            } else if cpu.row == GuestTasks.othersRow {
                others.add(&piece)
            }
        }
        let order = rows.indices.sorted { (rows[$1].total, rows[$0].tid, $0) < (rows[$0].total, rows[$1].tid, $1) }
        var tasks = order.prefix(Limits.tasksPerGuestShown).map { task(rows[$0], isCurrent: isCurrent[$0]) }
        for index in order.dropFirst(Limits.tasksPerGuestShown) { others.add(&rows[index]) }
        if others.total > 0 || others.switches > 0 { tasks.append(task(others, isCurrent: false)) }
        return tasks
    }

    private func presentPiece(of cpu: GuestSource.CPU) -> Overlay {
        if cpu.vcpu >= 0, let piece = vcpus[Int(cpu.vcpu)].presentTask(until: now) { return piece }
        var unseen = Overlay(since: cpu.since)
        unseen.left(.unknown, at: now, exit: nil)
        return unseen
    }

    private func task(_ row: GuestTasks.Row, isCurrent: Bool) -> Snapshot.GuestTask {
        var task = Snapshot.GuestTask(
            tid: row.tid, name: row.comm.isEmpty ? "tid \(row.tid)" : row.comm.text,
            vcpu: row.cpu >= 0 ? Int(row.cpu) : nil, isCurrent: isCurrent, switches: row.switches,
            migrations: row.migrations, worstRobbedNanoseconds: row.worst, worstRobbedAtNanoseconds: row.worstAt,
            uncertainNanoseconds: row.uncertain)
        for state in VCPUState.allCases { task.times[state] = row.times[Int(state.rawValue)] }
        task.robbedBy = (0..<row.exits.count).map { index in
            Snapshot.TaskExit(reason: exitName(row.exits[index].exit), nanoseconds: row.exits[index].nanoseconds)
        }.sorted { ($1.nanoseconds, $0.reason) < ($0.nanoseconds, $1.reason) }
        if row.exits.otherNanoseconds > 0 {
            task.robbedBy.append(Snapshot.TaskExit(reason: "other", nanoseconds: row.exits.otherNanoseconds))
        }
        return task
    }
}
