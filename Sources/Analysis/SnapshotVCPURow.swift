import TraceModel

/// One vCPU as a row of the snapshot.
extension Analyzer {
    func vcpu(
        _ vcpu: VCPU, _ culprits: CulpritTable, _ names: CulpritNames, of source: GuestSource?
    ) -> Snapshot.VCPU {
        var row = Snapshot.VCPU(
            vcpu: vcpu.number >= 0 ? Int(vcpu.number) : nil, hostTID: vcpu.tid, state: vcpu.state,
            sinceNanoseconds: vcpu.since, times: vcpu.times(until: now))
        row.detail = detail(vcpu, names)
        let cpu = vcpu.state.isReady ? vcpu.waitCPU : vcpu.cpu
        row.hostCPU = cpu == VCPU.nowhere ? nil : Int(cpu)
        row.preemptions = vcpu.preemptions
        row.wakeups = vcpu.wakeups
        row.migrations = vcpu.migrations
        let worst = vcpu.worstPreemption(until: now)
        row.worstPreemptionNanoseconds = worst.length
        row.worstPreemptionAtNanoseconds = worst.start
        row.culprits = names.rows(culprits)
        let exits = vcpu.exits(until: now)
        row.exitCount = exits.total
        row.exits = self.exits(exits)
        row.exitReason = vcpu.exits.exit(of: vcpu.currentExit).map(exitName)
        row.isLowerBound = vcpu.hasGaps
        row.ready = vcpu.ready.summary
        row.wakeUpLatency = vcpu.wakeUpLatency.summary
        row.wakeUpReasons = vcpu.wakeUps.rows
        row.halts = Snapshot.Halts(
            polled: vcpu.wakeUps.polled, slept: vcpu.wakeUps.slept, pollLimitNanoseconds: vcpu.haltPollLimit)
        row.steal = vcpu.steal?.row
        if let source, vcpu.number >= 0 { addTask(of: source, vcpu, to: &row) }
        return row
    }

    private func addTask(of source: GuestSource, _ vcpu: VCPU, to row: inout Snapshot.VCPU) {
        let number = Int(vcpu.number)
        if let task = source.task(on: number) {
            row.guestTask = task.name
            row.guestTID = task.tid
        }
        guard let present = vcpu.presentTask(until: now) else { return }
        var running = vcpu.guestRunning
        running.add(
            present.inside, uncertain: present.uncertainInside,
            of: source.cpus.indices.contains(number) ? source.kind(on: number) : .unknown)
        row.guestRunning = Snapshot.GuestRunning(
            busyNanoseconds: running.busy, idleNanoseconds: running.idle, unknownNanoseconds: running.unknown,
            uncertainNanoseconds: running.uncertain, isUncertainNow: running.isUncertain(at: now))
    }

    private func detail(_ vcpu: VCPU, _ names: CulpritNames) -> String? {
        switch vcpu.state {
        case .hypervisor, .userspace, .polling, .halted, .blocked:
            return vcpu.exits.exit(of: vcpu.currentExit).map(exitName)
        case .preempted, .waking:
            return names.culprit(culprit(ofQueue: vcpu.waitCPU), count: 0, nanoseconds: 0).label
        case .unknown: return vcpu.unknownCause.rawValue
        case .running, .onCPU: return nil
        }
    }

    /// By the host's own `kvm_exit` format, else by the kernel's headers. A format whose only table holds for every `isa` names
    /// exits of an unknown one, too.
    func exitName(_ exit: ExitCode) -> String {
        switch exit.isa {
        case .vmx:
            // The format's table has the basic reason; what else is in it, its text prints behind.
            let name = exitReasonName.name(UInt64(exit.reason & 0xffff), UInt64(exit.isa.rawValue))
            return name.map { $0 + exit.flags } ?? exit.name
        case .svm, .none: return exitReasonName.name(UInt64(exit.reason), UInt64(exit.isa.rawValue)) ?? exit.name
        case .arm64: return exit.name
        }
    }

    /// By time, largest first; the reasons for which there was no room as `other`, last.
    private func exits(_ table: ExitTable) -> [Snapshot.Exit] {
        var rows = table.rows.indices.map { index in
            let row = table.rows[index]
            return Snapshot.Exit(
                reason: exitName(row.exit), count: row.count, nanoseconds: row.nanoseconds,
                handling: table.handling(of: index))
        }
        rows.sort { ($1.nanoseconds, $1.count, $0.reason) < ($0.nanoseconds, $0.count, $1.reason) }
        if table.other.count > 0 {
            rows.append(
                Snapshot.Exit(reason: "other", count: table.other.count, nanoseconds: table.other.nanoseconds))
        }
        return rows
    }
}
