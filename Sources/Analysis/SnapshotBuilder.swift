package import TraceModel

/// The analysis as values, at the time analyzed so far.
extension Analyzer {
    /// Fills `window`, `host` and `guests`; sources, clocks and health are the collector's.
    package func snapshot() -> Snapshot {
        var snapshot = Snapshot(window: Snapshot.Window(startNanoseconds: start, endNanoseconds: now))
        for cpu in cpus.indices where cpus[cpu].isSeen { snapshot.host.cpus.append(hostCPU(cpu)) }

        let names = CulpritNames(self)
        var rows: [UInt32: [Snapshot.VCPU]] = [:]
        for slot in vcpus.indices where vcpus[slot].phase != .free {
            rows[vcpus[slot].machine, default: []].append(vcpu(vcpus[slot], names))
        }
        for machine in machines.values.sorted(by: { $0.serial < $1.serial }) {
            var guest = Snapshot.Guest(name: machine.name, vmmPID: machine.vmmPID, vmm: machine.vmm)
            guest.vcpus = (rows[machine.serial] ?? []).sorted(by: Self.isListedBefore)
            if let source = guests.last(where: { $0.machine == machine.serial }) {
                for index in guest.vcpus.indices {
                    guard let number = guest.vcpus[index].vcpu, let task = source.task(on: number) else { continue }
                    guest.vcpus[index].guestTask = task.name
                    guest.vcpus[index].guestTID = task.tid
                }
            }
            snapshot.guests.append(guest)
        }
        return snapshot
    }

    /// By number; those without one last, the oldest thread first.
    private static func isListedBefore(_ a: Snapshot.VCPU, _ b: Snapshot.VCPU) -> Bool {
        (a.vcpu ?? .max, a.sinceNanoseconds, a.hostTID ?? 0) < (b.vcpu ?? .max, b.sinceNanoseconds, b.hostTID ?? 0)
    }

    private func hostCPU(_ index: Int) -> Snapshot.CPU {
        let cpu = cpus[index]
        let times = cpu.times(until: now)
        let comm = cpu.occupant.comm
        return Snapshot.CPU(
            cpu: index, task: cpu.tid == 0 && comm.isEmpty ? "swapper/\(index)" : comm.text, tid: cpu.tid,
            busyNanoseconds: times.busy, unknownNanoseconds: times.unknown, switches: cpu.switches)
    }

    private func vcpu(_ vcpu: VCPU, _ names: CulpritNames) -> Snapshot.VCPU {
        var row = Snapshot.VCPU(
            vcpu: vcpu.number >= 0 ? Int(vcpu.number) : nil, hostTID: vcpu.tid, state: vcpu.state,
            sinceNanoseconds: vcpu.since, times: vcpu.times(until: now))
        let occupant = culprit(ofQueue: vcpu.waitCPU)
        row.detail = detail(vcpu, occupant, names)
        let cpu = vcpu.state.isReady ? vcpu.waitCPU : vcpu.cpu
        row.hostCPU = cpu == VCPU.nowhere ? nil : Int(cpu)
        row.preemptions = vcpu.preemptions
        row.wakeups = vcpu.wakeups
        row.migrations = vcpu.migrations
        let worst = vcpu.worstPreemption(until: now)
        row.worstPreemptionNanoseconds = worst.length
        row.worstPreemptionAtNanoseconds = worst.start
        row.culprits = names.rows(vcpu.culprits(until: now, occupant: occupant))
        let exits = vcpu.exits(until: now)
        row.exitCount = exits.total
        row.exits = self.exits(exits)
        return row
    }

    private func detail(_ vcpu: VCPU, _ occupant: Occupant, _ names: CulpritNames) -> String? {
        if vcpu.phase == .retired { return "thread ended" }
        switch vcpu.state {
        case .hypervisor, .userspace, .polling, .halted, .blocked:
            return vcpu.exits.exit(of: vcpu.currentExit).map(exitName)
        case .preempted, .waking:
            return names.culprit(occupant, count: 0, nanoseconds: 0).label
        case .running, .onCPU, .unknown:
            return nil
        }
    }

