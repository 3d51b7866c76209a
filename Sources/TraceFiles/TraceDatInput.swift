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

    private let session: TraceDatSession
    private let clocks: TraceDatClocks
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

    package init(_ paths: SessionPaths) throws {
        session = try TraceDatSession(paths)
        clocks = try TraceDatClocks(host: session.host, ticksPerSecond: paths.clockHints.ticksPerSecond)
        bytesTotal = session.members.reduce(0) { $0 + $1.recordBytes }
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
                "\($0.member.name): its clock was not compared with the host's (no TIME_SHIFT in '\($0.member.source.path)'); "
                    + "without --ts-offset its events may not be placed"
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
        member.id == .host ? clocks.scale.map { [.scale($0)] } ?? [] : clocks.facts(of: member)
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
            guard let link = guest.link, let machine = VMFacts(link, name: guest.name, host: host.source.file) else {
                continue
            }
            records.append(.record(.machine(machine)))
            let evidence = "the host's file names its vCPU threads"
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
    /// What the host's file knows of a machine: its vCPUs' threads. Their process is not in it, so that the first thread's
    /// number stands for it; nil when trace-cmd found none.
    fileprivate init?(_ guest: TraceDatOptions.Guest, name: String, host: TraceDatFile) {
        let threads = guest.cpus.filter { $0.tid > 0 }.prefix(Limits.vcpus)
        guard let first = threads.map(\.tid).min() else { return nil }
        let comm = host.tasks.first { $0.tid == first }?.comm ?? ""
        self.init(
            vmmPID: first, vmm: comm.hasPrefix("CPU ") && comm.hasSuffix("/KVM") ? "qemu" : "vmm",
            name: name.sanitized, vcpuThreads: threads.map { Thread(tid: $0.tid, vcpu: $0.vcpu) })
    }
}

/// `trace.dat` files of trace-cmd, and what KernelShark opens.
package enum TraceDatKind: SessionFileKind {
    package static let description = "the host's file of 'trace-cmd record' (with -A for each guest's)"

    package static func claims(_ path: String) -> Bool { MappedFile.begins(path, with: TraceDatFile.magic) }

    package static func open(_ paths: SessionPaths) throws -> any SessionInput { try TraceDatInput(paths) }
}
