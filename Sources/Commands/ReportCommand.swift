import ArgumentParser
import Collector
import EventText
import Foundation
import SessionLog
import TraceModel
import Views

/// `tandem report`: what a session was, as a summary, at an instant, or event by event.
struct ReportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "report", abstract: "What a session was: summary, any instant, any window, every event.",
        discussion: """
            Instants count from the session's start: 12.5 (seconds), 500ms; or @8131.000204112, a time that a list of events \
            shows.

              tandem report run.tandem                        totals of the whole session
              tandem report run.tandem --at 12.5              every machine, vCPU and guest task at that instant
              tandem report run.tandem --from 10 --to 12      what happened in between
              tandem report run.tandem --vm web1 --vcpu 0     all about one vCPU; without --vcpu, about the machine
              tandem report run.tandem --intervals --vm web1 --vcpu 0 --from 10 --to 10.1
              tandem report run.tandem --events -F 'sched_switch:next_pid == 0' --ts-diff
              tandem report trace.dat -A trace-g1.dat         the same of what trace-cmd recorded
            """)

    @OptionGroup var session: SessionFileArguments

    @Option(help: ArgumentHelp("The state of everything at this instant.", valueName: "time"))
    var at: SessionTime?

    @Option(help: ArgumentHelp("The beginning of the window.", valueName: "time"))
    var from: SessionTime?

    @Option(help: ArgumentHelp("The end of the window.", valueName: "time"))
    var to: SessionTime?

    @Option(help: ArgumentHelp("All about this machine, by name or process id.", valueName: "name"))
    var vm: String?

    @Option(help: ArgumentHelp("All about this vCPU of --vm.", valueName: "number"))
    var vcpu: Int?

    @Option(help: "Output format: table, json or csv.")
    var format = OutputFormat.table

    @Option(
        help: ArgumentHelp(
            "Rows of --format csv: \(CSVTable.allCases.map(\.rawValue).joined(separator: ", ")).", valueName: "name"))
    var table = CSVTable.vcpus

    @Flag(
        help: "Convert the guests' times by everything that was measured, before and after: reads the session twice.")
    var resync = false

    @Flag(help: "List what state each vCPU was in, from when to when, in the order in which that ended.")
    var intervals = false

    @Flag(help: "List the events of all machines in one order.")
    var events = false

    @OptionGroup(title: "Options of --events") var listing: ListingOptions

    func validate() throws {
        guard at == nil || from == nil && to == nil && !events && !intervals else {
            throw ValidationError("--at is one instant: it goes with none of --from, --to, --events and --intervals")
        }
        guard vcpu == nil || vm != nil else { throw ValidationError("--vcpu is one of a machine: name it with --vm") }
        guard vm == nil || intervals || from == nil && to == nil && !events && format == .table else {
            throw ValidationError(
                "--vm shows a page of totals: it goes with --at and --intervals, but with none of --from, --to, --events "
                    + "and --format")
        }
        guard !events || !intervals else { throw ValidationError("--events and --intervals are two lists") }
        guard !events || format == .table else { throw ValidationError("--events has no --format: it is text") }
        guard events || listing.isEmpty else {
            throw ValidationError("-F, --cpu, the times and the first and last are options of --events")
        }
    }

    func run() throws {
        let input = try openInput()
        if events { return try list(input) }
        if intervals { return try listIntervals(input) }
        // What has no index is read up to the instant, which may take minutes.
        let waiting = WaitingLine("reading")
        var replay = Replay(input) { waiting.step($0()) }
        if let at {
            let snapshot = try replay.snapshot(at: at)
            waiting.clear()
            let page = try page(of: snapshot)
            emit(snapshot, before: nil) { (page ?? InstantView.render(snapshot, width: $0)).plainText }
        } else if from != nil || to != nil {
            let before = try from.map { try replay.snapshot(at: $0) }
            let after = try to.map { try replay.snapshot(at: $0) } ?? replay.end()
            waiting.clear()
            emit(after, before: before) { width in
                TopView.text(current: after, previous: before, options: Self.plain, width: width).plainText
            }
        } else {
            let snapshot = try replay.end()
            waiting.clear()
            let page = try page(of: snapshot)
            emit(snapshot, before: nil) { (page ?? SummaryView.render(snapshot, width: $0)).plainText }
        }
        if let shortfall = replay.shortfall { throw SessionArguments.Problem(description: shortfall) }
    }

    /// The page that --vm and --vcpu ask for; nil without them.
    private func page(of snapshot: Snapshot) throws -> Frame? {
        guard let vm else { return nil }
        let guest = snapshot.guests.first { $0.name == vm || $0.vmmPID.map(String.init) == vm }
        let names = snapshot.guests.map(\.name.sanitized).joined(separator: ", ")
        guard let guest else {
            throw SessionArguments.Problem(
                description: "--vm '\(vm)' is no machine of this session, which has \(names.isEmpty ? "none" : names)")
        }
        let width = Terminal.width ?? 120
        guard let page = DetailPage.render(snapshot, guest: GuestKey(guest), vcpu: vcpu, width: width) else {
            let numbers = guest.vcpus.compactMap(\.vcpu).map(String.init).joined(separator: ", ")
            throw SessionArguments.Problem(
                description: "machine '\(vm)' has no vCPU \(vcpu.map(String.init) ?? ""), but \(numbers)")
        }
        return page
    }

    private func openInput() throws -> any SessionInput {
        guard resync else { return try session.open() }
        let better = try Resync(of: try session.open())
        for line in better.comparisons { FileHandle.standardError.write(Data("tandem: \(line)\n".utf8)) }
        return ResyncedInput(try session.open(again: true), maps: better.maps)
    }

    private static var plain: TopOptions {
        var options = TopOptions()
        options.isInteractive = false
        return options
    }

    /// A window is two snapshots: totals at its beginning and at its end.
    private func emit(_ snapshot: Snapshot, before: Snapshot?, _ text: (Int) -> String) {
        switch format {
        case .table: print(text(Terminal.width ?? 120))
        case .json:
            if let before { print(SnapshotJSON.text(before)) }
            print(SnapshotJSON.text(snapshot))
        case .csv:
            print(table.header + (before.map(table.rows) ?? "") + table.rows(snapshot), terminator: "")
        }
    }

    private func listIntervals(_ input: any SessionInput) throws {
        var selection = IntervalListing.Selection()
        (selection.from, selection.to, selection.machine, selection.vcpu) = (from, to, vm, vcpu)
        let list = IntervalListing(input, selection)
        var text = IntervalText(format: format)
        try list.run { intervals in
            text.append(intervals, start: list.start ?? HostTime(nanoseconds: 0))
            return try text.isLong ? text.write() : true
        }
        text.append([], start: list.start ?? HostTime(nanoseconds: 0))
        // Also where nothing was listed: whether there is such a machine.
        _ = try page(of: list.snapshot)
        _ = try text.write()
        if let shortfall = list.shortfall { throw SessionArguments.Problem(description: shortfall) }
    }

    private func list(_ input: any SessionInput) throws {
        var selection = try listing.selection()
        (selection.from, selection.to) = (from, to)
        let events = EventListing(input, selection, listing.options)
        if listing.firstEvent || listing.lastEvent {
            for source in try events.extents() { print(listing.lines(of: source), terminator: "") }
        } else if let count = listing.last {
            var tail = LastLines(count)
            try events.run { bytes in
                tail.append(bytes)
                return true
            }
            _ = try tail.take().withUnsafeBytes { try StandardOutput.write($0, of: "the events") }
        } else {
            try events.run { try StandardOutput.write($0, of: "the events") }
        }
        if let shortfall = events.shortfall { throw SessionArguments.Problem(description: shortfall) }
    }
}

extension SessionTime: ExpressibleByArgument {
    package init?(argument: String) { self.init(argument) }
}

extension OutputFormat: ExpressibleByArgument {}

extension CSVTable: ExpressibleByArgument {}
