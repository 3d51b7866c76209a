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
    private var printer: EventPrinter
    private var pipeline = CollectorPipeline()
    private var buffer = LineBuffer()
    /// By place of the source in the printer, then by event type; nil where nothing is wanted.
    private var filters: [[[BoundFilter]]] = []
    private var window = (from: Int64.min, to: Int64.max)
    private var linesLeft: Int
    private static let chunkBytes = 256 << 10
    /// Nil while lines are wanted. By place of the source in the printer.
    private var found: [[Int: CPUExtent]]?

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
        printer = EventPrinter(options: options)
        linesLeft = selection.first ?? .max
    }

    package var shortfall: String? { input.shortfall }

    /// Instead of the text, from when until when each CPU has events that were selected.
    package func extents() throws -> [SourceExtent] {
        found = []
        try run { _ in true }
        return (found ?? []).enumerated().map { place, cpus in
            SourceExtent(
                name: printer.name(of: place), cpus: cpus.sorted { $0.key < $1.key }.map { ($0.key, $0.value) })
        }
    }

    /// Gives the text piece by piece, until all is told or `write` says that nobody wants more.
    package func run(_ write: (UnsafeRawBufferPointer) throws -> Bool) throws {
        pipeline.divert { [unowned self] placed, range in self.take(placed, range) }
        while linesLeft > 0, pipeline.horizon.nanoseconds <= window.to, let next = try input.next() {
            pipeline.apply(next)
            if case .record(let record) = next { note(record) }
            guard buffer.byteCount >= EventListing.chunkBytes else { continue }
            var isWanted = true
            try buffer.take { isWanted = try write($0) }
            if !isWanted { return }
        }
        try buffer.take { _ = try write($0) }
    }

    private func note(_ record: LogRecord) {
        switch record {
        case .session(let facts):
            window.from = selection.from?.instant(in: facts).nanoseconds ?? .min
            window.to = selection.to?.instant(in: facts).nanoseconds ?? .max
            var options = options
            if selection.isAligned { options.origin = facts.start }
            printer = EventPrinter(options: options)
            filters = []
        case .sourceOpened(let source, let facts, _, let tasks):
            guard let table = pipeline.sources.first(where: { $0.id == source })?.formats else { return }
            printer.open(
                source, name: facts.name, formats: table, tasks: tasks.tasks.map { ($0.tid, Comm($0.comm)) })
            guard let place = printer.place(of: source) else { return }
            if filters.count > place { filters.remove(at: place) }
            filters.insert(
                table.formats.map { format in
                    selection.filters.compactMap { $0.bound(to: format, byteOrder: table.byteOrder) }
                }, at: min(place, filters.count))
        default: break
        }
    }

    private func take(_ placed: PlacedBatch, _ range: Range<Int>) {
        let cpu = placed.batch.cpu
        guard selection.cpus.isEmpty || selection.cpus.contains(cpu), let place = printer.place(of: placed.source)
        else {
            return
        }
        let records = placed.batch.records.span.bytes
        let hasLosses = !placed.batch.losses.isEmpty
        for index in range {
            let time = placed.times[index]
            guard time.nanoseconds >= window.from, time.nanoseconds <= window.to, linesLeft > 0 else { continue }
            if hasLosses, found == nil {
                for loss in placed.batch.losses where loss.index == index {
                    printer.print(loss, cpu: cpu, of: place, into: &buffer)
                }
            }
            let header = placed.batch.headers[index]
            if !selection.filters.isEmpty, !isWanted(header, records, cpu, place) { continue }
            if found != nil {
                note(time, cpu: cpu, of: place)
                continue
            }
            printer.print(header, in: records, cpu: cpu, at: time, of: place, into: &buffer)
            linesLeft -= 1
        }
        if hasLosses, found == nil, range.upperBound == placed.batch.headers.count {
            for loss in placed.batch.losses where loss.index == range.upperBound {
                printer.print(loss, cpu: cpu, of: place, into: &buffer)
            }
        }
    }

    private func note(_ time: HostTime, cpu: Int, of place: Int) {
        while found?.count ?? 0 <= place { found?.append([:]) }
        found?[place][cpu, default: CPUExtent(first: time, last: time)].last = time
    }

    private func isWanted(_ header: EventHeader, _ records: borrowing RawSpan, _ cpu: Int, _ place: Int) -> Bool {
        guard filters.indices.contains(place), filters[place].indices.contains(Int(header.typeIndex)) else {
            return false
        }
        for filter in filters[place][Int(header.typeIndex)]
        where filter.matches(header, in: records, cpu: cpu, comm: printer.comm(header.pid, of: place)) { return true }
        return false
    }
}
