package import SessionLog
package import TraceModel

/// The stretches of time that vCPUs spent in one state each, one by one, over a window of a session.
///
/// They come in the order in which they ended: that of one vCPU is its life, and of several nobody has to wait for the one
/// that sleeps for a minute. What reaches over the window's ends is cut there, so that what is listed adds up to the window.
package final class IntervalListing {
    package struct Selection: Sendable {
        package var from: SessionTime?
        package var to: SessionTime?
        /// A machine's name or process id; nil for all.
        package var machine: String?
        package var vcpu: Int?

        package init() {}
    }

    private let selection: Selection
    private var replay: Replay
    private var window = (from: Int64.min, to: Int64.max)

    package init(_ input: any SessionInput, _ selection: Selection) {
        self.selection = selection
        replay = Replay(input)
    }

    package var shortfall: String? { replay.shortfall }
    /// Everything as it was at the end of the window.
    package var snapshot: Snapshot { replay.snapshot }
    /// Where the session began.
    package var start: HostTime? { replay.facts?.start }

    /// Gives the list piece by piece, until all is told or `take` says that nobody wants more.
    package func run(_ take: ([StateInterval]) throws -> Bool) throws {
        let first = try replay.seek(selection.from ?? .sinceStart(nanoseconds: 0))
        if let from = selection.from {
            window.from = first.nanoseconds
            _ = try replay.snapshot(at: from)
        }
        let end = selection.to.flatMap { to in replay.facts.map { to.instant(in: $0) } }
        if let end { window.to = end.nanoseconds }
        replay.listIntervals(until: end)
        while let part = try replay.nextIntervals() {
            if try !take(wanted(part)) { return }
        }
    }

    private func wanted(_ intervals: [StateInterval]) -> [StateInterval] {
        let name = selection.machine.map { machine in
            Int32(machine).flatMap { replay.name(ofMachine: $0) } ?? machine
        }
        return intervals.compactMap { interval in
            guard selection.vcpu == nil || interval.vcpu == selection.vcpu, name == nil || interval.guest == name else {
                return nil
            }
            var part = interval
            part.startNanoseconds = max(part.startNanoseconds, window.from)
            part.endNanoseconds = min(part.endNanoseconds, window.to)
            return part.startNanoseconds < part.endNanoseconds ? part : nil
        }
        .sorted { ($0.endNanoseconds, $0.startNanoseconds) < ($1.endNanoseconds, $1.startNanoseconds) }
    }
}
