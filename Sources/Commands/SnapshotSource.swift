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
    func close()
}

/// What `tandem top` shows.
enum SessionSource {
    /// A session of our own when guests or events are given; else the running one; else this host alone.
    static func open(_ settings: TopCommand.Settings) throws -> any SnapshotSource {
        if let socket = settings.socket { return AttachedSource(try ControlClient(path: socket)) }
        if settings.mayAttach, settings.session.guests.isEmpty, settings.session.events.isEmpty {
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
        _ = session.wait(nanoseconds: Int64(Limits.drainMilliseconds) * 2_000_000)
    }
}

/// A session in files, played at `speed` times its own pace; nil plays as fast as it can be read.
final class ReplaySource: SnapshotSource {
    private var replay: Replay
    private let speed: Double?
    private var begin: (wall: Int64, host: HostTime)?
    private var isAtEnd = false
    private var hasShownEnd = false

    init(_ input: any SessionInput, speed: Double?) {
        replay = Replay(input)
        self.speed = speed
    }

    var problem: String? { replay.shortfall }

    /// A view can follow it.
    var isPaced: Bool { speed != nil }

    /// The rest, as fast as it can be read.
    func finish() throws {
        if !isAtEnd { isAtEnd = try !replay.advance(to: nil) }
    }

    var snapshot: Snapshot { replay.snapshot }

    func next() throws -> Snapshot? {
        if isAtEnd {
            defer { hasShownEnd = true }
            return hasShownEnd ? nil : replay.snapshot
        }
        let now = MonotonicClock.nanoseconds()
        if begin == nil {
            isAtEnd = try !replay.advance(to: replay.horizon.advanced(by: 1))
            begin = (now, replay.horizon)
        }
        if let speed, let begin {
            let elapsed = Double(now - begin.wall) * speed
            isAtEnd = try !replay.advance(to: begin.host.advanced(by: Int64(elapsed)))
        } else {
            isAtEnd = try !replay.advance(to: nil)
        }
        return replay.snapshot
    }

    func close() {}
}