    private func exitName(_ exit: ExitCode) -> String {
        switch exit.isa {
        case .vmx, .svm: exitReasonName.name(UInt64(exit.reason), UInt64(exit.isa.rawValue)) ?? exit.name
        case .arm64, .none: exit.name
        }
    }

    /// By time, largest first; the reasons for which there was no room as `other`, last.
    private func exits(_ table: ExitTable) -> [Snapshot.Exit] {
        var rows = table.rows.map {
            Snapshot.Exit(reason: exitName($0.exit), count: $0.count, nanoseconds: $0.nanoseconds)
        }
        rows.sort { ($1.nanoseconds, $1.count, $0.reason) < ($0.nanoseconds, $0.count, $1.reason) }
        if table.other.count > 0 {
            rows.append(
                Snapshot.Exit(reason: "other", count: table.other.count, nanoseconds: table.other.nanoseconds))
        }
        return rows
    }
}

/// Gives culprits their names: which of them are vCPUs, and of which machine.
private struct CulpritNames {
    private let analyzer: Analyzer
    private let slotBySerial: [UInt32: Int]

    init(_ analyzer: Analyzer) {
        self.analyzer = analyzer
        let listed = analyzer.vcpus.indices.filter { analyzer.vcpus[$0].phase != .free }
        slotBySerial = Dictionary(
            listed.map { (analyzer.vcpus[$0].serial, $0) }, uniquingKeysWith: { first, _ in first })
    }

    /// By time, largest first; what the table could not keep as `other`, last.
    func rows(_ table: CulpritTable) -> [Snapshot.Culprit] {
        var rows = table.rows.map { culprit($0.occupant, count: $0.count, nanoseconds: $0.nanoseconds) }
        rows.sort { ($1.nanoseconds, $0.tid, $0.name) < ($0.nanoseconds, $1.tid, $1.name) }
        if table.otherCount > 0 {
            rows.append(
                Snapshot.Culprit(
                    kind: .unknown, name: "other", tid: Occupant.unknownTID, count: table.otherCount,
                    nanoseconds: table.otherNanoseconds))
        }
        return rows
    }

    func culprit(_ occupant: Occupant, count: UInt64, nanoseconds: Int64) -> Snapshot.Culprit {
        var row = Snapshot.Culprit(
            kind: .task, name: occupant.comm.isEmpty ? "tid \(occupant.tid)" : occupant.comm.text, tid: occupant.tid,
            count: count, nanoseconds: nanoseconds)
        if occupant.tid == Occupant.unknownTID {
            row.kind = .unknown
            row.name = "unknown"
        } else if occupant.vcpuSerial != 0 {
            row.kind = .vcpu
            if let slot = slotBySerial[occupant.vcpuSerial] { describe(slot, in: &row) }
        } else if let slot = analyzer.slotByTID[occupant.tid], analyzer.vcpus[Int(slot)].comm == occupant.comm {
            // It had the CPU before it was known to be a vCPU.
            row.kind = .vcpu
            describe(Int(slot), in: &row)
        } else if analyzer.kernelThreads.contains(occupant.tid, name: row.name) {
            row.kind = .kernel
        }
        return row
    }

    private func describe(_ slot: Int, in row: inout Snapshot.Culprit) {
        let vcpu = analyzer.vcpus[slot]
        row.guest = analyzer.machines[vcpu.machine]?.name
        row.vcpu = vcpu.number >= 0 ? Int(vcpu.number) : nil
    }
}

extension Snapshot.Culprit {
    /// In one word or two: `web1/0` for a vCPU, the name for anything else.
    fileprivate var label: String {
        guard let guest else { return name }
        return vcpu.map { "\(guest)/\($0)" } ?? guest
    }
}
