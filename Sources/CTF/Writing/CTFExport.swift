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
    private var hostReached: HostTime?
    private var isHostCutShort = false

    package init() {}

    /// Where the host's trace ends: with the session, unless it was cut short.
    fileprivate func hostEnd(_ end: HostTime) -> HostTime { isHostCutShort ? hostReached ?? end : end }

    /// To be given every input of the session.
    package mutating func take(_ input: PipelineInput) {
        guard case .record(let record) = input else { return }
        switch record {
        case .session(let facts): session = facts
        case .sourceOpened(let id, let facts, let formats, _):
            if !openings.contains(where: { $0.id == id }) { openings.append((id, facts, formats)) }
        case .machine(let facts): virtualMachines[facts.vmmPID] = facts
        case .link(let id, let pid, _): links[id] = pid
        case .message(.host, .watermark(let ticks)):
            hostReached = HostTime(nanoseconds: Int64(clamping: ticks.rawValue))
        case .sourceClosed(.host, _, let isFailure): isHostCutShort = isFailure
        default: break
        }
    }
}

/// A session as CTF: what its openings say becomes the traces' descriptions, its runs of events the events.
///
/// The session is read twice: for the survey, and through the pipeline, whose runs are in host time.
package final class CTFExport {
    private let writer: CTFWriter
    private var places: [SourceID: Int] = [:]
    /// The first thing that went wrong: later runs are not written.
    package private(set) var failure: CTFError?

    /// `end` is where the analysis of the session ends.
    package init(_ survey: CTFExportSurvey, end: HostTime, into directory: String) throws(CTFError) {
        let openings = survey.openings
        guard let session = survey.session, let host = openings.first(where: { $0.facts.isHost }) else {
            throw CTFError("the session has no host, so there is no time line to export")
        }
        var names: Set<String> = []
        var machines: [ExportedMachine] = []
        for opening in openings {
            places[opening.id] = machines.count
            var name = opening.facts.isHost ? "host" : CTFExport.directoryName(opening.facts.name)
            while !names.insert(name).inserted { name += "_" }
            var environment: [String: String] = [CTFMark.name: opening.facts.name]
            if opening.facts.isHost {
                environment[CTFMark.start] = "\(session.start.nanoseconds)"
                environment[CTFMark.end] = "\(survey.hostEnd(end).nanoseconds)"
                environment[CTFMark.exitPrintFormat] = CTFMark.printFormat(opening.formats)
                for (index, facts) in survey.virtualMachines.values.sorted(by: { $0.vmmPID < $1.vmmPID }).enumerated() {
                    environment["\(CTFMark.virtualMachine)\(index)"] = CTFMark.text(facts)
                }
            } else if let pid = survey.links[opening.id] {
                environment[CTFMark.vmmPID] = "\(pid)"
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
        do throws(CTFError) {
            try writer.append(
                placed.batch, times: placed.times, range: range, boundNanoseconds: placed.boundNanoseconds,
                machine: machine)
        } catch {
            failure = error
        }
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

/// Environment entries of Tandem's own exports: what LTTng's have no words for.
enum CTFMark {
    /// The boot id of the host whose time line this trace's clock is.
    static let timeLine = "tandem_time_line"
    /// Of the host: where on its clock the session began and ended, which is before the first and after the last event.
    static let start = "tandem_start"
    static let end = "tandem_end"
    /// A field of each packet's context: how far its events may be from their true place, at most.
    static let bound = "tandem_clock_bound"
    /// A context of each event, under the kernel's name for it: whether an interrupt handler was at work, and more.
    static let flags = "common_flags"
    /// The source's name.
    static let name = "tandem_name"
    /// Of the host: how its kernel prints `kvm_exit`, where the names of the exit reasons are. CTF has no place for it.
    static let exitPrintFormat = "tandem_kvm_exit_format"
    /// Of a guest: the process that runs it on the host.
    static let vmmPID = "tandem_vmm_pid"
    /// Of the host, numbered: what is known of one virtual machine.
    static let virtualMachine = "tandem_vm_"

    /// What stands behind `print fmt:`, with other quotes, because not every reader of CTF knows a quote within a text.
    static func printFormat(_ formats: [FormatMessage]) -> String? {
        let exit = formats.first { $0.system == "kvm" && $0.text.hasPrefix("name: kvm_exit\n") }
        guard let exit, let start = exit.text.firstRange(of: SyntheticFormat.printMark)?.upperBound else { return nil }
        let line = exit.text[start...].prefix { $0 != "\n" }
        return line.contains("'") ? nil : String(line.replacing("\"", with: "'"))
    }

    /// The format, as the kernel of an export had it for `kvm_exit`.
    static func format(_ format: EventFormat, _ environment: [String: String]) -> FormatMessage {
        guard format.fullName == "kvm:kvm_exit", let print = environment[exitPrintFormat],
            let start = format.text.firstRange(of: SyntheticFormat.printMark)?.upperBound
        else { return FormatMessage(system: format.system, text: format.text) }
        return FormatMessage(
            system: format.system, text: format.text[..<start] + print.replacing("'", with: "\"") + "\n")
    }

    /// `PID;kvm|emulated;TID:VCPU[,TID:VCPU…];VMM;NAME`.
    static func text(_ facts: VMFacts) -> String {
        let threads = facts.vcpuThreads.map { "\($0.tid):\($0.vcpu.map { "\($0)" } ?? "")" }.joined(separator: ",")
        let vmm = facts.vmm.replacing(";", with: "_")
        return "\(facts.vmmPID);\(facts.isEmulated ? "emulated" : "kvm");\(threads);\(vmm);\(facts.name)"
    }

    /// Nil when the entry is none of ours.
    static func facts(_ text: String) -> VMFacts? {
        let words = text.split(separator: ";", maxSplits: 4, omittingEmptySubsequences: false)
        guard words.count == 5, let pid = Int32(words[0]) else { return nil }
        let threads = words[2].split(separator: ",").compactMap { word -> VMFacts.Thread? in
            let parts = word.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count == 2, let tid = Int32(parts[0]) else { return nil }
            return VMFacts.Thread(tid: tid, vcpu: Int(parts[1]).flatMap { (0...65_535).contains($0) ? $0 : nil })
        }
        return VMFacts(
            vmmPID: pid, vmm: String(words[3]), name: String(words[4]), vcpuThreads: threads,
            isEmulated: words[1] == "emulated")
    }
}
