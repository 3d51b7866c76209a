import SessionLog
import Timeline
import TraceModel

/// Agents that were restarted: another source of the same machine.
///
/// A machine's agents follow each other, and each is a source of its own until all that it sent is analyzed: nothing of one
/// can be read by the formats of the next or placed by its clock. In figures a machine is one source, and its books are
/// those of all its agents together.
extension CollectorPipeline {
    /// The agent whose place `id` takes; whatever is still to come of it comes no more.
    mutating func closeFormer(of id: SourceID) -> Int? {
        let former = sources.lastIndex { $0.id < id && $0.id.isSameMachine(as: id) && !$0.facts.isHost }
        guard let former, !sources.contains(where: { $0.id == id }) else { return nil }
        if case .live = sources[former].state { close(former, "another agent answers", isFailure: true) }
        endIfSettled(former, isForced: true)
        return former
    }

    mutating func close(_ index: Int, _ reason: String, isFailure: Bool) {
        sources[index].state = isFailure ? .gone(reason) : .drained
        sources[index].closing = arrival
        sources[index].closedAt = hostNow
    }

    mutating func succeed(_ former: Int, by source: CollectorSource) {
        var source = source
        let away = sources[former].succeed(at: hostNow)
        source.note(away: away.awayNanoseconds, away.reason, returns: sources[former].returns + 1)
        sources.insert(source, at: former + 1)
        anomalies.add(.agentReturned)
        dropSucceeded()
    }

    /// Those whose last events are analyzed go, and leave their books to their successors.
    mutating func dropSucceeded() {
        // Whoever makes a better map afterwards needs the measurements of all.
        guard !keepsClockJournals else { return }
        while let index = sources.firstIndex(where: { $0.isSucceeded && $0.hasEnded && !isUnsettled($0.id) }) {
            let former = sources.remove(at: index)
            if sources.indices.contains(index) { sources[index].absorb(former, merger: merger) }
            merger.removeSource(former.id)
            guestMode.remove(former.id)
        }
    }

    /// The analysis has not seen its end.
    private func isUnsettled(_ source: SourceID) -> Bool { unheard.contains(.gone(source)) || merger.holds(source) }

    /// One for each machine.
    var machineSources: [CollectorSource] {
        guard sources.contains(where: \.isSucceeded) else { return sources }
        var machines: [CollectorSource] = []
        for source in sources {
            var source = source
            if let former = machines.last, former.isSucceeded, former.id.isSameMachine(as: source.id) {
                machines.removeLast()
                source.absorb(former, merger: merger)
            }
            machines.append(source)
        }
        return machines
    }
}
