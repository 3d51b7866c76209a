import Decoding
import SessionLog
import Timeline
import TraceModel
import Wire

/// What the pipeline keeps of one source: its formats, its clock and its books.
struct CollectorSource: Codable {
    enum State: Codable {
        case live
        case drained
        case gone(String)
    }

    let id: SourceID
    private var opening: SourceOpening
    var clock: ClockMap
    var intake = GuestIntake()
    /// Events whose placed time lies in a window of guest mode of their vCPU, and those for which that could be told.
    var contained: UInt64 = 0
    var judged: UInt64 = 0
    var state = State.live
    /// It has ended, and what it sent last is not placed yet.
    var closing: GuestIntake.Arrival?
    /// Its connection is open, and nothing of it was placed for long.
    var isSilent = false
    var vmmPID: Int32?
    var events: UInt64 = 0
    var bytes: UInt64 = 0
    var statistics: SourceStatistics?
    var onlineCPUs: Int
    private var lost = Snapshot.Lost()

    /// - Parameter hostClock: by which its host stamps, nil when this is the host: of the two clocks either may stray.
    init(id: SourceID, opening: SourceOpening, hostClock: TraceClock?) {
        self.id = id
        self.opening = opening
        let facts = opening.facts
        let tolerance = ClockTolerance.standard(for: facts.prepared.clock)
        clock = ClockMap(
            clock: facts.prepared.clock, identity: facts.isHost,
            tolerance: hostClock.map { tolerance.union(.standard(for: $0)) } ?? tolerance)
        onlineCPUs = facts.prepared.cpus.count
    }

    /// Nothing of it is still to come.
    var hasEnded: Bool {
        if case .live = state { return false }
        return closing == nil
    }

    var facts: SourceFacts { opening.facts }
    var formats: FormatTable { opening.formats }
    var exitReasonName: @Sendable (UInt64, UInt64) -> String? { opening.exitReasonName }

    var kvmEvents: KVMEvents { opening.kvmEvents }

    mutating func decode(_ body: [UInt8]) throws(MessageError) -> EventBatch { try opening.decoder.decode(body) }

    /// After a checkpoint, which holds nothing of the opening.
    mutating func reopen(_ opening: SourceOpening) { self.opening = opening }

    mutating func count(_ batch: EventBatch) {
        events &+= UInt64(batch.headers.count)
        for loss in batch.losses {
            guard let count = loss.count else {
                lost.ofUnknownSize &+= 1
                continue
            }
            switch loss.place {
            case .ringBuffer: lost.ringBuffer &+= count
            case .agent: lost.agent &+= count
            case .malformed: lost.malformed &+= count
            }
        }
    }

    func anomalies(merger: Merger) -> AnomalyCounts {
        var counts = AnomalyCounts()
        counts.add(.eventLate, merger.lateEvents(id))
        counts.add(.sourceLate, merger.timesLate(id))
        for (anomaly, count) in statistics?.anomalies ?? [:] { counts.add(anomaly, count) }
        return counts
    }

    /// A plain sentence on what this source cannot tell any more.
    var limit: String? {
        if case .live = state, isSilent {
            return "\(facts.name) is silent: what its guest does is unknown until it answers"
        }
        guard case .gone(let reason) = state else { return nil }
        return "\(facts.name) is gone (\(reason)): what its guest did since is unknown"
    }

    func snapshot(merger: Merger) -> Snapshot.Source {
        let label =
            switch state {
            case .live: isSilent ? "silent" : merger.isLate(id) ? "late" : "live"
            case .drained: "drained"
            case .gone: "gone"
            }
        var source = Snapshot.Source(name: facts.name, kind: facts.isHost ? "host" : "guest", state: label)
        source.endpoint = facts.endpoint.isEmpty ? nil : facts.endpoint
        source.events = events
        source.bytes = bytes
        source.lost = lost
        source.lateEvents = merger.lateEvents(id)
        source.producerCPUNanoseconds = statistics?.cpuNanoseconds ?? 0
        source.cpus = onlineCPUs
        source.clock = clock.status
        if judged > 0 { source.clock?.containment = Double(contained) / Double(judged) }
        return source
    }
}
