import Compression
package import SessionLog
import Timeline
import TraceDat
import TraceModel
import Wire

/// Files of `trace-cmd record -A` as a session: what the pipeline would have been told, had it been there.
///
/// The files are read side by side: always the source whose next events are earliest on the host's time line goes on. The
/// host's watermark never passes what a guest still holds, so that no guest is left behind as late.
package final class TraceDatInput: SessionInput {
    private struct Stream {
        let member: TraceDatSession.Member
        var events: TraceDatEvents
        /// The map that the pipeline has too: only the order of reading rests on this copy.
        var clock: ClockMap
        let firstTicks: TraceTicks?
        var lastTicks = TraceTicks(0)
        var told = TraceTicks(0)
        var isMapped = true
        var isOpen = true
    }

    /// By which clocks guests are placed.
    package enum Clocks: Sendable {
        /// By the most exact that is known: KVM's numbers, what entries and exits prove, what the files say.
        case best
        /// By what the files say.
        case own
        /// By entries and exits alone.
        case proved
    }

    private let session: TraceDatSession
    private let clocks: TraceDatClocks
    private var findings: [SourceID: TraceDatProof.Finding] = [:]
    private let basis: Clocks
    /// What is told before the first event; symbols are megabytes that are copied when it is their turn.
    private enum Opening {
        case record(LogRecord)
        case symbols(SourceID, TraceDatSource, Range<Int>)
    }

    private var opening: [Opening] = []
    private var openingAt = 0
    private var streams: [Stream] = []
    /// To be told next, the last first.
    private var waiting: [PipelineInput] = []
    private var batch = EventBatch(cpu: 0)
    private let bytesTotal: Int

    package init(_ paths: SessionPaths, by basis: Clocks = .best) throws {
        session = try TraceDatSession(paths)
        clocks = try TraceDatClocks(host: session.host, ticksPerSecond: paths.clockHints.ticksPerSecond)
        self.basis = basis
        bytesTotal = session.members.reduce(0) { $0 + $1.recordBytes }
        try prove()
        for member in session.members {
            let events = try member.source.events(of: member.buffers)
            var clock = ClockMap(clock: member.clock, identity: member.id == .host)
            for facts in facts(of: member) { clock.learn(facts) }
            streams.append(Stream(member: member, events: events, clock: clock, firstTicks: events.watermark))
        }
        for index in streams.indices {
            guard let ticks = streams[index].firstTicks else { continue }
            streams[index].isMapped = streams[index].clock.hostTime(ticks) != nil
        }
        opening = try openingRecords()
    }

    package var shortfall: String? { nil }

    /// What a user should know about the files.
    package var notices: [String] {
        session.notices
            + streams.filter { !$0.isMapped }.map {
                "\($0.member.name): its clock was not compared with the host's (no TIME_SHIFT in '\($0.member.source.path)'), and no "
                    + "kvm_entry and kvm_exit of the host tell; without --ts-offset its events may not be placed"
            }
            + session.guests.compactMap { guest in
                guard clocks.exactFacts(of: guest) == nil, findings[guest.id]?.clocks.isEmpty != false,
                    let method = clocks.estimates(of: guest).first?.method
                else { return nil }
                return
                    "\(guest.name): its clock rests on \(method), and nobody knows how far that is off: no kvm_entry and "
                    + "kvm_exit of the host prove more"
            }
    }

    package var progress: Double {
        bytesTotal == 0 ? 1 : min(1, Double(streams.reduce(0) { $0 + $1.events.bytesRead }) / Double(bytesTotal))
    }

    package func next() throws -> PipelineInput? {
        if openingAt < opening.count {
            openingAt += 1
            switch opening[openingAt - 1] {
            case .record(let record): return .record(record)
            case .symbols(let id, let source, let range): return .record(.symbols(id, part: source.bytes(range)))
            }
        }
        while waiting.isEmpty {
            guard let turn = earliest() else { return nil }
            try advance(turn)
        }
        return waiting.removeLast()
    }

    // MARK: Events

    /// The open source whose next event is first; one without any is closed at once.
    private func earliest() -> Int? {
        var best: (index: Int, time: HostTime)?
        for (index, stream) in streams.enumerated() where stream.isOpen {
            guard let time = nextTime(of: stream) else { return index }
            if let known = best, known.time <= time { continue }
            best = (index, time)
        }
        return best?.index
    }

    /// Host time of a source's next sub-buffer; nil at its end. A source that cannot be placed runs along from the host's
    /// first event.
    private func nextTime(of stream: Stream) -> HostTime? {
        guard let ticks = stream.events.watermark else { return nil }
        if let placed = stream.clock.hostTime(ticks) { return placed.time }
        let start = streams[0].firstTicks.flatMap { streams[0].clock.hostTime($0)?.time } ?? HostTime(nanoseconds: 0)
        let elapsed = Double(ticks.rawValue &- (stream.firstTicks ?? ticks).rawValue)
        let rate = stream.member.clock.countsNanoseconds ? 1 : clocks.scale?.nanosecondsPerCycle ?? 1
        return start.advanced(by: Int64(saturating: elapsed * rate))
    }

    private func advance(_ index: Int) throws {
        let id = streams[index].member.id
        guard try streams[index].member.source.read(&streams[index].events, into: &batch) else {
            streams[index].isOpen = false
            waiting = [.record(.sourceClosed(id, reason: "the file's end", isFailure: false))]
            let end = TraceTicks(streams[index].lastTicks.rawValue &+ 1)
            if end > streams[index].told { waiting.append(.record(.message(id, .watermark(end)))) }
            return
        }
        if let last = batch.headers.last { streams[index].lastTicks = max(streams[index].lastTicks, last.ticks) }
        tellWatermarks()
        if !batch.isEmpty { waiting.append(.batch(id, batch)) }
    }

    /// Guests first, and the host up to the earliest of all: a guest must not look late because the host was quiet.
    private func tellWatermarks() {
        var earliest: HostTime?
        for index in streams.indices.reversed() where streams[index].isOpen {
            guard var ticks = streams[index].events.watermark else { continue }
            if streams[index].member.id == .host {
                if let earliest { ticks = min(ticks, TraceTicks(clocks.hostTicks(notAfter: earliest))) }
            } else if let time = streams[index].clock.hostTime(ticks)?.time {
                earliest = min(earliest ?? time, time)
            }
            guard ticks > streams[index].told else { continue }
            streams[index].told = ticks
            waiting.insert(.record(.message(streams[index].member.id, .watermark(ticks))), at: 0)
        }
    }

    // MARK: Opening

    private func facts(of member: TraceDatSession.Member) -> [ClockFacts] {
        guard member.id != .host else { return clocks.scale.map { [.scale($0)] } ?? [] }
        if basis != .proved, let exact = clocks.exactFacts(of: member) { return exact }
        let proved = findings[member.id]?.clocks ?? []
        // Of CPUs of which nothing is proved, the files' word counts.
        let estimates = basis == .proved || proved.contains { $0.cpu == nil } ? [] : clocks.estimates(of: member)
        return (estimates + proved).map { .given($0) }
    }

    /// Looks for better clocks where the files' are not exact.
    private func prove() throws(TraceDatError) {
        let guests = session.guests.filter {
            switch basis {
            case .best: clocks.exactFacts(of: $0) == nil && !clocks.isMoved($0)
            case .own: false
            case .proved: true
            }
        }
        guard !guests.isEmpty else { return }
        var proof = try TraceDatProof(session, clocks)
        // Those first whose threads are known.
        for guest in guests.filter({ $0.link != nil }) + guests.filter({ $0.link == nil }) {
            findings[guest.id] = try proof.find(guest, notOn: Set(session.guests.flatMap(\.threads)))
        }
    }

    private func openingRecords() throws -> [Opening] {
        let host = session.host
        let starts = streams.compactMap { stream in stream.firstTicks.flatMap { stream.clock.hostTime($0)?.time } }
        let start = starts.min() ?? HostTime(nanoseconds: 0)
        let words = TraceDatSession.unameWords(host.source.file)
        let options = host.source.file.options
        let date = options.dateMicroseconds.map { $0.addingReportingOverflow(start.nanoseconds / 1000).partialValue }
        var records: [Opening] = [
            .record(
                .session(
                    SessionFacts(
                        program: "trace-cmd \((options.version ?? "").sanitized)", hostname: words.host ?? "",
                        kernelRelease: words.release ?? "", bootID: "", start: start,
                        wallClockSeconds: (date ?? 0) / 1_000_000,
                        maximumLagNanoseconds: Limits.mergeLagOfFilesNanoseconds)))
        ]
        for member in session.members {
            records.append(.record(member.opened))
            records += try symbols(of: member)
            records += facts(of: member).map { .record(.clock(member.id, $0)) }
        }
        for guest in session.guests {
            let file = host.source.file
            let linked = guest.link.flatMap { VMFacts($0, name: guest.name, host: file) }
            let found = findings[guest.id].flatMap { VMFacts($0.threads, name: guest.name, host: file) }
            guard let machine = linked ?? found else { continue }
            records.append(.record(.machine(machine)))
            let list = machine.vcpuThreads.map { "\($0.tid)" }.joined(separator: ", ")
            let evidence =
                linked == nil
                ? "its events lie between kvm_entry and kvm_exit of thread \(list)"
                : "the host's file names its vCPU threads"
            records.append(.record(.link(guest.id, vmmPID: machine.vmmPID, evidence: evidence)))
        }
        // Machines that were traced without their events being given here.
        for link in options.guests where !session.guests.contains(where: { $0.link == link }) {
            if let machine = VMFacts(link, name: link.name, host: host.source.file) {
                records.append(.record(.machine(machine)))
            }
        }
        return records
    }

    /// The kernel's symbols, compressed, in parts that each fit a frame.
    private func symbols(of member: TraceDatSession.Member) throws -> [Opening] {
        func parts(_ range: Range<Int>) -> [Range<Int>] {
            let partBytes = Limits.frameBytes / 2
            return stride(from: range.lowerBound, to: range.upperBound, by: partBytes).map {
                $0..<min($0 + partBytes, range.upperBound)
            }
        }
        if let place = try member.source.zstdSymbols() {
            return parts(place).map { .symbols(member.id, member.source, $0) }
        }
        guard let block = try member.source.compressedSymbols() else { return [] }
        return parts(block.indices).map { .record(.symbols(member.id, part: Array(block[$0]))) }
    }
}

