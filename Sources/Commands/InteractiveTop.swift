import Console
import Glibc
import Synchronization
import Threading
import Views

/// The live view on a terminal: one thread feeds snapshots at the pace that the user chose, the other draws.
enum InteractiveTop {
    static func run(source: any SnapshotSource, options: TopOptions) throws {
        let abilities = TerminalAbilities(isTerminal: true) { name in getenv(name).map { String(cString: $0) } }
        let session = try TopSession()
        let feed = Feed(source: source, session: session, intervalMilliseconds: options.intervalMilliseconds)
        Thread.start("feed") { feed.run() }
        defer { feed.stop() }
        let end = try session.run(TopModel(options: options), on: try TerminalDriver(abilities: abilities)) {
            feed.intervalMilliseconds.store($0, ordering: .relaxed)
        }
        feed.stop()
        if let failure = feed.failure { throw failure }
        if case .signal(let number) = end { throw SignalEnd(number: number) }
    }
}

/// The view was ended by a signal; the terminal is restored.
struct SignalEnd: Error {
    var number: Int32
}

private final class Feed: @unchecked Sendable {
    // @unchecked: `source` belongs to the feeding thread until `stop` has returned; `storedFailure` is under `lock`.
    let intervalMilliseconds: Atomic<Int>
    private let source: any SnapshotSource
    private let session: TopSession
    private let stopped = Latch()
    private let lock = ConditionLock()
    private var storedFailure: (any Error)?
    private var isDone = false

    init(source: any SnapshotSource, session: TopSession, intervalMilliseconds: Int) {
        self.source = source
        self.session = session
        self.intervalMilliseconds = Atomic(intervalMilliseconds)
    }

    var failure: (any Error)? { lock.withLock { storedFailure } }

    func run() {
        do {
            while stopped.value == .none, let snapshot = try source.next() {
                session.publish(snapshot)
                stopped.wait(nanoseconds: Int64(intervalMilliseconds.load(ordering: .relaxed)) * 1_000_000)
            }
            while source.staysOpen, stopped.value == .none { stopped.wait(nanoseconds: 1_000_000_000) }
        } catch {
            lock.withLock { storedFailure = error }
        }
        session.stop()
        lock.withLock {
            isDone = true
            lock.broadcast()
        }
    }

    func stop() {
        stopped.set(.abandon)
        lock.withLock { while !isDone { lock.wait() } }
    }
}
