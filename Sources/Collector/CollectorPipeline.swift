import Analysis
import Decoding
package import SessionLog
import StateCoding
package import Timeline
package import TraceModel
import Wire

/// The house of the host in one place: clock map → merge → analysis, for all sources of a session.
///
/// A pure function of its inputs, in their order: no clock is read, no file opened, no thread started. Live sessions and
/// replays run this same code, which is why their snapshots are equal.
///
/// ```
/// input ─▶ BatchDecoder ─▶ ClockMap.place ─▶ Merger ─▶ Analyzer ─▶ snapshot()
///          (guests)        ticks → host time  one order  states
/// ```
package struct CollectorPipeline: Codable {
    var sources: [CollectorSource] = []
    var merger: Merger
    var guestMode = GuestModeTracker()
    /// Told by the host, and not in force yet.
    var clockChanges: [ClockChange] = []
    var isHostDone = false
    private var analyzer: Analyzer
    var anomalies = AnomalyCounts()
    /// To be set before the first input: what is measured of the guests' clocks is kept, for `resyncedClocks`.
    var keepsClockJournals = false
    /// Nil while nobody asks for them.
    private var placements: [PlacedBatch]?
    var machines: [Int32: VMFacts] = [:]
    package private(set) var facts: SessionFacts?
    /// Host time up to which everything has been analyzed.
    package private(set) var horizon = HostTime(nanoseconds: 0)
    /// The latest host time that the host's own watermark told.
    var hostNow = HostTime(nanoseconds: 0)
    /// Watermarks of the host so far.
    var hostRounds = 0
    private static let silenceNanoseconds = Int64(Limits.silenceMilliseconds) * 1_000_000
    /// Nothing later is analyzed; see `hold`.
    private var limit: HostTime?
    /// Of whom nothing is known from the host's present on; told when all that the same input brought was analyzed.
    enum Unheard: Equatable, Codable { case gone(SourceID), silent(SourceID) }
    var unheard: [Unheard] = []
    /// Some of it is due, and later than the time to hold at.
    private var isUnheardHeld = false
    var observer = RunObserver()

    package init() {
        merger = Merger(maxLagNanoseconds: Limits.mergeLagNanoseconds, maxEvents: Limits.mergeEvents)
        analyzer = Analyzer(start: HostTime(nanoseconds: 0))
    }

    package mutating func apply(_ input: PipelineInput) {
        switch input {
        case .batch(let source, let batch):
            guard let index = index(of: source) else { return }
            take(batch, of: index)
        case .record(let record): apply(record)
        }
        tellUnheard()
    }

    private mutating func apply(_ record: LogRecord) {
        switch record {
        case .session(let facts):
            self.facts = facts
            merger = Merger(maxLagNanoseconds: facts.maximumLagNanoseconds, maxEvents: Limits.mergeEvents)
            analyzer = Analyzer(start: facts.start)
            horizon = facts.start
            hostNow = facts.start
        case .sourceOpened(let id, let facts, let formats, let names):
            open(id, facts, formats, names)
        case .message(let source, let message):
            guard let index = index(of: source) else { return }
            receive(message, of: index)
        case .probe(let source, let probe):
            guard let index = index(of: source) else { return }
            sources[index].intake.hold(probe)
            placeWaiting(of: index)
        case .clock(let source, let facts):
            guard let index = index(of: source) else { return }
            sources[index].clock.learn(facts)
            if case .partialEntries = facts, sources[index].facts.isHost { ignoreEntries(index) }
        case .machine(let facts):
            machines[facts.vmmPID] = facts
            followThreads()
            analyzer.identify(facts)
        case .link(let source, let vmmPID, _):
            guard let index = index(of: source) else { return }
            sources[index].vmmPID = vmmPID
            followThreads()
            analyzer.link(source, vmmPID: vmmPID)
        case .symbols: break
        case .kernelThreads(let threads):
            for thread in threads { analyzer.setKernelThread(thread) }
        case .threadsEnded(let threads, let time): analyzer.threadsEnded(threads, by: time)
        case .sourceClosed(let source, let reason, let isFailure):
            guard let index = index(of: source) else { return }
            close(index, reason, isFailure: isFailure)
            if sources[index].facts.isHost {
                hostIsDone()
                for guest in sources.indices where guest != index { endIfSettled(guest) }
            }
            endIfSettled(index)
            analyze()
        }
    }

    /// The end of a source takes effect when its last events do.
    mutating func endIfSettled(_ index: Int, isForced: Bool = false) {
        let isHostThere = !isHostDone && sources.contains { $0.facts.isHost }
        guard let closing = sources[index].closing,
            isDue(closing, isForced: isForced || !isHostThere, of: index)
        else { return }
        sources[index].closing = nil
        let source = sources[index].id
        let isFailure = if case .gone = sources[index].state { true } else { false }
        if !sources[index].facts.isHost {
            placeWaiting(of: index, all: true)
            if let end = merger.end(of: source), !isFailure {
                observer.seeEnd?(source, end, false)
                analyzer.sourceEnds(source, at: end)
            }
        }
        merger.endSource(source)
        if isFailure { unheard.append(.gone(source)) }
    }

    private func index(of source: SourceID) -> Int? {
        sources.firstIndex { $0.id == source }
    }

    private mutating func open(
        _ id: SourceID, _ facts: SourceFacts, _ formats: [FormatMessage], _ names: TaskNamesMessage
    ) {
        let host = facts.isHost ? nil : sources.first { $0.facts.isHost }
        let former = closeFormer(of: id)
        let opening = SourceOpening(facts, formats: formats, anomalies: &anomalies)
        var source = CollectorSource(
            id: id, opening: opening, hostClock: host?.facts.prepared.clock,
            epoch: former.map { sources[$0].clock.epoch + 1 } ?? 0)
        if keepsClockJournals { source.clock.keepJournal() }
        merger.addSource(id, isReference: facts.isHost)
        analyzer.bind(id, name: facts.name, formats: source.formats, exitReasonName: source.exitReasonName)
        for task in names.tasks { analyzer.name(task.tid, Comm(task.comm), of: id) }
        if let former {
            succeed(former, by: source)
        } else {
            sources.removeAll { $0.id == id }
            sources.append(source)
        }
    }

    private mutating func receive(_ message: Message, of index: Int) {
        switch message {
        case .batch(let body):
            do throws(MessageError) {
                let batch = try sources[index].decode(body)
                // Batches of the host and of files are encoded in recordings only: they came over no wire.
                if !sources[index].facts.endpoint.isEmpty {
                    sources[index].bytes &+= UInt64(body.count + Frame.headerBytes)
                }
                take(batch, of: index)
            } catch {
                anomalies.add(.batchMalformed)
            }
        case .watermark(let ticks):
            if sources[index].facts.isHost {
                guard let time = sources[index].clock.watermark(ticks) else { return }
                hostNow = max(hostNow, time)
                hostRounds += 1
                settleClocks()
                placeWaiting()
                merger.watermark(sources[index].id, time)
                for guest in sources.indices where guest != index { endIfSettled(guest) }
            } else {
                sources[index].intake.hold(ticks, arrival)
                placeWaiting(of: index)
            }
            analyze()
            if sources[index].facts.isHost { followSilence() }
        case .statistics(let statistics):
            sources[index].statistics = statistics
        case .onlineCPUs(let cpus):
            sources[index].onlineCPUs = cpus.count
        case .steal(let sample):
            // A source that was left behind tells of a time that is over.
            guard !merger.isLate(sources[index].id), let placed = sources[index].clock.hostTime(sample.ticks) else {
                return
            }
            // A sample is of the past. What the host has told lies behind by no more than the analysis may.
            guard placed.time - hostNow <= Limits.mergeLagNanoseconds else { return }
            observer.seeSteal?(sources[index].id, sample.cpus, placed.time)
            analyzer.sampleSteal(sources[index].id, sample.cpus, at: placed.time)
        default:
            anomalies.add(.unknownMessageSkipped)
        }
    }

    /// Of a guest that says nothing for so long nothing is known any more; its next events tell anew.
    private mutating func followSilence() {
        for guest in sources.indices where !sources[guest].facts.isHost {
            guard case .live = sources[guest].state, let heard = merger.watermark(of: sources[guest].id) else {
                continue
            }
            let isSilent = hostNow - heard > Self.silenceNanoseconds
            guard isSilent != sources[guest].isSilent else { continue }
            sources[guest].isSilent = isSilent
            if isSilent { unheard.append(.silent(sources[guest].id)) }
        }
    }

    private mutating func take(_ batch: EventBatch, of index: Int) {
        sources[index].count(batch)
        if sources[index].facts.isHost {
            followClocks(batch, of: index)
            place(batch, of: index)
        } else {
            sources[index].intake.hold(batch, arrival)
            placeWaiting(of: index)
        }
    }

    mutating func place(_ batch: EventBatch, of index: Int) {
        guard let placed = sources[index].clock.place(batch, from: sources[index].id) else {
            anomalies.add(.clockUnmapped, UInt64(batch.headers.count))
            return
        }
        if !sources[index].facts.isHost { judge(placed, of: index) }
        placements?.append(placed)
        merger.push(placed)
    }

    /// Every batch as it was placed since the last call, once this was called: for whoever compares maps.
    package mutating func takePlacements() -> [PlacedBatch] {
        defer { placements = [] }
        return placements ?? []
    }

    /// Releases what the watermarks allow into the analyzer.
    private mutating func analyze() {
        var released = Self.release(from: &merger, notAfter: limit, seenBy: observer, into: &analyzer)
        // The session lasted until the host's last word, not only until the last event.
        if isHostDone, !merger.isHeld, sources.allSatisfy(\.hasEnded) { released = max(released ?? hostNow, hostNow) }
        guard let reached = released, reached > horizon else { return }
        horizon = reached
        analyzer.advance(to: min(reached, limit ?? reached))
    }

    /// Whoever is gone is, once all that he sent is analyzed. Held back when the host's present is later than the time to
    /// hold at.
    private mutating func tellUnheard() {
        isUnheardHeld = false
        guard !unheard.isEmpty else { return }
        let due = unheard.filter { if case .gone(let source) = $0 { !merger.holds(source) } else { true } }
        guard !due.isEmpty else { return }
        guard limit.map({ hostNow <= $0 }) ?? true else {
            isUnheardHeld = true
            return
        }
        unheard.removeAll { due.contains($0) }
        for change in due {
            switch change {
            case .gone(let source):
                observer.seeEnd?(source, hostNow, true)
                analyzer.sourceGone(source, at: hostNow)
            case .silent(let source):
                analyzer.advance(to: horizon)
                for cpu in index(of: source).map({ sources[$0].facts.prepared.cpus }) ?? [] {
                    var unknown = EventBatch(cpu: cpu)
                    unknown.losses = [LossMark(index: 0, place: .agent, count: nil)]
                    analyzer.apply(unknown, times: [], range: 0..<0, source: source, boundNanoseconds: 0)
                }
            }
        }
        dropSucceeded()
    }

    /// Static, so that the merger can be drained while the analyzer takes the events: two parts of one value.
    private static func release(
        from merger: inout Merger, notAfter limit: HostTime?, seenBy observer: RunObserver,
        into analyzer: inout Analyzer
    ) -> HostTime? {
        merger.drain(notAfter: limit) { placed, range in
            observer.see?(placed, range)
            if observer.replacesAnalysis { return }
            analyzer.apply(
                placed.batch, times: placed.times, range: range, source: placed.source,
                boundNanoseconds: placed.boundNanoseconds)
        }
    }

    // MARK: Checkpoints

    /// The whole state, but for what the openings of the sources told: those are in the recording.
    package func checkpoint() throws -> [UInt8] { try StateEncoder.encode(self) }

    /// The pipeline that made a checkpoint, given the openings of all its sources. Feeding both the same inputs from here on
    /// makes no difference.
    package init(checkpoint: [UInt8], openings: [LogRecord]) throws {
        self = try StateDecoder.decode(CollectorPipeline.self, from: checkpoint)
        try reopen(openings)
    }

    /// Gives a pipeline out of a checkpoint back what its sources told when they were opened.
    mutating func reopen(_ openings: [LogRecord]) throws {
        for record in openings {
            guard case .sourceOpened(let id, let facts, let formats, _) = record, let index = index(of: id) else {
                continue
            }
            sources[index].reopen(SourceOpening(facts, formats: formats))
            if id == .host { analyzer.restore(exitReasonName: sources[index].exitReasonName) }
        }
        guard sources.allSatisfy({ !$0.facts.name.isEmpty }) else {
            throw StateError(description: "the checkpoint has a source whose opening is missing")
        }
    }

    // MARK: Instants

    /// The state at instants before this can only be found by beginning again.
    package var analyzedUntil: HostTime { analyzer.analyzedUntil }

    /// Lets nothing later than `time` into the analysis, until `release` or a later instant to hold at.
    package mutating func hold(at time: HostTime) {
        limit = time
        goOn()
    }

    /// Something later than the time to hold at would have been analyzed: all that happened up to it has been.
    package var isHeld: Bool { merger.isHeld || isUnheardHeld }

    /// Goes on as if it had never been held.
    package mutating func release() {
        guard limit != nil else { return }
        limit = nil
        goOn()
        analyzer.advance(to: horizon)
    }

    private mutating func goOn() {
        analyze()
        tellUnheard()
    }

    /// Everything as it was at `time`, given that nothing later was analyzed. What follows is the same with it or without.
    package func snapshot(at time: HostTime) -> Snapshot {
        var past = self
        past.analyzer.advance(to: time)
        return past.snapshot()
    }

    /// Host threads that kvm events named and nobody has identified yet: look them up, and tell `.machine`.
    package mutating func takeUnidentifiedThreads() -> [Int32] { analyzer.takeUnidentifiedThreads() }

    // MARK: Intervals

    package mutating func listIntervals() { analyzer.listIntervals() }

    /// Those that closed since the last call; see `Analyzer.takeIntervals`.
    package mutating func takeIntervals() -> [StateInterval] { analyzer.takeIntervals() }

    /// Those that closed until `time` and were not taken, and those that go on there, given that nothing later was analyzed.
    package func lastIntervals(at time: HostTime?) -> [StateInterval] {
        var past = self
        if let time { past.analyzer.advance(to: time) }
        return past.analyzer.takeIntervals() + past.analyzer.openIntervals()
    }

    package func snapshot() -> Snapshot {
        var snapshot = analyzer.snapshot()
        let machines = machineSources
        snapshot.sources = machines.map { $0.snapshot(merger: merger) }
        for guest in snapshot.guests.indices {
            // The analyzer knows sources by their ids only.
            let position = snapshot.guests[guest].source.flatMap { id in
                machines.firstIndex { $0.id.isSameMachine(as: SourceID(UInt32(truncatingIfNeeded: id))) }
            }
            snapshot.guests[guest].source = position
            snapshot.guests[guest].clock = position.flatMap { snapshot.sources[$0].clock }
        }
        var counts = anomalies
        counts.add(analyzer.anomalies)
        for source in sources { counts.add(source.anomalies(merger: merger)) }
        snapshot.health.anomalies = counts.nonZero.map {
            Snapshot.AnomalyCount(name: $0.anomaly.label, count: $0.count)
        }
        // Once the host's tracer has ended, the guests' last events may lie behind its clock's last reading.
        snapshot.health.lagNanoseconds = max(0, hostNow - horizon)
        snapshot.health.eventsLost = snapshot.sources.reduce(0) { $0 &+ $1.lost.total }
        snapshot.health.lossesOfUnknownSize = snapshot.sources.reduce(0) { $0 &+ $1.lost.ofUnknownSize }
        snapshot.health.limits = analyzer.limits + machines.flatMap(\.limits)
        return snapshot
    }
}
