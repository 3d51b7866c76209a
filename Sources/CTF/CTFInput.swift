package import SessionLog
import Timeline
import TraceModel
import Wire

/// CTF traces of a host and its guests as one session.
///
/// The files are read twice: once to learn the roles, the names and how the clocks differ (`TraceSurvey`), then for the
/// events themselves, side by side in host time. The host's watermark is never told beyond what the guests have been read
/// to, so that no guest is ever late.
package final class CTFInput: SessionInput {
    private var machines: [CTFMachine]
    private var told: [PipelineInput] = []
    private var nextTold = 0
    private var problems: [String]
    private var eventsTold: UInt64 = 0
    private let eventsInAll: UInt64
    /// The host's watermark as it was told.
    private var promised: HostTime?
    private var isOver = false
    private var isHostClosed = false

    package init(_ paths: SessionPaths) throws(CTFError) {
        var problems: [String] = []
        let parts = [SessionPaths.Guest(name: nil, path: paths.path)] + paths.guests
        // Once for the survey, once for the events.
        let surveyed = try parts.map { (part) throws(CTFError) in
            try CTFExperiment.open(part.path, problems: &problems)
        }
        for reader in surveyed.joined() { reader.begin() }
        var found: [(name: String?, reader: MachineReader, survey: TraceSurvey)] = []
        var inFirst: Int?
        for (part, unread) in zip(parts, surveyed) {
            var again: [String] = []
            let surveys = unread.map { TraceSurvey($0) }
            let readers = try CTFExperiment.open(part.path, problems: &again)
            guard part.name == nil || readers.count == 1 else {
                throw CTFError(
                    "'\(part.path)' holds traces of \(readers.count) machines ("
                        + readers.map(\.facts.name).joined(separator: ", ")
                        + "); name one of them for '\(part.name ?? "")'")
            }
            found += zip(readers, surveys).map { (part.name, $0, $1) }
            inFirst = inFirst ?? found.count
        }
        guard !found.isEmpty else {
            throw CTFError(problems.isEmpty ? "'\(paths.path)' holds no events" : problems.joined(separator: "; "))
        }
        // The host is in the first path; what else is there are guests.
        let host = CTFRelations.host(among: found.prefix(max(1, inFirst ?? 0)).map(\.survey))
        self.problems = problems + found.flatMap(\.survey.problems)
        eventsInAll = found.reduce(0) { $0 &+ $1.survey.events }
        machines = CTFInput.order(found, host: host)
        begin()
    }

    private static func order(
        _ found: [(name: String?, reader: MachineReader, survey: TraceSurvey)], host: Int
    ) -> [CTFMachine] {
        var machines: [CTFMachine] = []
        var names: Set<String> = []
        for index in [host] + found.indices.filter({ $0 != host }) {
            let machine = found[index]
            let base = machine.name ?? machine.reader.facts.environment[CTFMark.name] ?? machine.reader.facts.name
            var name = base
            var number = 2
            while !names.insert(name).inserted {
                name = "\(base)-\(number)"
                number += 1
            }
            machines.append(
                CTFMachine(
                    id: SourceID(UInt32(machines.count)), name: name, facts: machine.reader.facts,
                    survey: machine.survey, reader: machine.reader))
        }
        return machines
    }

    /// Everything that is told before the first event.
    private func begin() {
        let relations = CTFRelations.relate(&machines)
        let host = machines[0]
        let first = machines.compactMap(\.begin).min() ?? HostTime(nanoseconds: 0)
        let start = host.time(CTFMark.start) ?? first
        let wall = host.facts.clock.epochOffsetNanoseconds.map { $0.addingReportingOverflow(start.nanoseconds) }
        let seconds = wall.map { $0.overflow ? 0 : $0.partialValue / 1_000_000_000 } ?? 0
        let tracer = [host.facts.environment["tracer_name"], host.facts.environment["tracer_major"]]
        told.append(
            .record(
                .session(
                    SessionFacts(
                        program: tracer.compactMap(\.self).joined(separator: " "), hostname: host.facts.hostname,
                        kernelRelease: host.facts.kernelRelease, bootID: host.facts.bootID, start: start,
                        wallClockSeconds: seconds, maximumLagNanoseconds: Limits.mergeLagOfFilesNanoseconds))))
        told.append(.record(host.opening))
        let machinesFirst = relations.filter { if case .machine = $0 { true } else { false } }
        told += machinesFirst.map { .record($0) }
        told += machines.dropFirst().map { .record($0.opening) }
        told += relations.filter { !machinesFirst.contains($0) }.map { .record($0) }
    }

    // MARK: SessionInput

    package func next() throws -> PipelineInput? {
        while nextTold == told.count {
            guard !isOver else { return nil }
            told.removeAll(keepingCapacity: true)
            nextTold = 0
            advance()
        }
        nextTold += 1
        return told[nextTold - 1]
    }

    package var shortfall: String? { problems.isEmpty ? nil : problems.joined(separator: "; ") }

    package var progress: Double { eventsInAll == 0 ? 1 : min(1, Double(eventsTold) / Double(eventsInAll)) }

    /// One step of the machine that is farthest behind.
    private func advance() {
        guard let index = slowestMachine else {
            closeHostEarly()
            for index in machines.indices { tell(index, before: nil) }
            for index in machines.indices.dropFirst() where !machines[index].isClosed { tellLast(of: index) }
            // Last, because its watermarks go on until all guests have ended.
            if !isHostClosed { close(.host, "end of the trace", isFailure: false) }
            isOver = true
            return
        }
        let id = machines[index].id
        let read = machines[index].reader.next()
        machines[index].takeNotes()
        guard let step = read else {
            end(index)
            return
        }
        for batch in step.batches {
            eventsTold &+= UInt64(batch.headers.count)
            machines[index].hold(batch)
        }
        guard let watermark = step.watermark else { return }
        if let time = machines[index].map.hostTime(watermark)?.time {
            machines[index].reached = max(machines[index].reached ?? time, time)
            machines[index].reachedTicks = watermark
        } else {
            // Nobody knows where these belong; the pipeline counts them.
            tell(index, before: nil)
            told.append(.record(.message(id, .watermark(watermark))))
        }
        promiseHostTime()
    }

    /// Nothing more of it: the others must not wait for it. When it is the host that ends first, nobody knows what the
    /// guests' CPUs did from there on.
    private func end(_ index: Int) {
        let id = machines[index].id
        machines[index].finish()
        let statistics = SourceStatistics(
            cpus: [], cpuNanoseconds: 0, residentBytes: 0, isFinal: true, anomalies: machines[index].reader.anomalies)
        told.append(.record(.message(id, .statistics(statistics))))
        promiseHostTime()
    }

    /// The host's trace ends, everything up to its end has been told, and a guest goes on for longer than the lag limit.
    private func closeHostEarly() {
        guard machines[0].hasEnded, let end = machines[0].reached, promised.map({ $0 >= end }) ?? true else { return }
        let isEarly = machines.contains { machine in
            machine.end.map { $0 - end > Limits.mergeLagOfFilesNanoseconds } ?? false
        }
        guard isEarly, !isHostClosed else { return }
        isHostClosed = true
        tell(0, before: nil)
        close(.host, "its trace ends before those of the guests", isFailure: true)
    }

    private func tell(_ index: Int, before ticks: TraceTicks?) {
        for batch in machines[index].take(before: ticks) { told.append(.batch(machines[index].id, batch)) }
    }

    private func close(_ id: SourceID, _ reason: String, isFailure: Bool) {
        told.append(.record(.sourceClosed(id, reason: reason, isFailure: isFailure)))
    }

    private var slowestMachine: Int? {
        var slowest: Int?
        for index in machines.indices where !machines[index].hasEnded {
            guard let reached = machines[index].reached else { return index }
            if let known = slowest, let time = machines[known].reached, time <= reached { continue }
            slowest = index
        }
        return slowest
    }

    /// Tells everything up to the time to which every machine has been read: first the events of each, then that there are no
    /// more. A guest without a clock is not waited for.
    private func promiseHostTime() {
        var safe = machines[0].reached
        for machine in machines where !machine.hasEnded {
            guard let reached = machine.reached else {
                if machine.isHost || !machine.clocks.isEmpty { return }
                continue
            }
            safe = safe.map { min($0, reached) }
        }
        // Once the host is closed, the guests alone say how far everything is.
        if isHostClosed { safe = machines.filter { !$0.hasEnded }.compactMap(\.reached).min() ?? safe }
        guard let safe else { return }
        while promised.map({ $0 < safe }) ?? true {
            // What is told beside events is told when the host's time has come to it, and not when it is over.
            let stops = machines.compactMap(\.nextStop).filter { stop in promised.map { $0 < stop } ?? true }
            tell(upTo: min(safe, stops.min() ?? safe))
        }
        closeHostEarly()
    }

    private func tell(upTo step: HostTime) {
        for index in machines.indices {
            if let ticks = machines[index].ticks(notAfter: step) { tell(index, before: ticks) }
        }
        for machine in machines where !(machine.isHost ? isHostClosed : machine.isClosed) {
            guard let ticks = machine.ticks(notAfter: step) else { continue }
            told.append(.record(.message(machine.id, .watermark(ticks))))
        }
        promised = step
        for index in machines.indices.dropFirst() {
            tellSamples(of: index, upTo: step)
            if let ending = machines[index].ending(notAfter: step) { close(index, ending) }
        }
    }

    /// Of a guest whose trace goes on behind the host's, or of which nobody knows when it was.
    private func tellLast(of index: Int) {
        tellSamples(of: index, upTo: HostTime(nanoseconds: .max))
        if let ticks = machines[index].reachedTicks {
            told.append(.record(.message(machines[index].id, .watermark(ticks))))
        }
        close(index, machines[index].ending(notAfter: HostTime(nanoseconds: .max)) ?? ("end of the trace", false))
    }

    private func tellSamples(of index: Int, upTo time: HostTime) {
        for sample in machines[index].takeSamples(upTo: time) {
            told.append(.record(.message(machines[index].id, .steal(sample))))
        }
    }

    private func close(_ index: Int, _ ending: (reason: String, isFailure: Bool)) {
        tell(index, before: nil)
        machines[index].isClosed = true
        close(machines[index].id, ending.reason, isFailure: ending.isFailure)
    }
}

/// Directories of CTF traces, by LTTng, perf or Tandem.
package enum CTFKind: SessionFileKind {
    package static let description = "a directory of CTF traces (LTTng, perf)"

    package static func claims(_ path: String) -> Bool { TraceDirectories.isTrace(path) }

    package static func open(_ paths: SessionPaths) throws -> any SessionInput { try CTFInput(paths) }
}
