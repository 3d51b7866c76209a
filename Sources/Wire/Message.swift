package import TraceModel

/// Everything that is said on a connection. The normative page is `Wire.docc/Protocol.md`.
package enum Message: Hashable, Sendable {
    case hello(Hello)
    case error(PeerError)
    /// Collector → agent.
    case request(SessionRequest)
    /// Agent → collector; the formats follow, then `ready`.
    case prepared(Prepared)
    case format(FormatMessage)
    case taskNames(TaskNamesMessage)
    /// All formats and names have been sent.
    case ready
    /// Collector → agent: tracing on.
    case start
    /// An encoded `EventBatch`: `BatchEncoder` and `BatchDecoder` know what is in it.
    case batch([UInt8])
    /// Nothing earlier than this will come from any CPU of this source.
    case watermark(TraceTicks)
    case statistics(SourceStatistics)
    /// The CPUs that are online now.
    case onlineCPUs([Int])
    /// What the guest's CPUs were told about stolen time.
    case steal(StealSample)
    /// Collector → agent: so many more bytes of batches may be sent.
    case credit(Int)
    /// Collector → agent, on the probe connection.
    case probe(id: UInt64)
    case probeReply(id: UInt64, received: TraceTicks, sent: TraceTicks)
    /// Collector → agent: tracing off, send what is left.
    case drain
    /// Agent → collector: that was all; the connection ends.
    case drained

    /// The type byte of a frame. Those from 64 on belong to the session log.
    package enum Code: UInt8, CaseIterable, Sendable {
        case hello = 1
        case error = 2
        case request = 3
        case prepared = 4
        case format = 5
        case taskNames = 6
        case ready = 7
        case start = 8
        case batch = 9
        case watermark = 10
        case statistics = 11
        case onlineCPUs = 12
        case credit = 13
        case probe = 14
        case probeReply = 15
        case drain = 16
        case drained = 17
        case steal = 18

        /// A receiver that does not know the type may go on without it.
        package var isSkippable: Bool {
            self == .taskNames || self == .statistics || self == .onlineCPUs || self == .steal
        }
    }

    package var code: Code {
        switch self {
        case .hello: .hello
        case .error: .error
        case .request: .request
        case .prepared: .prepared
        case .format: .format
        case .taskNames: .taskNames
        case .ready: .ready
        case .start: .start
        case .batch: .batch
        case .watermark: .watermark
        case .statistics: .statistics
        case .onlineCPUs: .onlineCPUs
        case .steal: .steal
        case .credit: .credit
        case .probe: .probe
        case .probeReply: .probeReply
        case .drain: .drain
        case .drained: .drained
        }
    }

    package var frame: Frame {
        var body = BodyWriter()
        switch self {
        case .hello(let hello): hello.write(to: &body)
        case .error(let error): error.write(to: &body)
        case .request(let request): request.write(to: &body)
        case .prepared(let prepared): prepared.write(to: &body)
        case .format(let format): format.write(to: &body)
        case .taskNames(let names): names.write(to: &body)
        case .batch(let bytes): return Frame(type: code.rawValue, isSkippable: code.isSkippable, body: bytes)
        case .watermark(let ticks): body.put(ticks.rawValue)
        case .statistics(let statistics): statistics.write(to: &body)
        case .onlineCPUs(let cpus): body.put(cpus, limit: Limits.cpus) { $0.put($1) }
        case .steal(let sample): sample.write(to: &body)
        case .credit(let bytes): body.put(bytes)
        case .probe(let id): body.put(id)
        case .probeReply(let id, let received, let sent):
            body.put(id)
            body.put(received.rawValue)
            body.put(sent.rawValue)
        case .ready, .start, .drain, .drained: break
        }
        return Frame(type: code.rawValue, isSkippable: code.isSkippable, body: body.bytes)
    }

    /// The message in a frame; nil when its type is unknown and may be skipped.
    ///
    /// Bytes after the fields that this version knows are ignored: a later minor version may have appended some.
    package init?(_ frame: Frame) throws(MessageError) {
        guard let code = Code(rawValue: frame.type) else {
            if frame.isSkippable { return nil }
            throw MessageError(
                message: "type \(frame.type)", problem: "this version does not know it and may not skip it", byte: 0)
        }
        var body = BodyReader(frame.body, message: "\(code)")
        switch code {
        case .hello: self = .hello(try Hello(from: &body))
        case .error: self = .error(try PeerError(from: &body))
        case .request: self = .request(try SessionRequest(from: &body))
        case .prepared: self = .prepared(try Prepared(from: &body))
        case .format: self = .format(try FormatMessage(from: &body))
        case .taskNames: self = .taskNames(try TaskNamesMessage(from: &body))
        case .ready: self = .ready
        case .start: self = .start
        case .batch: self = .batch(frame.body)
        case .watermark: self = .watermark(TraceTicks(try body.unsigned()))
        case .statistics: self = .statistics(try SourceStatistics(from: &body))
        case .onlineCPUs:
            self = .onlineCPUs(
                try body.array(limit: Limits.cpus) { (body) throws(MessageError) in
                    try body.integer(in: 0...Limits.cpus - 1)
                })
        case .steal: self = .steal(try StealSample(from: &body))
        case .credit: self = .credit(try body.integer(in: 1...(1 << 30)))
        case .probe: self = .probe(id: try body.unsigned())
        case .probeReply:
            self = .probeReply(
                id: try body.unsigned(), received: TraceTicks(try body.unsigned()),
                sent: TraceTicks(try body.unsigned()))
        case .drain: self = .drain
        case .drained: self = .drained
        }
    }
}

extension Frame {
    /// Batches are the only frames that cost credit.
    package var isBatch: Bool { type == Message.Code.batch.rawValue }
}
