import EventText
import SessionLog
import Timeline
import TraceModel
import Wire

/// The lines of a list of events, made run by run as the merge releases them.
struct EventLines {
    private(set) var printer: EventPrinter
    var buffer = LineBuffer()
    /// Nil while lines are wanted. By place of the source in the printer.
    var found: [[Int: EventListing.CPUExtent]]?
    private let cpus: Set<Int>
    private let hasFilters: Bool
    /// By place of the source in the printer, then by event type.
    private var filters: [[[BoundFilter]]] = []
    private var window = (from: Int64.min, to: Int64.max)
    private var linesLeft: Int
    /// The latest time that was seen.
    private var reached = Int64.min

    init(_ selection: EventListing.Selection, _ options: EventPrinter.Options) {
        printer = EventPrinter(options: options)
        cpus = selection.cpus
        hasFilters = !selection.filters.isEmpty
        linesLeft = selection.first ?? .max
    }

    func wantsMore(from horizon: HostTime) -> Bool { linesLeft > 0 && horizon.nanoseconds <= window.to }

    mutating func begin(_ facts: SessionFacts, _ selection: EventListing.Selection, _ options: EventPrinter.Options) {
        window.from = selection.from?.instant(in: facts).nanoseconds ?? .min
        window.to = selection.to?.instant(in: facts).nanoseconds ?? .max
        var options = options
        if selection.isAligned { options.origin = facts.start }
        printer = EventPrinter(options: options)
        filters = []
    }

    mutating func open(
        _ source: SourceID, _ name: String, _ table: FormatTable, _ tasks: TaskNamesMessage, _ wanted: [EventFilter]
    ) {
        printer.open(source, name: name, formats: table, tasks: tasks.tasks.map { ($0.tid, Comm($0.comm)) })
        guard let place = printer.place(of: source) else { return }
        if filters.count > place { filters.remove(at: place) }
        filters.insert(
            table.formats.map { format in
                wanted.compactMap { $0.bound(to: format, byteOrder: table.byteOrder) }
            }, at: min(place, filters.count))
    }

    mutating func take(_ placed: borrowing PlacedBatch, _ range: Range<Int>) {
        let cpu = placed.batch.cpu
        guard cpus.isEmpty || cpus.contains(cpu), let source = printer.place(of: placed.source) else { return }
        let records = placed.batch.records.span.bytes
        let hasLosses = !placed.batch.losses.isEmpty
        for index in range {
            let time = placed.times[index]
            guard time.nanoseconds >= window.from, time.nanoseconds <= window.to, linesLeft > 0 else { continue }
            if hasLosses { tell(placed.batch.losses, at: index, cpu: cpu, of: source) }
            let header = placed.batch.headers[index]
            if hasFilters, !isWanted(header, records, cpu, source) { continue }
            if found != nil {
                note(time, cpu: cpu, of: source)
                continue
            }
            printer.print(header, in: records, cpu: cpu, at: time, of: source, into: &buffer)
            linesLeft -= 1
        }
        if let last = range.last { reached = max(reached, placed.times[last].nanoseconds) }
        // Those behind the last event are where that is, and those of a CPU without any, where the list is.
        let place = placed.times.last?.nanoseconds ?? reached
        if hasLosses, range.upperBound == placed.batch.headers.count, place >= window.from, place <= window.to {
            tell(placed.batch.losses, at: range.upperBound, cpu: cpu, of: source)
        }
    }

    private mutating func tell(_ losses: [LossMark], at index: Int, cpu: Int, of place: Int) {
        guard found == nil else { return }
        for loss in losses where loss.index == index { printer.print(loss, cpu: cpu, of: place, into: &buffer) }
    }

    private mutating func note(_ time: HostTime, cpu: Int, of place: Int) {
        while found?.count ?? 0 <= place { found?.append([:]) }
        found?[place][cpu, default: EventListing.CPUExtent(first: time, last: time)].last = time
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
