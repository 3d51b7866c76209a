import Glibc
package import SessionLog
package import Timeline
package import TraceDat
package import TraceModel
import Wire

/// A session as trace.dat files: `trace.dat` of the host and one `trace-NAME.dat` of each guest, paired as
/// `trace-cmd record -A` does it, so that `trace-cmd report` merges them and KernelShark shows vCPUs beside their threads.
///
/// The format wants each CPU's events in one piece, and they come mixed: sub-buffers wait in one spool file per source and
/// are put in order at the end.
///
/// A file has one clock, and every agent of a machine stamped by one of its own. Where several are one trace
/// (`AgentSuccession`), its events have the host's time, and the time between two agents is a loss of unknown size.
package final class TraceDatOutput {
    private let directory: String
    private let firsts: [SourceID: SourceID]
    /// The latest agent of each CPU of such a trace.
    private var latest: [SourceID: [Int: SourceID]] = [:]
    private let program: String
    private var sources: [SourceID: TraceDatSourceOutput] = [:]
    private var machines: [Int32: VMFacts] = [:]
    private var links: [SourceID: Int32] = [:]
    /// Nanoseconds of the host's ticks, where they are cycles.
    private var scale: TSCScale?
    private var session: SessionFacts?
    /// Sentences about what could not be written.
    package private(set) var notices: [String] = []

    /// Files of guests get the shape `trace-NAME.dat`.
    package static let hostFile = "trace.dat"

    /// Makes the directory. `program` is named in the files as their writer, and `firsts` tells which agents go on with the
    /// trace of which.
    package init(
        directory: String, program: String, firsts: [SourceID: SourceID] = [:]
    ) throws(TraceDatError) {
        self.directory = directory
        self.firsts = firsts
        self.program = program
        guard mkdir(directory, 0o755) == 0 else { throw OutputFile.error("making the directory", directory) }
    }

    /// Takes everything that the pipeline is told, in that order, with every batch decoded. `placing` gives the host time of a
    /// reading of a source's clock as the analysis has it now; nil while that cannot be told.
    package func take(
        _ input: PipelineInput, placing: (_ source: SourceID, _ ticks: TraceTicks, _ cpu: Int) -> HostTime?
    ) throws {
        switch input {
        case .batch(let id, let batch):
            guard let source = sources[id], !isJoined(id) else { return }
            try source.append(batch)
            guard id != .host else { return }
            source.sampleClock(of: batch) { placing(id, $0, batch.cpu) }
        case .record(.session(let facts)): session = facts
        case .record(.sourceOpened(let id, _, _, let names)) where firsts[id] != nil:
            firsts[id].flatMap { sources[$0] }?.addNames(names)
        case .record(.sourceOpened(let id, let facts, let formats, let names)):
            sources[id] = try TraceDatSourceOutput(
                facts, formats, names, spool: "\(directory)/.spool-\(id.rawValue)")
        case .record(.clock(.host, .scale(let scale))): self.scale = scale
        case .record(.clock(let id, let facts)): sources[id]?.learn(facts)
        case .record(.symbols(let id, let part)): sources[id]?.addSymbols(part)
        case .record(.machine(let facts)): machines[facts.vmmPID] = facts
        case .record(.link(let id, let vmmPID, _)): links[id] = vmmPID
        case .record(.message(let id, .statistics(let statistics))):
            sources[firsts[id] ?? id]?.statistics[id] = statistics
        case .record: break
        }
    }

    /// Takes every batch as the analysis has placed it: for traces of several agents.
    package func take(_ placed: PlacedBatch) throws {
        guard isJoined(placed.source) else { return }
        let first = firsts[placed.source] ?? placed.source
        let cpu = placed.batch.cpu
        let isNext = placed.source > latest[first]?[cpu] ?? first
        if isNext { latest[first, default: [:]][cpu] = placed.source }
        let batch = isNext ? placed.batch.missingEvents(before: 0) : placed.batch
        try sources[first]?.append(batch, at: placed.times.map { UInt64(clamping: hostTicks($0)) })
    }

    /// Its trace is one of several agents.
    private func isJoined(_ id: SourceID) -> Bool { firsts[id] != nil || firsts.values.contains(id) }

    /// Everything has been told: the files are complete when it returns.
    package func finish() throws {
        guard let host = sources[.host] else {
            throw TraceDatError("the session", "it has no host, so that there is nothing to pair guests with")
        }
        let guests = sources.filter { $0.key != .host }.sorted { $0.key < $1.key }
        var names: Set<String> = []
        var options = commonOptions(of: host, .host)
        options.ticksToNanoseconds = conversion(of: host)
        for (id, guest) in guests {
            let machine = links[id].flatMap { machines[$0] }
            if machine == nil {
                notices.append(
                    "\(guest.facts.name): its machine is not known, so that nothing links its CPUs to threads")
            }
            options.guests.append(
                TraceDatOptions.Guest(name: guest.facts.name, traceID: traceID(id), cpus: machine?.vcpuMap ?? []))
        }
        try host.write(to: "\(directory)/\(Self.hostFile)", options)
        for (id, guest) in guests {
            var options = commonOptions(of: guest, id)
            options.timeShift =
                isJoined(id)
                ? guest.identity(peer: traceID(.host))
                : guest.timeShift(peer: traceID(.host), hostTicks: hostTicks, isHostTSC: isHostTSC)
            if options.timeShift == nil {
                notices.append(
                    "\(guest.facts.name): its clock was never compared with the host's; its times are its own")
            }
            // Shifted times are the host's, and are shown as the host's are.
            options.clock = host.clockName
            options.ticksToNanoseconds = conversion(of: host)
            var name = guest.facts.name.fileName
            while !names.insert(name).inserted { name += "-\(id.rawValue)" }
            try guest.write(to: "\(directory)/trace-\(name).dat", options)
        }
        notices += ([host] + guests.map(\.value)).flatMap(\.notices)
    }

    private func commonOptions(of source: TraceDatSourceOutput, _ id: SourceID) -> TraceDatOptions {
        var options = TraceDatOptions()
        options.traceID = traceID(id)
        options.clock = source.clockName
        options.version = program
        options.uname = "Linux \(source.facts.hostname) \(source.facts.kernelRelease) -"
        options.cpuCount = source.cpuCount
        options.cpuStatistics = source.cpuStatistics
        return options
    }

    /// The host's cycles, when it has any; cycles with a shift of zero are told without it.
    private var isHostTSC: Bool { sources[.host]?.facts.prepared.clock == .x86TSC && scale != nil }

    private func conversion(of host: TraceDatSourceOutput) -> TraceDatOptions.TicksToNanoseconds? {
        guard isHostTSC, let scale else { return nil }
        return TraceDatOptions.TicksToNanoseconds(multiplier: scale.multiplier, shift: UInt32(scale.shift))
    }

    /// The host's own reading at a time of the session.
    private func hostTicks(_ time: HostTime) -> Int64 {
        guard let scale else { return time.nanoseconds }
        // The first reading that gives this nanosecond.
        let nanoseconds = UInt64(clamping: time.nanoseconds &- scale.zero)
        let multiplier = UInt128(max(1, scale.multiplier))
        return Int64(clamping: ((UInt128(nanoseconds) << UInt128(scale.shift)) + multiplier - 1) / multiplier)
    }

    /// The same for the same session, and never 0: FNV-1a over what identifies it.
    private func traceID(_ id: SourceID) -> UInt64 {
        let text =
            "\(session?.bootID ?? "") \(session?.hostname ?? "") \(session?.start.nanoseconds ?? 0) \(id.rawValue)"
        let hash = text.utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        return hash == 0 ? 1 : hash
    }
}

extension VMFacts {
    fileprivate var vcpuMap: [TraceDatOptions.GuestCPU] {
        vcpuThreads.compactMap { thread in thread.vcpu.map { TraceDatOptions.GuestCPU(vcpu: $0, tid: thread.tid) } }
            .sorted { $0.vcpu < $1.vcpu }
    }
}

extension String {
    /// Letters, digits, `.`, `_` and `-`; nothing that leads to another directory or hides the file.
    fileprivate var fileName: String {
        let kept = utf8.map { byte -> Character in
            let character = Character(Unicode.Scalar(byte))
            return byte < 128 && (character.isLetter || character.isNumber || "._-".contains(character))
                ? character : "_"
        }
        return kept.isEmpty ? "guest" : String(kept.prefix(200))
    }
}
