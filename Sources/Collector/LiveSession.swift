import CTF
import Capture
import Inventory
package import SessionLog
import Threading
package import TraceModel
import Transport
import Wire

/// A session that is traced now: the host's recorder and the guests' links on one side, the pipeline on the other.
///
/// ```
/// host tracer ─┐                                   ┌─▶ LogWriter
/// guest links ─┼─▶ bounded queue ─▶ pipeline thread┤
/// probes ──────┘                                   └─▶ latest snapshot ─▶ whoever asks
/// ```
/// `prepare` fails before anything has begun; after `start` a guest that dies is reported, the session goes on, and when an
/// agent answers there again, it is taken back.
package final class LiveSession: @unchecked Sendable {
    // @unchecked: `shared` is only touched under `lock`; the pipeline and the writer belong to the pipeline thread.
    struct Shared {
        var snapshot = Snapshot(window: Snapshot.Window(startNanoseconds: 0, endNanoseconds: 0))
        var notices: [String] = []
        var failure: String?
        var openSources = 0
        var isStopping = false
        var isFinished = false
        var bytesWritten: UInt64 = 0
        var savesAsked = 0
        /// The latest one to each guest.
        var links: [GuestLink] = []
        /// Who is being greeted again.
        var returning: [GuestLink] = []
        /// Names by the boot ids of the guests.
        var guestNames: [String: String] = [:]
    }

    let options: SessionOptions
    private let writer: LogWriter?
    let hello: Hello
    let queue = BoundedQueue<PipelineInput>(maximumWeight: 64 << 20)
    let lock = ConditionLock()
    var shared = Shared()
    var host: HostTracer?
    /// LTTng sessions, the host's among them where there is one.
    var feeds: [LiveFeed] = []
    let feedSync: LiveSync
    /// Where the time line begins, when that is before the pipeline does.
    var begin: HostTime?
    /// From the zero of its clock to 1970.
    var feedZero: Int64?
    /// What the pipeline is told first, gathered while the session is set up.
    var opening: [LogRecord] = []
    let machines: MachineWatch
    /// Belongs to the pipeline thread.
    private var flightRecorder: FlightRecorder?
    /// Made by `prepare`.
    var clocks: ClockPlan?
    /// How often the snapshot is renewed while events come.
    private static let snapshotNanoseconds: Int64 = 100_000_000
    /// How often it is looked whether the machines are still there.
    private static let rollNanoseconds: Int64 = 1_000_000_000

    package init(options: SessionOptions, writer: LogWriter?, flightRecorder: FlightRecorder? = nil) {
        self.flightRecorder = flightRecorder
        self.options = options
        self.writer = writer
        hello = LocalMachine.hello
        let machines = MachineWatch()
        self.machines = machines
        // Threads of an LTTng session's host are not those of this one.
        feedSync = options.lttngHost == nil ? LiveSync(machine: { machines.machine(of: $0) }) : LiveSync()
    }

    // MARK: Set-up

    /// Sets everything up on the host and in every guest. Throws what is wrong before anything is traced.
    package func prepare() throws {
        do {
            if let url = options.lttngHost {
                try followHost(url)
            } else {
                let clocks = try ClockPlan(options)
                self.clocks = clocks
                let host = try HostTracer(
                    options: options, clock: clocks.host.clock, queue: queue,
                    see: options.lttngGuests.isEmpty ? nil : noting(clocks.host.scale))
                self.host = host
                try connectGuests(host, clocks)
            }
            try followGuests()
        } catch {
            host?.close()
            for link in links { link.abort() }
            feedSync.stop()
            for feed in feeds { feed.stop() }
            throw error
        }
    }

    // MARK: Running

    /// Tracing on, everywhere.
    package func start() {
        lock.withLock { shared.openSources = shared.links.count + feeds.count + (host == nil ? 0 : 1) }
        let facts = LocalMachine.sessionFacts(
            start: begin ?? clocks?.host.now() ?? HostTime(nanoseconds: 0), options: options)
        for record in [.session(facts)] + opening { queue.put(.record(record), weight: 256) }
        Thread.start("pipeline") { [self] in runPipeline() }
        if begin == nil { host?.run() }
        host?.release()
        for feed in feeds { feed.run() }
        for link in links { run(link) }
    }

    func run(_ link: GuestLink) {
        do {
            try link.run()
        } catch {
            queue.push(.record(.sourceClosed(link.source, reason: "\(error)", isFailure: true)), weight: 64)
        }
    }

    /// Tracing off, everything delivered; returns at once, `isFinished` tells when it is done.
    ///
    /// The guests first. Whoever is traced without its host seems to run where it was seen last.
    package func stop() {
        let (isAlone, links, returning) = lock.withLock {
            shared.isStopping = true
            lock.broadcast()
            return (shared.openSources == 1, shared.links, shared.returning)
        }
        for link in returning { link.abort() }
        for link in links { link.drain() }
        feedSync.stop()
        for feed in feeds where feed.source != .host { feed.stop() }
        if isAlone { drainHost() }
        // A guest that falls silent is left behind by its link; a relay daemon that does not answer, and a guest that never comes
        // to an end, here.
        let limit = options.drainMilliseconds
        Thread.start("drain limit") { [self] in
            let begin = MonotonicClock.nanoseconds()
            guard isRunning(at: begin + Int64(min(limit, Limits.silenceMilliseconds)) * 1_000_000) else { return }
            for feed in feeds { feed.abandon() }
            guard isRunning(at: begin + Int64(limit) * 1_000_000) else { return }
            let reason =
                "\(limit / 1000) s after it was asked for the events that it still had it goes on sending: what it has is lost"
            for link in links { link.abort(reason) }
        }
    }

    /// Waits until then; false as soon as the session is over.
    private func isRunning(at deadline: Int64) -> Bool {
        lock.withLock {
            while !shared.isFinished { guard lock.wait(until: deadline) else { break } }
            return !shared.isFinished
        }
    }

    /// Ends now; what was not delivered is lost.
    package func abort() {
        for link in lock.withLock({
            shared.isStopping = true
            lock.broadcast()
            return shared.links + shared.returning
        }) {
            link.abort()
        }
        feedSync.stop()
        for feed in feeds { feed.abandon() }
        host?.abort()
    }

    private var links: [GuestLink] { lock.withLock { shared.links } }

    package var snapshot: Snapshot { lock.withLock { shared.snapshot } }

    package var bytesWritten: UInt64 { lock.withLock { shared.bytesWritten } }

    /// Things worth a line on the terminal since the last call.
    package func takeNotices() -> [String] {
        lock.withLock {
            defer { shared.notices = [] }
            return shared.notices
        }
    }

    package var isFinished: Bool { lock.withLock { shared.isFinished } }

    /// Why the session had to end, when it did not end because it was asked to.
    package var failure: String? { lock.withLock { shared.failure } }

    /// Waits for the end, or `nanoseconds`; true when the session has ended.
    package func wait(nanoseconds: Int64) -> Bool {
        let deadline = MonotonicClock.deadline(after: nanoseconds)
        return lock.withLock {
            while !shared.isFinished { guard lock.wait(until: deadline) else { break } }
            return shared.isFinished
        }
    }

    /// Asks for a recording of what is kept now; a notice tells its name, or why there is none.
    package func save() { lock.withLock { shared.savesAsked += 1 } }

    func notice(_ text: String) { lock.withLock { shared.notices.append(text) } }

    // MARK: Pipeline thread

    private func runPipeline() {
        var pipeline = CollectorPipeline()
        var recorder = LogRecorder(writer: writer)
        var nextSnapshot: Int64 = 0
        var roll = MachineRoll()
        var nextRoll: Int64 = 0
        while true {
            let input = queue.pop(timeoutNanoseconds: LiveSession.snapshotNanoseconds)
            if let input {
                process(input, &pipeline, &recorder)
                if case .record(.machine(let facts)) = input { roll.add(facts) }
                if case .record(.sourceClosed(let source, let reason, let isFailure)) = input {
                    if isFailure { notice("\(name(of: source)) is gone: \(reason)") }
                    let (left, isStopping) = lock.withLock {
                        shared.openSources -= 1
                        // Nobody who comes back is let in behind the last.
                        shared.isStopping = shared.isStopping || shared.openSources == 0
                        return (shared.openSources, shared.isStopping)
                    }
                    if left == 0 { break }
                    if isFailure, !isStopping { awaitReturn(of: source) }
                    if left == 1, isStopping { drainHost() }
                }
            }
            let now = MonotonicClock.nanoseconds()
            guard now >= nextSnapshot else { continue }
            nextSnapshot = now + LiveSession.snapshotNanoseconds
            let unidentified = pipeline.takeUnidentifiedThreads()
            // Threads of an LTTng session's host are not those of this one.
            for record in host == nil ? [] : machines.identify(unidentified) {
                process(.record(record), &pipeline, &recorder)
                if case .machine(let facts) = record { roll.add(facts) }
            }
            if host != nil, now >= nextRoll {
                nextRoll = now + LiveSession.rollNanoseconds
                let ended = roll.takeEnded()
                if !ended.isEmpty, let time = clocks?.host.now() {
                    process(.record(.threadsEnded(ended, by: time)), &pipeline, &recorder)
                }
            }
            for source in pipeline.lostClocks() { links.first { $0.source == source }?.probeNow() }
            if let failure = recorder.flush() { fail(failure) }
            publish(pipeline, recorder)
            save(pipeline, &recorder)
        }
        if let failure = recorder.flush() { fail(failure) }
        publish(pipeline, recorder)
        queue.close()
        lock.withLock {
            shared.isFinished = true
            lock.broadcast()
        }
    }

    private func process(_ input: PipelineInput, _ pipeline: inout CollectorPipeline, _ recorder: inout LogRecorder) {
        if let failure = recorder.write(input) { fail(failure) }
        pipeline.apply(input)
        if let failure = recorder.follow(pipeline) { fail(failure) }
    }

    private func publish(_ pipeline: CollectorPipeline, _ recorder: LogRecorder) {
        let snapshot = pipeline.snapshot()
        lock.withLock {
            shared.snapshot = snapshot
            shared.bytesWritten = recorder.bytesWritten
        }
    }

    /// Saves when somebody asked, or a threshold does.
    private func save(_ pipeline: CollectorPipeline, _ recorder: inout LogRecorder) {
        let (asked, snapshot) = lock.withLock {
            defer { shared.savesAsked = 0 }
            return (shared.savesAsked, shared.snapshot)
        }
        for problem in flightRecorder?.takeBlindThresholds(snapshot) ?? [] { notice("--save-on \(problem)") }
        let reason = flightRecorder?.reason(snapshot)
        guard asked > 0 || reason != nil, let directory = flightRecorder?.nextDirectory() else { return }
        if let problem = recorder.save(as: directory, at: pipeline.horizon) {
            notice("saving as \(directory) failed: \(problem)")
        } else {
            notice("saved as \(directory)\(reason.map { " (\($0))" } ?? "")")
        }
    }

    /// The recording cannot go on: the session is drained and ends with this reason.
    private func fail(_ reason: String) {
        let isFirst = lock.withLock {
            defer { shared.failure = shared.failure ?? reason }
            return shared.failure == nil
        }
        if isFirst { stop() }
    }

    private func name(of source: SourceID) -> String {
        source == .host ? "the host's tracer" : links.first { $0.source == source }?.guest.name ?? "a guest"
    }
}
