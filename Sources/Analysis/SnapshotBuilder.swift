package import TraceModel

/// The analysis as values, at the time analyzed so far.
extension Analyzer {
    /// Fills `window`, `host`, `guests` and the checks; sources, clocks and the rest of the health are the collector's.
    ///
    /// `Guest.source` is the raw value of its `SourceID`: only the collector knows the places of sources in a snapshot.
    package func snapshot() -> Snapshot {
        var snapshot = Snapshot(window: Snapshot.Window(startNanoseconds: start, endNanoseconds: now))
        let listed = machines.values.sorted { $0.serial < $1.serial }
        let names = CulpritNames(self, machines: listed)
        snapshot.host.sees.guestMode = host.knowledge.guestMode
        snapshot.host.sees.scheduling = host.knowledge.scheduling
        for cpu in cpus.indices where cpus[cpu].isSeen { snapshot.host.cpus.append(hostCPU(cpu, names)) }

        var slots: [UInt32: [Int]] = [:]
        for slot in vcpus.indices where vcpus[slot].phase != .free {
            slots[vcpus[slot].machine, default: []].append(slot)
        }
        for machine in listed {
            var guest = Snapshot.Guest(name: machine.displayName, vmmPID: machine.vmmPID, vmm: machine.vmm)
            guest.isEmulated = machine.isEmulated
            let source = guests.last { $0.machine == machine.serial }
            var blame = GuestBlame(names)
            for slot in slots[machine.serial] ?? [] {
                let culprits = vcpus[slot].culprits(until: now, occupant: culprit(ofQueue: vcpus[slot].waitCPU))
                blame.add(culprits)
                guest.vcpus.append(vcpu(vcpus[slot], culprits, names, of: source))
            }
            guest.vcpus.sort(by: Self.isListedBefore)
            guest.culprits = blame.culprits
            guest.takenBy = blame.takenBy
            if let source { describe(source, in: &guest) }
            snapshot.guests.append(guest)
        }
        for source in guests where source.machine == 0 && source.cpus.contains(where: \.isSeen) {
            snapshot.guests.append(unlinked(source))
        }
        snapshot.health.checks = checks.rows
        return snapshot
    }

    /// By number; those without one last, the oldest thread first.
    private static func isListedBefore(_ a: Snapshot.VCPU, _ b: Snapshot.VCPU) -> Bool {
        (a.vcpu ?? .max, a.sinceNanoseconds, a.hostTID ?? 0) < (b.vcpu ?? .max, b.sinceNanoseconds, b.hostTID ?? 0)
    }

    private func hostCPU(_ index: Int, _ names: CulpritNames) -> Snapshot.CPU {
        let cpu = cpus[index]
        let times = cpu.times(until: now)
        let comm = cpu.occupant.comm
        var row = Snapshot.CPU(
            cpu: index, task: cpu.tid == 0 && comm.isEmpty ? "swapper/\(index)" : comm.text, tid: cpu.tid,
            busyNanoseconds: times.busy, unknownNanoseconds: times.unknown, switches: cpu.switches)
        if cpu.vcpu >= 0 {
            let vcpu = vcpus[Int(cpu.vcpu)]
            row.guest = names.place(ofMachine: vcpu.machine)
            row.vcpu = vcpu.number >= 0 ? Int(vcpu.number) : nil
        }
        return row
    }

    // MARK: Guests with an agent

    private func describe(_ source: GuestSource, in guest: inout Snapshot.Guest) {
        guest.source = Int(source.id.rawValue)
        guest.taskMigrations = source.migrations
        guest.hasTaskGaps = source.hasGaps
        guest.tasks = taskRows(of: source)
        guest.causality = source.causality.rows
    }

    /// A guest of which only its own events are known: its CPUs are vCPUs whose states nobody can tell.
    private func unlinked(_ source: GuestSource) -> Snapshot.Guest {
        var guest = Snapshot.Guest(name: source.name)
        for cpu in source.cpus.indices where source.cpus[cpu].isSeen {
            var row = Snapshot.VCPU(vcpu: cpu, hostTID: nil, state: .unknown, sinceNanoseconds: start)
            row.times[.unknown] = now - start
            row.guestTask = source.task(on: cpu)?.name
            row.guestTID = source.task(on: cpu)?.tid
            guest.vcpus.append(row)
        }
        describe(source, in: &guest)
        return guest
    }
}
