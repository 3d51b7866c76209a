import Decoding
package import SessionLog
package import Timeline
package import TraceModel
import Wire

/// What has to be known of a session before its first event is written: who the machines are, and what runs the guests.
package struct CTFExportSurvey {
    fileprivate var session: SessionFacts?
    fileprivate var openings: [(id: SourceID, facts: SourceFacts, formats: [FormatMessage])] = []
    fileprivate var virtualMachines: [Int32: VMFacts] = [:]
    fileprivate var links: [SourceID: Int32] = [:]
    fileprivate var ends: [SourceID: (time: HostTime, isFailure: Bool)] = [:]
    fileprivate var reasons: [SourceID: String] = [:]
    fileprivate var succession = AgentSuccession()

    package init() {}

    /// To be given every input of the session.
    package mutating func take(_ input: PipelineInput) {
        succession.take(input)
        guard case .record(let record) = input else { return }
        switch record {
        case .session(let facts): session = facts
        case .sourceOpened(let id, let facts, let formats, _):
            if !openings.contains(where: { $0.id == id }) { openings.append((id, facts, formats)) }
        case .machine(let facts): virtualMachines[facts.vmmPID] = facts
        case .link(let id, let pid, _): links[id] = pid
        case .sourceClosed(let id, let reason, _): reasons[id] = reason
        default: break
        }
    }

    /// When a guest ended for the analysis, as the pipeline tells.
    package mutating func end(_ source: SourceID, at time: HostTime, isFailure: Bool) {
        ends[source] = (time, isFailure)
    }

    /// Entries of a guest's environment.
    fileprivate func guest(_ id: SourceID) -> [String: String] {
        var entries: [String: String] = [:]
        if let pid = links[id] { entries[CTFMark.vmmPID] = "\(pid)" }
        if let end = ends[id] {
            entries[end.isFailure ? CTFMark.gone : CTFMark.end] = "\(end.time.nanoseconds)"
            if end.isFailure { entries[CTFMark.goneReason] = reasons[id] ?? "" }
        }
        return entries
    }
}

/// A session as CTF: what its openings say becomes the traces' descriptions, its runs of events the events.
///
/// The session is read twice: for the survey, and through the pipeline, whose runs are in host time.
package final class CTFExport {
    private let writer: CTFWriter
    private let firsts: [SourceID: SourceID]
    private var places: [SourceID: Int] = [:]
    /// The latest agent of each CPU, by machine.
    private var latest: [Int: [Int: SourceID]] = [:]
    /// The first thing that went wrong: later runs are not written.
    package private(set) var failure: CTFError?

    /// `end` is where the host's trace ends; a guest's may go on behind it.
    package init(_ survey: CTFExportSurvey, end: HostTime, into directory: String) throws(CTFError) {
        let openings = survey.openings
        guard let session = survey.session, let host = openings.first(where: { $0.facts.isHost }) else {
            throw CTFError("the session has no host, so there is no time line to export")
        }
        var names: Set<String> = []
        var machines: [ExportedMachine] = []
        let firsts = survey.succession.firsts
        self.firsts = firsts
        for opening in openings {
            // Of a machine whose agent came back: one trace.
            if let first = firsts[opening.id] {
                places[opening.id] = places[first]
                continue
            }
            places[opening.id] = machines.count
            var name = opening.facts.isHost ? "host" : CTFExport.directoryName(opening.facts.name)
            while !names.insert(name).inserted { name += "_" }
            var environment: [String: String] = [CTFMark.name: opening.facts.name]
            if opening.facts.isHost {
                environment[CTFMark.start] = "\(session.start.nanoseconds)"
                environment[CTFMark.end] = "\(end.nanoseconds)"
                environment[CTFMark.exitPrintFormat] = CTFMark.printFormat(opening.formats)
                for (index, facts) in survey.virtualMachines.values.sorted(by: { $0.vmmPID < $1.vmmPID }).enumerated() {
                    environment["\(CTFMark.virtualMachine)\(index)"] = CTFMark.text(facts)
                }
            } else {
                // It ended with its last agent.
                let last = openings.last { firsts[$0.id] == opening.id }
                environment.merge(survey.guest(last?.id ?? opening.id)) { $1 }
            }
            machines.append(
                ExportedMachine(
                    name: name, hostname: opening.facts.hostname, bootID: opening.facts.bootID,
                    kernelRelease: opening.facts.kernelRelease, isHost: opening.facts.isHost,
                    formats: CTFExport.table(opening.facts, opening.formats), environment: environment))
        }
        let (zero, overflow) = session.wallClockSeconds.multipliedReportingOverflow(by: 1_000_000_000)
        let clock = ExportedClock(
            hostBootID: host.facts.bootID,
            epochOffsetNanoseconds: overflow ? 0 : zero &- session.start.nanoseconds)
        writer = try CTFWriter(directory: directory, machines: machines, clock: clock)
    }

    /// A run of events in host time, as `Replay.observe` gives it.
    package func append(_ placed: PlacedBatch, _ range: Range<Int>) {
        guard failure == nil, let machine = places[placed.source] else { return }
        let cpu = placed.batch.cpu
        let isNext = placed.source > latest[machine]?[cpu] ?? firsts[placed.source] ?? placed.source
        if isNext { latest[machine, default: [:]][cpu] = placed.source }
        let batch = isNext ? placed.batch.missingEvents(before: range.lowerBound) : placed.batch
        do throws(CTFError) {
            try writer.append(
                batch, times: placed.times, range: range, boundNanoseconds: placed.boundNanoseconds,
                machine: machine)
        } catch {
            failure = error
        }
    }

    /// A guest's steal time at an instant.
    package func sample(_ source: SourceID, _ cpus: [StealSample.CPU], at time: HostTime) {
        guard let machine = places[source] else { return }
        writer.sample(cpus, at: time, machine: machine)
    }

    package func finish() throws(CTFError) {
        if let failure { throw failure }
        try writer.finish()
    }

    package var eventsWritten: UInt64 { writer.eventsWritten }

    /// The formats in the order in which events count them; one that cannot be read has events without fields.
    private static func table(_ facts: SourceFacts, _ messages: [FormatMessage]) -> FormatTable {
        var table = FormatTable(byteOrder: facts.prepared.byteOrder, longSize: facts.prepared.longSize)
        for message in messages {
            let count = table.formats.count
            if let format = try? EventFormatParser.parse(message.text, system: message.system) { table.append(format) }
            guard table.formats.count == count else { continue }
            table.append(
                EventFormat(
                    kernelID: UInt16.max - UInt16(truncatingIfNeeded: count), system: message.system,
                    name: "unreadable", fields: [], text: ""))
        }
        return table
    }

    private static func directoryName(_ name: String) -> String {
        let plain = name.map { character in
            character.isASCII && (character.isLetter || character.isNumber || "-_.".contains(character))
                ? character : "_"
        }
        let text = String(plain.prefix(100))
        return text.isEmpty || text.hasPrefix(".") ? "_" + text : text
    }
}
