import ArgumentParser
import Collector
import EventText
import TraceModel
import Views

/// How the list of events looks, in the words of `trace-cmd report` (trace-cmd-report(1)).
struct ListingOptions: ParsableArguments {
    @Option(
        name: .customShort("F"),
        help: ArgumentHelp(
            "Only these events: EVENT[,EVENT][:EXPRESSION], such as 'sched_switch:next_pid == 5'; repeatable.",
            valueName: "filter"))
    var filters: [String] = []

    @Option(help: ArgumentHelp("Only events of these CPUs: 0,2-3.", valueName: "list"))
    var cpu: String?

    @Flag(help: "Show how much later than the line before an event was, in nanoseconds.")
    var tsDiff = false

    @Flag(help: "Times count from the session's start.")
    var alignTs = false

    @Flag(help: "Times are what each machine's own clock read, unconverted; the order stays that of the host's time.")
    var rawTs = false

    @Option(help: ArgumentHelp("Stop after so many events.", valueName: "count"))
    var first: Int?

    @Option(help: ArgumentHelp("Only the last so many lines.", valueName: "count"))
    var last: Int?

    @Flag(help: "No events, but the time of the first one of each CPU.")
    var firstEvent = false

    @Flag(help: "No events, but the time of the last one of each CPU.")
    var lastEvent = false

    var isEmpty: Bool {
        filters.isEmpty && cpu == nil && !tsDiff && !alignTs && !rawTs && first == nil && last == nil && !firstEvent
            && !lastEvent
    }

    func validate() throws {
        for (name, count) in [("--first", first), ("--last", last)] {
            guard (count ?? 1) > 0 else { throw ValidationError("\(name) is a number of events, 1 or more") }
        }
        guard !(firstEvent || lastEvent) || !tsDiff && !alignTs && !rawTs && first == nil && last == nil else {
            throw ValidationError(
                "--first-event and --last-event list no events: of these options, they go with -F and --cpu only")
        }
    }

    var options: EventPrinter.Options {
        var options = EventPrinter.Options()
        options.showsDifference = tsDiff
        options.isRaw = rawTs
        return options
    }

    func selection() throws -> EventListing.Selection {
        var selection = EventListing.Selection()
        selection.filters = try filters.map { text throws(EventFilter.Problem) in try EventFilter(text) }
        selection.isAligned = alignTs
        selection.first = first
        for part in cpu?.split(separator: ",") ?? [] {
            let ends = part.split(separator: "-", maxSplits: 1).map { Int($0) }
            guard let low = ends.first ?? nil, let high = ends.last ?? nil, 0 <= low, low <= high, high < Limits.cpus
            else {
                throw ValidationError("--cpu '\(cpu ?? "")' is no list of CPUs such as 0,2-3")
            }
            selection.cpus.formUnion(low...high)
        }
        return selection
    }

    /// As trace-cmd prints them.
    func lines(of source: EventListing.SourceExtent) -> String {
        var text = "List of CPUs in \(source.name) with data:\n"
        for (number, extent) in source.cpus {
            let times = [
                firstEvent ? "\tFirst event: \(Format.exactSeconds(extent.first.nanoseconds))" : nil,
                lastEvent ? "\tLast event: \(Format.exactSeconds(extent.last.nanoseconds))" : nil,
            ]
            text += "  \(number)\(times.compactMap(\.self).joined())\n"
        }
        return text
    }
}
