package import TraceModel
package import Wire

/// One thing that happened to a session, in the order in which the pipeline was told.
///
/// The log is the input of the analysis, not its output: a replay feeds the same pipeline with the same inputs in the same
/// order, and must therefore come to the same snapshots, byte for byte.
package enum LogRecord: Hashable, Sendable {
    /// The first record of every log.
    case session(SessionFacts)
    case sourceOpened(SourceID, SourceFacts, formats: [FormatMessage], names: TaskNamesMessage)
    /// A batch, watermark, statistics or CPU message of a source, as it came over the wire.
    case message(SourceID, Message)
    case probe(SourceID, ClockProbe)
    /// What is known about the source's clock without measuring; the latest word counts.
    case clock(SourceID, ClockFacts)
    case machine(VMFacts)
    /// The source's events are those of this VMM's machine; `evidence` is what told so.
    case link(SourceID, vmmPID: Int32, evidence: String)
    case kernelThreads([Int32])
    /// Threads of machines that were there and are not any more; when that was seen, on the host's clock.
    case threadsEnded([Int32], by: HostTime)
    case sourceClosed(SourceID, reason: String, isFailure: Bool)
    /// A part of the source's `/proc/kallsyms`, for exports: all parts together are one zstd frame, in which a u32 of
    /// their length may come first. Megabytes that no analysis looks at.
    case symbols(SourceID, part: [UInt8])
}

/// What a session is, for whoever opens its log later.
package struct SessionFacts: Hashable, Sendable, Codable {
    package var program: String
    package var hostname: String
    package var kernelRelease: String
    package var bootID: String
    /// Host trace clock at the session's start.
    package var start: HostTime
    /// Seconds since 1970 at the session's start, for display only.
    package var wallClockSeconds: Int64
    package var maximumLagNanoseconds: Int64

    package init(
        program: String, hostname: String, kernelRelease: String, bootID: String, start: HostTime,
        wallClockSeconds: Int64, maximumLagNanoseconds: Int64
    ) {
        self.program = program
        self.hostname = hostname
        self.kernelRelease = kernelRelease
        self.bootID = bootID
        self.start = start
        self.wallClockSeconds = wallClockSeconds
        self.maximumLagNanoseconds = maximumLagNanoseconds
    }
}

/// Who a source is and how its events are laid out.
package struct SourceFacts: Hashable, Sendable {
    package var name: String
    package var isHost: Bool
    /// Where the source's agent was reached; empty for the host, and for a source that was read from files.
    package var endpoint: String
    package var hostname: String
    package var bootID: String
    package var kernelRelease: String
    package var prepared: Prepared

    package init(
        name: String, isHost: Bool, endpoint: String, hostname: String, bootID: String, kernelRelease: String,
        prepared: Prepared
    ) {
        self.name = name
        self.isHost = isHost
        self.endpoint = endpoint
        self.hostname = hostname
        self.bootID = bootID
        self.kernelRelease = kernelRelease
        self.prepared = prepared
    }
}

extension LogRecord {
    /// Frame types of the log begin here; those of the wire stay below.
    private enum Code: UInt8 {
        case session = 64
        case sourceOpened = 65
        case probe = 66
        case machine = 67
        case link = 68
        case kernelThreads = 69
        case sourceClosed = 70
        case clock = 71
        case symbols = 72
        case threadsEnded = 74
    }

    /// The source, and the frames that are written. An opening's formats and names go before it in frames of their own, as
    /// on the wire: all formats of a kernel together are longer than a frame may be, and so are all names of a guest.
    package var frames: (source: SourceID, frames: [Frame]) {
        guard case .sourceOpened(let source, _, let formats, let names) = self else {
            let (source, frame) = lastFrame
            return (source, [frame])
        }
        let description =
            formats.map { Message.format($0).frame } + names.parts.map { Message.taskNames($0).frame }
        return (source, description + [lastFrame.frame])
    }

    /// The frame that makes the record, with everything but an opening's formats and names.
    private var lastFrame: (source: SourceID, frame: Frame) {
        var body = BodyWriter()
        switch self {
        case .message(let source, let message): return (source, message.frame)
        case .session(let facts):
            body.put(facts.program)
            body.put(facts.hostname)
            body.put(facts.kernelRelease)
            body.put(facts.bootID)
            body.put(signed: facts.start.nanoseconds)
            body.put(signed: facts.wallClockSeconds)
            body.put(signed: facts.maximumLagNanoseconds)
            return (.host, Frame(type: Code.session.rawValue, body: body.bytes))
        case .sourceOpened(let source, let facts, _, _):
            body.put(facts.name)
            body.put(facts.isHost)
            body.put(facts.endpoint)
            body.put(facts.hostname)
            body.put(facts.bootID)
            body.put(facts.kernelRelease)
            facts.prepared.write(to: &body)
            return (source, Frame(type: Code.sourceOpened.rawValue, body: body.bytes))
        case .probe(let source, let probe):
            body.put(signed: probe.hostSent.nanoseconds)
            body.put(probe.guestReceived.rawValue)
            body.put(probe.guestSent.rawValue)
            body.put(signed: probe.hostReceived.nanoseconds)
            return (source, Frame(type: Code.probe.rawValue, body: body.bytes))
        case .clock(let source, let facts):
            facts.write(to: &body)
            return (source, Frame(type: Code.clock.rawValue, body: body.bytes))
        case .machine(let facts):
            facts.write(to: &body)
            return (.host, Frame(type: Code.machine.rawValue, isSkippable: true, body: body.bytes))
        case .link(let source, let vmmPID, let evidence):
            body.put(signed: Int64(vmmPID))
            body.put(evidence)
            return (source, Frame(type: Code.link.rawValue, body: body.bytes))
        case .kernelThreads(let threads):
            body.put(threads, limit: Limits.taskNames) { $0.put(signed: Int64($1)) }
            return (.host, Frame(type: Code.kernelThreads.rawValue, isSkippable: true, body: body.bytes))
        case .threadsEnded(let threads, let time):
            body.put(threads, limit: Limits.taskNames) { $0.put(signed: Int64($1)) }
            body.put(signed: time.nanoseconds)
            return (.host, Frame(type: Code.threadsEnded.rawValue, isSkippable: true, body: body.bytes))
        case .symbols(let source, let part):
            return (source, Frame(type: Code.symbols.rawValue, isSkippable: true, body: part))
        case .sourceClosed(let source, let reason, let isFailure):
            body.put(reason)
            body.put(isFailure)
            return (source, Frame(type: Code.sourceClosed.rawValue, body: body.bytes))
        }
    }

