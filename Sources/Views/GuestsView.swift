package import TraceModel

/// The machines of this host, for `tandem guests`: what can be traced from here, and how each one is reached.
package enum GuestsView {
    package struct Guest: Hashable, Sendable {
        package enum Agent: Hashable, Sendable {
            case notAsked
            /// What it said of itself, such as its version.
            case answers(String)
            /// Why it did not answer.
            case silent(String)
        }

        package var facts: VMFacts
        package var agent: Agent

        package init(facts: VMFacts, agent: Agent = .notAsked) {
            self.facts = facts
            self.agent = agent
        }
    }

    package static func render(_ guests: [Guest], width: Int) -> Frame {
        guard !guests.isEmpty else {
            let text =
                "No virtual machine was found: no process of this host has vCPU threads that can be seen from here."
            return Frame(lines: text.wrapped(to: width).map { Line($0, .notice) })
        }
        var table = TextTable(columns: [
            .init(title: "VM", shrinksTo: 8), .init(title: "VMM", rank: 1),
            .init(title: "PID", alignment: .right, rank: 1),
            .init(title: "VCPUS", alignment: .right, rank: 2), .init(title: "CID", alignment: .right),
            .init(title: "VCPU THREADS", shrinksTo: 12, rank: 3), .init(title: "AGENT", shrinksTo: 28),
        ])
        for guest in guests {
            let facts = guest.facts
            let threads = facts.vcpuThreads.map { "\($0.tid)" }.joined(separator: " ")
            let agent: TextTable.Cell =
                switch guest.agent {
                case .notAsked: .init("not asked", .dim)
                case .answers(let text): .init("\(VCPUState.running.glyph) \(text)", .running)
                case .silent(let reason): .init("- \(reason)", .notice)
                }
            table.rows.append([
                .init(facts.name, .strong), .init(facts.vmm), .init("\(facts.vmmPID)"),
                facts.vcpuThreads.isEmpty ? .init(Format.unknown, .unknown) : .init("\(facts.vcpuThreads.count)"),
                facts.cid.map { .init("\($0)") } ?? (facts.vsockPaths.isEmpty ? .init("-", .dim) : .init("socket")),
                .init(threads, .dim), agent,
            ])
        }
        return Frame(lines: table.lines(width: width))
    }
}
