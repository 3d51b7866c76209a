package import SessionLog
import Threading
package import TraceModel
import Wire

/// An LTTng session as a source of a live session of ours: a thread that follows it and tells the pipeline.
///
/// When the relay daemon goes away, the thread tries again every second; what happened meanwhile is a loss on every CPU.
package final class LiveFeed: @unchecked Sendable {
    // @unchecked: `shared` is only touched under `lock`; everything else belongs to the thread that `prepare` starts.
    private struct Shared {
        var opening: Opening?
        var failure: CTFError?
        var isStopping = false
        var isRunning = false
        /// `sourceClosed` was told: nothing may follow.
        var isClosed = false
    }

    /// What is known once the session has spoken.
    package struct Opening: Sendable {
        package let record: LogRecord
        /// On its own clock: where it was when we came.
        package let start: TraceTicks
        package let clock: CTFClock

        /// The session's clock by what both kernels believe the time of day to be; nil when one does not say.
        package func wallClockMap(hostZero: Int64?) -> GivenClock? {
            guard let hostZero, let zero = clock.epochOffsetNanoseconds else { return nil }
            let (offset, overflow) = zero.subtractingReportingOverflow(hostZero)
            return overflow ? nil : CTFRelations.byWallClocks(start, offset)
        }
    }

    package let source: SourceID
    private let name: String?
    private let url: String
    private let tell: @Sendable (PipelineInput) -> Void
    private let notice: @Sendable (String) -> Void
    private let sync: LiveSync?
    private let connect: @Sendable () -> Result<any LiveSource, CTFError>
    private let lock = ConditionLock()
    private var shared = Shared()

    // The thread's own.
    private var told: TraceTicks?
    private var formatCount = 0
    private var cpus: Set<Int> = []
    private var waiting: [PipelineInput] = []
    private var waitingBytes = 0

    /// `tell` may block; it is how a slow pipeline holds a fast session back. `sync` sees what comes before it begins.
    /// `connect` is how the session is reached, each time.
    package init(
        source: SourceID, name: String?, url: String, tell: @escaping @Sendable (PipelineInput) -> Void,
        notice: @escaping @Sendable (String) -> Void, sync: LiveSync? = nil,
        connect: (@Sendable () -> Result<any LiveSource, CTFError>)? = nil
    ) {
        self.connect = connect ?? { LiveReader.attach(to: url) }
        self.sync = sync
        self.source = source
        self.name = name
        self.url = url
        self.tell = tell
        self.notice = notice
    }

    /// Attaches, and waits until the session has told what it is.
    package func prepare() throws(CTFError) -> Opening {
        Thread.start("lttng \(name ?? "host")") { [self] in follow() }
        let deadline = MonotonicClock.deadline(after: Int64(Limits.answerMilliseconds) * 1_000_000)
        let (opening, failure) = lock.withLock {
            while shared.opening == nil, shared.failure == nil { guard lock.wait(until: deadline) else { break } }
            return (shared.opening, shared.failure)
        }
        if let opening { return opening }
        stop()
        throw failure
            ?? CTFError(
                "the LTTng session '\(url)' says nothing; is it started, and was it created with --live?")
    }

    /// From here on inputs are told.
    package func run() { set { $0.isRunning = true } }

    /// No more; `sourceClosed` is told last.
    package func stop() {
        set {
            $0.isStopping = true
            $0.isRunning = true
        }
    }

    /// Told as closed now, whatever its thread waits for: a relay daemon that does not answer must not hold up the end.
    package func abandon() {
        stop()
        close("the relay daemon does not answer", isFailure: true)
    }

    private func close(_ reason: String, isFailure: Bool) {
        let isFirst = lock.withLock {
            defer { shared.isClosed = true }
            return !shared.isClosed
        }
        if isFirst { tell(.record(.sourceClosed(source, reason: reason, isFailure: isFailure))) }
    }

    private func set(_ change: (inout Shared) -> Void) {
        lock.withLock {
            change(&shared)
            lock.broadcast()
        }
    }

    private var isStopping: Bool { lock.withLock { shared.isStopping } }

    // MARK: Thread

    private func follow() {
        var isAgain = false
        var lastProblem = ""
        var reason: (text: String, isFailure: Bool) = ("drained", false)
        while true {
            do throws(CTFError) {
                let reader = try connect().get()
                let problem = pump(reader, isAgain: isAgain) { lastProblem = "" }
                isAgain = true
                guard let problem, !isStopping else {
                    if !isStopping { reason = ("the LTTng session ended", false) }
                    break
                }
                guard hasOpened else { throw CTFError(problem) }
                // Once, however many tries it takes.
                if problem != lastProblem { notice("\(problem); trying again every second") }
                lastProblem = problem
            } catch {
                guard hasOpened, !isStopping else {
                    set { $0.failure = error }
                    reason = (error.description, true)
                    break
                }
            }
            sleep(milliseconds: 1000)
            if isStopping { break }
        }
        // Where nothing ever began, nobody waits for its end.
        guard hasOpened else { return }
        awaitRun()
        flush()
        close(reason.text, isFailure: reason.isFailure)
    }

    private var hasOpened: Bool { lock.withLock { shared.opening != nil } }

    /// Until the session ends or breaks; then why, if it broke.
    ///
    /// A relay daemon that is there again is known by its first answer, not before.
    private func pump(_ reader: any LiveSource, isAgain: Bool, answered: () -> Void) -> String? {
        var hasAnswered = false
        func noteAnswer() {
            guard !hasAnswered else { return }
            hasAnswered = true
            if isAgain { rejoin() }
            answered()
        }
        var pause = LiveFeed.shortestPause
        while !isStopping {
            switch reader.step() {
            case .events(let batches, let watermark):
                noteAnswer()
                pause = LiveFeed.shortestPause
                take(batches, watermark, reader)
            case .waiting:
                noteAnswer()
                flushIfRunning()
                sleep(milliseconds: pause)
                pause = min(pause * 2, LiveFeed.longestPause)
            case .ended(let problem): return problem
            }
        }
        return nil
    }

    /// Milliseconds between two questions to a silent session. Events come with LTTng's live timer, one second by default.
    private static let shortestPause = 2
    private static let longestPause = 50

    private func take(_ batches: [EventBatch], _ watermark: TraceTicks?, _ reader: any LiveSource) {
        if let facts = reader.facts, let watermark, formatCount != reader.formats.count || !hasOpened {
            formatCount = reader.formats.count
            open(facts, batches.compactMap(\.headers.first?.ticks).min() ?? watermark, reader)
        }
        sync?.note(batches, formats: reader.formats, of: source)
        for batch in batches {
            cpus.insert(batch.cpu)
            put(.batch(source, batch))
        }
        if let watermark, told.map({ $0 < watermark }) ?? true {
            told = watermark
            put(.record(.message(source, .watermark(watermark))))
        }
    }

    /// The first opening is the session's; later ones add formats of events that were enabled since.
    private func open(_ facts: CTFMachineFacts, _ start: TraceTicks, _ reader: any LiveSource) {
        let isHost = source == .host
        let prepared = Prepared(
            token: 0, clock: .mono, byteOrder: .native, longSize: 8, subBufferBytes: 4096, bufferKiBPerCPU: 0,
            cpus: cpus.sorted(), instance: "")
        let record = LogRecord.sourceOpened(
            source,
            SourceFacts(
                name: name ?? facts.name, isHost: isHost, endpoint: url, hostname: facts.hostname, bootID: facts.bootID,
                kernelRelease: facts.kernelRelease, prepared: prepared),
            formats: reader.formats.map { FormatMessage(system: $0.system, text: $0.text) },
            names: TaskNamesMessage(tasks: []))
        guard !hasOpened else {
            put(.record(record))
            return
        }
        set { $0.opening = Opening(record: record, start: start, clock: facts.clock) }
    }

    /// What was missed while nobody listened.
    private func rejoin() {
        for cpu in cpus.sorted() {
            var batch = EventBatch(cpu: cpu)
            batch.losses = [LossMark(index: 0, place: .ringBuffer, count: nil)]
            put(.batch(source, batch))
        }
        notice("follows '\(url)' again")
    }

    // MARK: Out

    /// What comes before the session has begun is kept: it is some seconds' worth.
    private func put(_ input: PipelineInput) {
        waiting.append(input)
        if case .batch(_, let batch) = input { waitingBytes += batch.records.count + batch.headers.count * 32 }
        if waitingBytes >= Limits.liveWaitingBytes { awaitRun() }
        flushIfRunning()
    }

    private func flushIfRunning() { if lock.withLock({ shared.isRunning }) { flush() } }

    private func flush() {
        if !lock.withLock({ shared.isClosed }) { for input in waiting { tell(input) } }
        waiting.removeAll(keepingCapacity: true)
        waitingBytes = 0
    }

    private func awaitRun() { lock.withLock { while !shared.isRunning { lock.wait() } } }

    private func sleep(milliseconds: Int) {
        let deadline = MonotonicClock.deadline(after: Int64(milliseconds) * 1_000_000)
        lock.withLock { while !shared.isStopping { guard lock.wait(until: deadline) else { break } } }
    }
}
