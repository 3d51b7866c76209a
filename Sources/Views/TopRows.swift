import TraceModel

/// The rows of the live table in the order in which they are shown.
///
/// Grouped, the vCPUs stand under their machine, machines are ordered by their foremost vCPU, and a machine's own row
/// says what is known about the machine. Flat, all vCPUs compete in one list and carry their machine's name. By machine,
/// there is one row for all vCPUs of each. Sorting is stable: rows with equal values keep the snapshot's order, so nothing
/// dances.
enum TopRow {
    case machine(Int)
    case vcpu(VCPUFigures)
    /// All vCPUs of a machine in one row.
    case machineTotal(MachineFigures)
    /// An agent is connected, and no machine of this host is known to be its own.
    case agentWithoutMachine(Int)
    case hostCPU(Snapshot.CPU)
    case sentence(String)

    /// What the cursor can stand on.
    var id: TopRowID? {
        switch self {
        case .vcpu(let figures): .vcpu(figures.key)
        case .machineTotal(let figures): .machine(figures.key)
        case .hostCPU(let cpu): .hostCPU(cpu.cpu)
        case .machine, .agentWithoutMachine, .sentence: nil
        }
    }
}

package enum TopRowID: Hashable, Sendable {
    case vcpu(VCPUKey)
    case machine(GuestKey)
    case hostCPU(Int)
}

extension TopFigures {
    /// Whether there is a vCPU to show; otherwise the host is shown as it is.
    var hasVCPUs: Bool { vcpus.contains { !$0.isEmpty } }

    func rows(_ options: TopOptions) -> [TopRow] {
        var rows: [TopRow] = []
        let needle = options.filter.lowercased()
        let machines = current.guests.indices.map { index in
            vcpus[index].filter { needle.isEmpty || $0.matches(needle) }
        }
        switch options.grouping {
        case .flat where hasVCPUs:
            rows += sorted(machines.flatMap { $0 }, options) { $0.sortValue($1) }.map { .vcpu($0) }
        case .machines where hasVCPUs:
            let totals = current.guests.indices.filter { needle.isEmpty || current.guests[$0].matches(needle) }
                .map { MachineFigures(self, machine: $0) }
            rows += sorted(totals, options) { $0.sortValue($1) }.map { .machineTotal($0) }
        case .grouped, .flat, .machines:
            let groups = machines.enumerated().map {
                (guest: $0.offset, vcpus: sorted($0.element, options) { $0.sortValue($1) })
            }
            let order = groups.enumerated().sorted { a, b in
                let first = a.element.vcpus.first
                let second = b.element.vcpus.first
                return precedes(
                    options.sort == .vcpu ? nil : first?.sortValue(options.sort),
                    options.sort == .vcpu ? nil : second?.sortValue(options.sort), options,
                    isBefore: a.offset < b.offset)
            }
            for (_, group) in order {
                // A machine without vCPU threads is shown too, unless a filter hides it.
                if group.vcpus.isEmpty, !needle.isEmpty, !current.guests[group.guest].matches(needle) { continue }
                rows.append(.machine(group.guest))
                rows += group.vcpus.map { .vcpu($0) }
            }
        }
        let known = Set(current.guests.compactMap(\.source))
        for (index, source) in current.sources.enumerated() where source.kind == "guest" && !known.contains(index) {
            if needle.isEmpty || source.name.lowercased().contains(needle) { rows.append(.agentWithoutMachine(index)) }
        }
        if !hasVCPUs { rows += current.host.cpus.map { .hostCPU($0) } }
        if rows.isEmpty, !needle.isEmpty { rows.append(.sentence("Nothing matches '\(options.filter)'.")) }
        return rows
    }

    private func sorted<Row>(
        _ rows: [Row], _ options: TopOptions, by value: (Row, TopColumn) -> SortValue?
    ) -> [Row] {
        let values = rows.map { value($0, options.sort) }
        return rows.indices.sorted { a, b in precedes(values[a], values[b], options, isBefore: a < b) }
            .map { rows[$0] }
    }

    private func precedes(_ a: SortValue?, _ b: SortValue?, _ options: TopOptions, isBefore: Bool) -> Bool {
        guard let a, let b else { return a == nil && b == nil ? isBefore : a != nil }
        if a == b { return isBefore }
        return options.isDescending ? b < a : a < b
    }
}

extension VCPUFigures {
    fileprivate func matches(_ needle: String) -> Bool {
        [guestName, vcpu.guestTask ?? "", vcpu.detail ?? "", culprit?.label ?? ""]
            .contains { $0.lowercased().contains(needle) }
    }
}

extension Snapshot.Guest {
    fileprivate func matches(_ needle: String) -> Bool { name.lowercased().contains(needle) }
}
