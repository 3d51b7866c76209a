import Collector
import Foundation
import SessionLog
import TraceModel
import Wire

/// A recording of the lab (Tests/Fixtures/two-guests: g1 has Linux 6.1, g2 6.12), changed: in its middle the agent of g1 is
/// gone, and another one answers later.
struct ReturnedSession {
    enum Successor {
        /// The same guest goes on, as after the restart of its agent.
        case sameKernel
        /// g1 was started anew with another kernel: what g2 sent from then on is g1's.
        case otherKernel
        /// The same, under a name of its own: what it says when nothing can be confused.
        case anotherGuest
    }

    static let first = SourceID(1)
    static let second = SourceID(1 + 1 << 16)
    private static let third = SourceID(3)

    private(set) var inputs: [PipelineInput] = []
    /// When the first agent was gone, and when the second one answered.
    private(set) var gone: HostTime
    private(set) var back: HostTime
    /// Host time where the host's counter begins: files of trace-cmd have none.
    private(set) var zero: Int64 = 0

    init(_ successor: Successor) throws {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Fixtures/two-guests").path
        let reader = RecordedInput(try LogReader(opening: folder))
        var recorded: [PipelineInput] = []
        while let next = try reader.next() { recorded.append(next) }
        let goneAt = recorded.count * 2 / 5
        let backAt = recorded.count * 11 / 20
        gone = HostTime(nanoseconds: 0)
        back = gone
        let donor = successor == .sameKernel ? Self.first : SourceID(2)
        let next = successor == .anotherGuest ? Self.third : Self.second
        var scale: TSCScale?
        var opening: [PipelineInput] = []
        for (index, input) in recorded.enumerated() {
            if case .record(.clock(.host, .scale(let told))) = input { (scale, zero) = (told, told.zero) }
            if case .record(.message(.host, .watermark(let ticks))) = input {
                let time =
                    scale?.hostTime(ticks.rawValue) ?? HostTime(nanoseconds: Int64(clamping: ticks.rawValue))
                if index <= goneAt { gone = time }
                if index <= backAt { back = time }
            }
            if index == goneAt {
                inputs.append(
                    .record(.sourceClosed(Self.first, reason: "the agent closed the connection", isFailure: true)))
            }
            if index == backAt { inputs += opening.compactMap { Self.moved($0, from: donor, to: next) } }
            if index < backAt, input.isOpening(of: donor) { opening.append(input) }
            switch input.source {
            case donor where index >= backAt: Self.moved(input, from: donor, to: next).map { inputs.append($0) }
            case Self.first: if index < goneAt { inputs.append(input) }
            case donor: break
            default: inputs.append(input)
            }
        }
    }

    private static func moved(_ input: PipelineInput, from: SourceID, to: SourceID) -> PipelineInput? {
        guard case .record(let record) = input else { return nil }
        switch record {
        case .sourceOpened(_, var facts, let formats, let names):
            facts.name = to == third ? "other" : "g1"
            return .record(.sourceOpened(to, facts, formats: formats, names: names))
        case .message(_, let message): return .record(.message(to, message))
        case .probe(_, let probe): return .record(.probe(to, probe))
        case .clock(_, let clock): return .record(.clock(to, clock))
        case .link(_, let pid, let evidence): return .record(.link(to, vmmPID: pid, evidence: evidence))
        case .sourceClosed(_, let reason, let isFailure):
            return .record(.sourceClosed(to, reason: reason, isFailure: isFailure))
        default: return input
        }
    }

    /// As `SessionInput` gives it.
    var input: some SessionInput { Given(inputs) }

    final class Given: SessionInput {
        private var rest: ArraySlice<PipelineInput>

        init(_ inputs: [PipelineInput]) { rest = inputs[...] }

        func next() -> PipelineInput? { rest.popFirst() }
        let shortfall: String? = nil
        let progress = 1.0
    }
}

extension PipelineInput {
    /// Whose it is; nil for what concerns the session.
    fileprivate var source: SourceID? {
        switch self {
        case .batch(let source, _), .record(.sourceOpened(let source, _, _, _)), .record(.message(let source, _)),
            .record(.probe(let source, _)), .record(.clock(let source, _)), .record(.link(let source, _, _)),
            .record(.symbols(let source, _)), .record(.sourceClosed(let source, _, _)):
            source
        default: nil
        }
    }

    /// What an agent that is set up is told with.
    fileprivate func isOpening(of other: SourceID) -> Bool {
        guard source == other else { return false }
        switch self {
        case .record(.sourceOpened), .record(.clock), .record(.link): return true
        default: return false
        }
    }
}
