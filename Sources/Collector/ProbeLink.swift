import Threading
import TraceModel
import Transport
import Wire

/// The connection on which a guest's clock is read, and nothing else: behind data a probe would measure the queue.
///
/// Bursts, because the shortest round trip of several is what counts: it was disturbed least, and half of it bounds the
/// error.
final class ProbeLink: Sendable {
    /// Before tracing starts, when nothing else bounds the clock.
    static let openingBurst = 32
    static let regularBurst = 8
    /// On the way at once: the first wakes the guest, and the others find it awake.
    private static let flight: UInt64 = 4
    static let intervalNanoseconds: Int64 = 1_000_000_000

    /// Where the exchange stands. A guest that was paused answers when it goes on; that answer is of no burst any more.
    struct Exchange {
        fileprivate var reader = FrameReader()
        fileprivate var nextID: UInt64 = 1
    }

    private let connection: Connection
    private let hostClock: HostClock

    init(endpoint: Endpoint, hello: Hello, token: UInt64, hostClock: HostClock) throws {
        self.hostClock = hostClock
        connection = try Connection.connect(
            to: endpoint, timeoutMilliseconds: Limits.connectMilliseconds, resolve: HostNames.resolve)
        var greeting = hello
        greeting.role = .probe
        greeting.token = token
        try connection.write(
            Message.hello(greeting).frame.bytes, timeoutMilliseconds: Limits.answerMilliseconds)
        var reader = FrameReader()
        switch try next(&reader, Limits.setupMilliseconds) {
        case .hello: return
        case .error(let error): throw error
        default: throw SessionError("the agent did not answer the probe connection's hello")
        }
    }

    /// Exchanges `count` probes, some at a time. Each is a bound of its own in either direction, so that it does no harm
    /// when one waits behind another. Each answer has `patience`.
    func burst(
        count: Int, _ exchange: inout Exchange, patienceMilliseconds patience: Int = Limits.answerMilliseconds
    ) throws -> [ClockProbe] {
        var probes: [ClockProbe] = []
        let end = exchange.nextID + UInt64(count)
        while exchange.nextID < end {
            let ids = exchange.nextID..<min(exchange.nextID + Self.flight, end)
            exchange.nextID = ids.upperBound
            var sent: [HostTime] = []
            for id in ids {
                guard let now = hostClock.now() else {
                    throw SessionError("the trace clock '\(hostClock.clock.rawValue)' cannot be read on this machine")
                }
                sent.append(now)
                try connection.write(
                    Message.probe(id: id).frame.bytes, timeoutMilliseconds: Limits.answerMilliseconds)
            }
            for (id, sent) in zip(ids, sent) {
                let (guestReceived, guestSent) = try reply(to: id, &exchange.reader, patience)
                guard let received = hostClock.now() else { continue }
                probes.append(
                    ClockProbe(
                        hostSent: sent, guestReceived: guestReceived, guestSent: guestSent, hostReceived: received))
            }
        }
        return probes
    }

    func shutdown() { connection.shutdown() }

    private func reply(
        to id: UInt64, _ reader: inout FrameReader, _ patience: Int
    ) throws -> (TraceTicks, TraceTicks) {
        while true {
            guard case .probeReply(let answered, let guestReceived, let guestSent) = try next(&reader, patience),
                answered <= id
            else { throw SessionError("the agent answered a clock probe with something else") }
            if answered == id { return (guestReceived, guestSent) }
        }
    }

    private func next(_ reader: inout FrameReader, _ patience: Int) throws -> Message {
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            if let frame = try reader.next() {
                if let message = try Message(frame) { return message }
                continue
            }
            let count = try buffer.withUnsafeMutableBytes { (bytes) throws(TransportError) in
                try connection.read(into: bytes, timeoutMilliseconds: patience)
            }
            guard count > 0 else { throw SessionError("the agent closed the probe connection") }
            buffer.withUnsafeBytes { reader.append(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
        }
    }
}
