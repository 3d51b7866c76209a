package import EventText
package import SessionLog
import Timeline
package import TraceModel
import Wire

/// The events of a session, of all its machines in one order, as text: the merge of the pipeline without its analysis.
package final class EventListing {
    package struct Selection: Sendable {
        /// Instants of the session; nil at either side means its end there.
        package var from: SessionTime?
        package var to: SessionTime?
        /// CPU numbers, of whatever machine; empty for all.
        package var cpus: Set<Int> = []
        /// An event is shown when it matches any; without a filter all are.
        package var filters: [EventFilter] = []
        /// Lines after which it is enough.
        package var first: Int?
        /// Times count from the session's start.
        package var isAligned = false

        package init() {}
    }

    private let input: any SessionInput
    private let selection: Selection
    private let options: EventPrinter.Options
    private var pipeline = CollectorPipeline()
    private let taker: Taker
    private static let chunkBytes = 256 << 10

    /// When the first and the last event of a CPU were.
    package struct CPUExtent: Hashable, Sendable {
        package var first: HostTime
        package var last: HostTime
    }

    /// A machine, and its CPUs that have events, ascending.
    package struct SourceExtent: Sendable {
        package var name: String
        package var cpus: [(number: Int, extent: CPUExtent)]
    }

    package init(_ input: any SessionInput, _ selection: Selection, _ options: EventPrinter.Options) {
        self.input = input
        self.selection = selection
        self.options = options
        taker = Taker(EventLines(selection, options))
    }

    /// What the pipeline gives its runs to; the list is held by one value, so that it is looked at once for a run, and not
    /// at every field for every event, whether somebody else uses it.
    private final class Taker {
        var lines: EventLines

        init(_ lines: EventLines) { self.lines = lines }
    }

    package var shortfall: String? { input.shortfall }

    /// Instead of the text, from when until when each CPU has events that were selected.
    package func extents() throws -> [SourceExtent] {
        taker.lines.found = []
        try run { _ in true }
        return (taker.lines.found ?? []).enumerated().map { place, cpus in
            SourceExtent(
                name: taker.lines.printer.name(of: place),
                cpus: cpus.sorted { $0.key < $1.key }.map { ($0.key, $0.value) })
        }
    }

    /// Gives the text piece by piece, until all is told or `write` says that nobody wants more.
    package func run(_ write: (UnsafeRawBufferPointer) throws -> Bool) throws {
        try seek()
        pipeline.divert { [taker] placed, range in taker.lines.take(placed, range) }
        while taker.lines.wantsMore(from: pipeline.horizon), let next = try input.next() {
            pipeline.apply(next)
            if case .record(let record) = next { note(record) }
            guard taker.lines.buffer.byteCount >= EventListing.chunkBytes else { continue }
            var isWanted = true
            try taker.lines.buffer.take { isWanted = try write($0) }
            if !isWanted { return }
        }
        try taker.lines.buffer.take { _ = try write($0) }
    }

    /// Goes as close before the first instant that is wanted as the recording's index knows a way.
    private func seek() throws {
        guard let from = selection.from, let recorded = input as? RecordedInput else { return }
        while pipeline.facts == nil, let next = try input.next() {
            pipeline.apply(next)
            if case .record(let record) = next { note(record) }
        }
        // What was analyzed before a checkpoint is not told again: not even what happened in its last nanosecond.
        guard let before = pipeline.facts.map({ from.instant(in: $0).advanced(by: -1) }),
            let resumption = try recorded.resume(notAfter: before, after: pipeline.analyzedUntil, extends: false)
        else { return }
        pipeline = resumption.pipeline
        for record in resumption.openings { note(record) }
    }

    private func note(_ record: LogRecord) {
        switch record {
        case .session(let facts): taker.lines.begin(facts, selection, options)
        case .sourceOpened(let source, let facts, _, let tasks):
            guard let table = pipeline.sources.first(where: { $0.id == source })?.formats else { return }
            taker.lines.open(source, facts.name, table, tasks, selection.filters)
        default: break
        }
    }
}