extension TraceDatSession.Member {
    fileprivate var opened: LogRecord {
        let file = source.file
        let words = TraceDatSession.unameWords(file)
        let cpus = max(file.options.cpuCount ?? 0, (buffers.flatMap(\.cpus).map(\.cpu).max() ?? -1) + 1)
        return .sourceOpened(
            id,
            SourceFacts(
                name: name, isHost: id == .host, endpoint: "", hostname: words.host ?? "", bootID: "",
                kernelRelease: words.release ?? "",
                prepared: Prepared(
                    token: 0, clock: clock, byteOrder: file.byteOrder, longSize: file.longSize,
                    subBufferBytes: file.subBufferBytes, bufferKiBPerCPU: 0,
                    cpus: Array(0..<min(cpus, Limits.cpus)), instance: "", headerPage: file.headerPage,
                    headerEvent: file.headerEvent)),
            formats: file.formats.formats.map { FormatMessage(system: $0.system, text: $0.text) },
            names: TaskNamesMessage(tasks: file.tasks.map { TaskNamesMessage.Task(tid: $0.tid, comm: $0.comm) }))
    }

    /// Bytes of the events in the file, for progress.
    fileprivate var recordBytes: Int { buffers.flatMap(\.cpus).reduce(0) { $0 + $1.range.count } }
}

