import Collector
import SessionLog
import Threading
import TraceModel

/// Where a view gets its snapshots: a live session, one of another process, or a recording.
protocol SnapshotSource: AnyObject {
    /// The latest snapshot; nil when there will be none any more.
    func next() throws -> Snapshot?
    /// Why it ended before its time.
    var problem: String? { get }
    /// A view of it stays at the end until the user leaves.
    var staysOpen: Bool { get }
    func close()
}

extension SnapshotSource {
    var staysOpen: Bool { false }
}

/// What `tandem top` shows.
enum SessionSource {
    /// A session of our own when guests or events are given; else the running one; else this host alone.
    static func open(_ settings: TopCommand.Settings) throws -> any SnapshotSource {
        if let socket = settings.socket { return AttachedSource(try ControlClient(path: socket)) }
        if settings.mayAttach, settings.session.guests.isEmpty, settings.session.events.isEmpty,
            settings.session.lttngHost == nil, settings.session.lttngGuests.isEmpty
        {
            for path in ControlSocket.candidates() {
                if let client = try? ControlClient(path: path) { return AttachedSource(client) }
            }
        }
        let session = LiveSession(options: try settings.session.options(), writer: nil)
        try session.prepare()
        session.start()
        return OwnSource(session)
    }
}

private final class AttachedSource: SnapshotSource {
    private let client: ControlClient
    let problem: String? = nil

    init(_ client: ControlClient) { self.client = client }

    func next() throws -> Snapshot? { try client.next() }

    func close() {}
}

private final class OwnSource: SnapshotSource {
    private let session: LiveSession

    init(_ session: LiveSession) { self.session = session }

    var problem: String? { session.failure }

    func next() throws -> Snapshot? { session.isFinished ? nil : session.snapshot }

    /// Leaves tracefs as it was, here and in the guests.
    func close() {
        guard !session.isFinished else { return }
        session.stop()
        // Nobody looks any more: what a guest that is silent still has is not worth a long wait.
        _ = session.wait(nanoseconds: Int64(Limits.silenceMilliseconds) * 2_000_000)
    }
}

/// A session in files, played at `speed` times its own pace; nil plays as fast as it can be read.
final class ReplaySource: SnapshotSource {
    private var replay: Replay
    private let speed: Double?
    private var begin: (wall: Int64, host: HostTime)?
    private var isAtEnd = false
    private var hasShownEnd = false

    private let end: SessionTime?
    let staysOpen: Bool

    /// From and to instants of the session; nil for its beginning and end.
    init(
        _ input: any SessionInput, speed: Double?, from: SessionTime? = nil, to end: SessionTime? = nil,
        staysOpen: Bool = false
    ) throws {
        replay = Replay(input)
        self.end = end
        self.staysOpen = staysOpen
        if let from { _ = try replay.snapshot(at: from) }
        self.speed = speed
    }

    var problem: String? { replay.shortfall }

    /// A view can follow it.
    var isPaced: Bool { speed != nil }

    /// The rest, as fast as it can be read.
    func finish() throws {
        if !isAtEnd { try goToEnd() }
    }

    private func goToEnd() throws {
        isAtEnd = true
        last = if let end { try replay.snapshot(at: end) } else { try replay.end() }
    }

    private var last: Snapshot?

    var snapshot: Snapshot { last ?? replay.snapshot }

    func next() throws -> Snapshot? {
        if isAtEnd {
            defer { hasShownEnd = true }
            return hasShownEnd ? nil : snapshot
        }
        let now = MonotonicClock.nanoseconds()
        if begin == nil {
            if replay.facts == nil { isAtEnd = try !replay.advance(to: HostTime(nanoseconds: .min)) }
            begin = (now, replay.reached)
        }
        guard let speed, let begin else {
            try goToEnd()
            return snapshot
        }
        let time = begin.host.advanced(by: Int64(Double(now - begin.wall) * speed))
        if let end, let facts = replay.facts, time >= end.instant(in: facts) {
            try goToEnd()
        } else {
            isAtEnd = try !replay.advance(to: time)
        }
        return snapshot
    }

    func close() {}
}
