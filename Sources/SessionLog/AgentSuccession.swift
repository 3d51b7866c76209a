package import TraceModel
import Wire

/// Which agents of a session had one machine one after the other, so that all they sent can be one trace of an export.
///
/// A trace has one set of formats and belongs to one process on the host. An agent that was restarted has both of its
/// predecessor, and so has that of a guest that was reset; where another kernel was booted, or the machine was started anew,
/// a new trace begins.
package struct AgentSuccession: Sendable {
    private struct Opening {
        var id: SourceID
        var prepared: Prepared
        var formats: [FormatMessage]

        func canGoOn(_ former: Opening) -> Bool {
            id.isSameMachine(as: former.id) && formats == former.formats
                && prepared.byteOrder == former.prepared.byteOrder && prepared.longSize == former.prepared.longSize
        }
    }

    private var openings: [Opening] = []
    private var links: [SourceID: Int32] = [:]

    package init() {}

    /// To be given every input of the session.
    package mutating func take(_ input: PipelineInput) {
        switch input {
        case .record(.sourceOpened(let id, let facts, let formats, _)) where !facts.isHost:
            guard !openings.contains(where: { $0.id == id }) else { return }
            openings.append(Opening(id: id, prepared: facts.prepared, formats: formats))
        case .record(.link(let id, let vmmPID, _)): links[id] = vmmPID
        default: break
        }
    }

    /// Of each agent that goes on with a trace, the one that began it.
    package var firsts: [SourceID: SourceID] {
        var firsts: [SourceID: SourceID] = [:]
        for (index, opening) in openings.enumerated() {
            guard let former = openings[..<index].last(where: { $0.id.isSameMachine(as: opening.id) }),
                opening.canGoOn(former), links[opening.id] == links[former.id]
            else { continue }
            firsts[opening.id] = firsts[former.id] ?? former.id
        }
        return firsts
    }
}

extension EventBatch {
    /// The same with a loss of unknown size before event `index`: nobody traced there.
    package func missingEvents(before index: Int) -> EventBatch {
        var batch = self
        let place = losses.firstIndex { $0.index >= index } ?? losses.count
        batch.losses.insert(LossMark(index: index, place: .agent, count: nil), at: place)
        return batch
    }
}