extension VMFacts {
    /// What the host's file knows of a machine: its vCPUs' threads. Nil when trace-cmd found none.
    fileprivate init?(_ guest: TraceDatOptions.Guest, name: String, host: TraceDatFile) {
        self.init(
            guest.cpus.filter { $0.tid > 0 }.map { Thread(tid: $0.tid, vcpu: $0.vcpu) }, name: name, host: host)
    }

    /// Their process is not in the file, so that the first thread's number stands for it; nil without any thread.
    fileprivate init?(_ threads: [Thread], name: String, host: TraceDatFile) {
        guard let first = threads.map(\.tid).min() else { return nil }
        let comm = host.tasks.first { $0.tid == first }?.comm ?? ""
        self.init(
            vmmPID: first, vmm: comm.hasPrefix("CPU ") && comm.hasSuffix("/KVM") ? "qemu" : "vmm",
            name: name.sanitized, vcpuThreads: Array(threads.prefix(Limits.vcpus)))
    }
}

/// `trace.dat` files of trace-cmd, and what KernelShark opens.
package enum TraceDatKind: SessionFileKind {
    package static let description = "the host's file of 'trace-cmd record' (with -A for each guest's)"

    package static func claims(_ path: String) -> Bool { MappedFile.begins(path, with: TraceDatFile.magic) }

    package static func open(_ paths: SessionPaths) throws -> any SessionInput { try TraceDatInput(paths) }
}