    /// Nil for a frame of a later version that may be skipped. The reader adds an opening's formats and names.
    init?(source: SourceID, frame: Frame) throws(MessageError) {
        guard let code = Code(rawValue: frame.type) else {
            guard let message = try Message(frame) else { return nil }
            self = .message(source, message)
            return
        }
        var body = BodyReader(frame.body, message: "\(code)")
        switch code {
        case .session:
            self = .session(
                SessionFacts(
                    program: try body.text(), hostname: try body.text(), kernelRelease: try body.text(),
                    bootID: try body.text(), start: HostTime(nanoseconds: try body.signed()),
                    wallClockSeconds: try body.signed(), maximumLagNanoseconds: try body.signed()))
        case .sourceOpened:
            let facts = SourceFacts(
                name: try body.text(), isHost: try body.bool(), endpoint: try body.text(), hostname: try body.text(),
                bootID: try body.text(), kernelRelease: try body.text(), prepared: try Prepared(from: &body))
            self = .sourceOpened(source, facts, formats: [], names: TaskNamesMessage(tasks: []))
        case .probe:
            self = .probe(
                source,
                ClockProbe(
                    hostSent: HostTime(nanoseconds: try body.signed()),
                    guestReceived: TraceTicks(try body.unsigned()), guestSent: TraceTicks(try body.unsigned()),
                    hostReceived: HostTime(nanoseconds: try body.signed())))
        case .symbols: self = .symbols(source, part: frame.body)
        case .clock: self = .clock(source, try ClockFacts(from: &body))
        case .machine: self = .machine(try VMFacts(from: &body))
        case .link:
            self = .link(source, vmmPID: Int32(truncatingIfNeeded: try body.signed()), evidence: try body.text())
        case .kernelThreads:
            self = .kernelThreads(
                try body.array(limit: Limits.taskNames) { (body) throws(MessageError) in
                    Int32(truncatingIfNeeded: try body.signed())
                })
        case .threadsEnded:
            let threads = try body.array(limit: Limits.taskNames) { (body) throws(MessageError) in
                Int32(truncatingIfNeeded: try body.signed())
            }
            self = .threadsEnded(threads, by: HostTime(nanoseconds: try body.signed()))
        case .sourceClosed:
            self = .sourceClosed(source, reason: try body.text(), isFailure: try body.bool())
        }
    }
}

extension VMFacts {
    /// What one record takes of the evidence, so that it fits a frame: 256 addresses of 17 bytes, and 64 paths of 4 KiB (a
    /// VMM has one vsock device).
    private static let loggedAddresses = 256
    private static let loggedAddressBytes = 64
    private static let loggedPaths = 64

    fileprivate func write(to body: inout BodyWriter) {
        body.put(signed: Int64(vmmPID))
        body.put(vmm)
        body.put(name)
        body.put(optional: cid) { $0.put(UInt64($1)) }
        body.put(optional: uuid) { $0.put($1) }
        body.put(macAddresses, limit: VMFacts.loggedAddresses) { $0.put($1, limit: VMFacts.loggedAddressBytes) }
        body.put(vsockPaths, limit: VMFacts.loggedPaths) { $0.put($1, limit: Limits.pathBytes) }
        body.put(vcpuThreads, limit: Limits.vcpus) { body, thread in
            body.put(signed: Int64(thread.tid))
            body.put(optional: thread.vcpu) { $0.put($1) }
        }
        body.put(isEmulated)
    }

    fileprivate init(from body: inout BodyReader) throws(MessageError) {
        self.init(
            vmmPID: Int32(truncatingIfNeeded: try body.signed()), vmm: try body.text(), name: try body.text(),
            cid: try body.optional { (body) throws(MessageError) in UInt32(truncatingIfNeeded: try body.unsigned()) },
            uuid: try body.optional { (body) throws(MessageError) in try body.text() },
            macAddresses: try body.array(limit: VMFacts.loggedAddresses) { (body) throws(MessageError) in
                try body.text(limit: VMFacts.loggedAddressBytes)
            },
            vsockPaths: try body.array(limit: VMFacts.loggedPaths) { (body) throws(MessageError) in
                try body.text(limit: Limits.pathBytes)
            },
            vcpuThreads: try body.array(limit: Limits.vcpus) { (body) throws(MessageError) in
                Thread(
                    tid: Int32(truncatingIfNeeded: try body.signed()),
                    vcpu: try body.optional { (body) throws(MessageError) in try body.integer(in: 0...65_535) })
            }, isEmulated: try body.bool())
    }
}
