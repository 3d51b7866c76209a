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
    /// Of `lost`, what marks of this agent's ring buffers said.
    private var marked = Marked()
    /// What the agents before this one of the same machine came to, and how long none was there.
    private var past = Past()
    /// Entries and exits say nothing of its clock, or when it is the host, of anybody's, because some are left out.
    var hasPartialEntries = false
    /// When its end was told.
    var closedAt: HostTime?
    /// Another agent of its machine has taken its place: it stays until all that it sent is analyzed.
    private(set) var isSucceeded = false

    struct Past: Codable {
        var lateEvents: UInt64 = 0
        var cpuNanoseconds: UInt64 = 0
        var anomalies = AnomalyCounts()
        var returns = 0
        var awayNanoseconds: Int64 = 0
        var reason = ""
    }

    private struct Marked: Codable {
        var events: UInt64 = 0
        /// Marks that told no number: the kernel tells it only where a sub-buffer has room left for it
        /// (`ring_buffer_read_page` of kernel/trace/ring_buffer.c).
        var uncounted: UInt64 = 0
    }

    /// - Parameters:
    ///   - hostClock: by which its host stamps, nil when this is the host: of the two clocks either may stray.
    ///   - epoch: the first of its clock.
    init(id: SourceID, opening: SourceOpening, hostClock: TraceClock?, epoch: Int = 0) {
        self.id = id
        self.opening = opening
        let facts = opening.facts
        let tolerance = ClockTolerance.standard(for: facts.prepared.clock)
        clock = ClockMap(
            clock: facts.prepared.clock, identity: facts.isHost,
            tolerance: hostClock.map { tolerance.union(.standard(for: $0)) } ?? tolerance, epoch: epoch)
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
                if loss.place == .ringBuffer { marked.uncounted &+= 1 }
                continue
            }
            switch loss.place {
            case .ringBuffer:
                lost.ringBuffer &+= count
                marked.events &+= count
            case .agent: lost.agent &+= count
            case .malformed: lost.malformed &+= count
            }
        }
    }

    /// What was lost as far as it is known. When everything was read, the kernel's own count is all that its ring buffers
    /// lost, also where their marks told no number.
    private var losses: Snapshot.Lost {
        guard let statistics, statistics.isFinal else { return lost }
        let overrun = statistics.cpus.reduce(UInt64(0)) { sum, cpu in
            let (sum, isTooMuch) = sum.addingReportingOverflow(cpu.overrun)
            return isTooMuch ? .max : sum
        }
        guard overrun >= marked.events else { return lost }
        var losses = lost
        losses.ringBuffer = losses.ringBuffer &- marked.events &+ overrun
        losses.ofUnknownSize &-= marked.uncounted
        return losses
    }

    /// Another agent of its machine answers at `time`: how long there was none, and why.
    mutating func succeed(at time: HostTime) -> (awayNanoseconds: Int64, reason: String) {
        isSucceeded = true
        let reason = if case .gone(let reason) = state { reason } else { "" }
        return (time - (closedAt ?? time), reason)
    }

    /// What its guest did without an agent is lost, and nobody knows how much that was.
    mutating func note(away nanoseconds: Int64, _ reason: String, returns: Int) {
        past.returns = returns
        past.awayNanoseconds &+= nanoseconds
        past.reason = reason
        lost.ofUnknownSize &+= 1
    }

    var returns: Int { past.returns }

    /// The books of the agent before it are its machine's too.
    mutating func absorb(_ former: CollectorSource, merger: Merger) {
        events &+= former.events
        bytes &+= former.bytes
        contained &+= former.contained
        judged &+= former.judged
        lost.add(former.losses)
        past.lateEvents &+= former.past.lateEvents &+ merger.lateEvents(former.id)
        past.cpuNanoseconds &+= former.past.cpuNanoseconds &+ (former.statistics?.cpuNanoseconds ?? 0)
        past.anomalies.add(former.anomalies(merger: merger))
        past.awayNanoseconds &+= former.past.awayNanoseconds
    }

    func anomalies(merger: Merger) -> AnomalyCounts {
        var counts = past.anomalies
        counts.add(.eventLate, merger.lateEvents(id))
        counts.add(.sourceLate, merger.timesLate(id))
        for (anomaly, count) in statistics?.anomalies ?? [:] { counts.add(anomaly, count) }
        return counts
    }

    /// Plain sentences on what this source cannot tell.
    var limits: [String] { [presence, hasPartialEntries ? entriesLimit : nil].compactMap(\.self) }

    private var entriesLimit: String {
        facts.isHost
            ? "kvm_entry and kvm_exit are filtered: they do not bound the guests' clocks"
            : "entries and exits of \(facts.name) are missing by turns (a filter?): they do not bound its clock"
    }

    /// What is not known because its agent was not there.
    private var presence: String? {
        if case .live = state, isSilent {
            return "\(facts.name) is silent: what its guest does is unknown until it answers"
        }
        if case .gone(let reason) = state {
            return "\(facts.name) is gone (\(reason)): what its guest did since is unknown"
        }
        guard past.returns > 0 else { return nil }
        let seconds = "\(past.awayNanoseconds / 1_000_000_000).\(past.awayNanoseconds / 100_000_000 % 10) s"
        return "\(facts.name) was without an agent for \(seconds) (\(past.reason)"
            + (past.returns == 1 ? "" : "; \(past.returns) times in all")
            + "): what its guest did then is unknown, and its tasks are counted from then on"
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
        source.lost = losses
        source.lateEvents = past.lateEvents &+ merger.lateEvents(id)
        source.producerCPUNanoseconds = past.cpuNanoseconds &+ (statistics?.cpuNanoseconds ?? 0)
        source.cpus = onlineCPUs
        source.clock = clock.status
        if judged > 0 { source.clock?.containment = Double(contained) / Double(judged) }
        return source
    }
}
