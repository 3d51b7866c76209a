import SessionLog
import Timeline
import TraceModel
import Wire

/// One machine of an experiment on its way into a session.
struct CTFMachine {
    let id: SourceID
    let name: String
    let facts: CTFMachineFacts
    let survey: TraceSurvey
    let reader: MachineReader
    /// A guest's clock, one for each CPU that has its own; the host's ticks are host time.
    private(set) var clocks: [GivenClock] = []
    var map: ClockMap
    /// Host time before which everything has been told.
    var reached: HostTime?
    /// The same on its own clock.
    var reachedTicks: TraceTicks?
    var hasEnded = false
    /// Its end has been told.
    var isClosed = false
    /// Samples of steal time that are not told yet.
    private var steal: [ExportNotes.Steal] = []
    /// Read and not told yet, in the order of reading.
    private var pending: [EventBatch] = []

    var isHost: Bool { id == .host }

    init(id: SourceID, name: String, facts: CTFMachineFacts, survey: TraceSurvey, reader: MachineReader) {
        self.id = id
        self.name = name
        self.facts = facts
        self.survey = survey
        self.reader = reader
        map = ClockMap(clock: .mono, identity: id == .host)
    }

    mutating func set(_ clock: GivenClock) {
        clocks.removeAll { $0.cpu == clock.cpu }
        clocks.append(clock)
        map.learn(.given(clock))
    }

    /// Nothing more can be read of it. An export of our own tells how long its trace went on behind the last event.
    mutating func finish() {
        hasEnded = true
        guard let reached, let end = time(CTFMark.end), end > reached, isHost || isExported else { return }
        self.reached = end
        reachedTicks = TraceTicks(UInt64(clamping: end.nanoseconds))
    }

    private var isExported: Bool { clocks.contains { $0.method == StatedBounds.method } }

    /// Its end, once host time has come to `time`: where its trace ends, or where an export says that it was lost.
    func ending(notAfter time: HostTime) -> (reason: String, isFailure: Bool)? {
        guard hasEnded, !isClosed else { return nil }
        if let gone { return gone <= time ? (facts.environment[CTFMark.goneReason] ?? "", true) : nil }
        return reached.map { $0 <= time } ?? false ? ("end of the trace", false) : nil
    }

    private var gone: HostTime? { isExported ? time(CTFMark.gone) : nil }

    /// The next instant at which something has to be told beside events.
    var nextStop: HostTime? {
        let sample = steal.first.flatMap { map.hostTime($0.ticks)?.time }
        let end = hasEnded && !isClosed ? gone : nil
        return [sample, end].compactMap(\.self).min()
    }

    mutating func takeSamples(upTo time: HostTime) -> [StealSample] {
        var samples: [StealSample] = []
        while let next = steal.first, let at = map.hostTime(next.ticks)?.time, at <= time {
            if samples.last?.ticks == next.ticks {
                samples[samples.count - 1].cpus.append(next.cpu)
            } else {
                samples.append(StealSample(ticks: next.ticks, cpus: [next.cpu]))
            }
            steal.removeFirst()
        }
        return samples
    }

    /// What an export told beside events, in the order of time.
    mutating func takeNotes() {
        let notes = reader.takeNotes()
        guard !notes.steal.isEmpty else { return }
        steal = (steal + notes.steal).sorted { $0.ticks < $1.ticks }
    }

    mutating func hold(_ batch: EventBatch) { pending.append(batch) }

    /// What was read before `ticks`; everything when nil.
    mutating func take(before ticks: TraceTicks?) -> [EventBatch] {
        guard let ticks else {
            defer { pending = [] }
            return pending
        }
        var taken: [EventBatch] = []
        var left: [EventBatch] = []
        for batch in pending {
            let (before, after) = batch.split(before: ticks)
            if !before.isEmpty { taken.append(before) }
            if !after.isEmpty { left.append(after) }
        }
        pending = left
        return taken
    }

    /// A reading of its clock that is not after `time`, where everything before that has been told: exact at the last
    /// watermark, else a little early (two clocks that count nanoseconds differ by less than 500 ppm).
    func ticks(notAfter time: HostTime) -> TraceTicks? {
        guard let reached, let reachedTicks else { return nil }
        if isHost { return TraceTicks(UInt64(max(0, time.nanoseconds))) }
        guard time < reached else { return reachedTicks }
        let before = UInt64(max(0, reached - time))
        let back = before &+ before / 1000 &+ 1
        return TraceTicks(reachedTicks.rawValue > back ? reachedTicks.rawValue - back : 0)
    }

    /// Where on the host's time line it begins, as far as is known.
    var begin: HostTime? { survey.first.flatMap { map.hostTime($0)?.time } }

    /// Where on the host's time line it ends.
    var end: HostTime? { survey.last.flatMap { map.hostTime($0)?.time } }

    /// A host time in the environment of an export of our own.
    func time(_ mark: String) -> HostTime? {
        facts.environment[mark].flatMap { Int64($0) }.map { HostTime(nanoseconds: $0) }
    }

    var opening: LogRecord {
        let prepared = Prepared(
            token: 0, clock: CTFMachine.traceClock(facts.clock.name), byteOrder: .native, longSize: 8,
            subBufferBytes: 4096, bufferKiBPerCPU: 0, cpus: survey.cpus.sorted(), instance: "")
        let names = survey.names.sorted { $0.key < $1.key }.map {
            TaskNamesMessage.Task(tid: $0.key, comm: $0.value.text)
        }
        return .sourceOpened(
            id,
            SourceFacts(
                name: name, isHost: isHost, endpoint: facts.paths.first ?? "", hostname: facts.hostname,
                bootID: facts.bootID, kernelRelease: facts.kernelRelease, prepared: prepared),
            formats: reader.formats.map { CTFMark.format($0, facts.environment) },
            names: TaskNamesMessage(tasks: names))
    }

    /// The kernel's clocks under LTTng's and perf's names. What is none of them still counts nanoseconds here.
    private static func traceClock(_ name: String) -> TraceClock {
        switch name {
        case "monotonic_raw": .monoRaw
        case "boottime", "boot": .boot
        case "tai": .tai
        default: .mono
        }
    }
}

extension EventBatch {
    /// Events before `ticks`, with the losses before them, and the rest. The records are shared, not copied.
    fileprivate func split(before ticks: TraceTicks) -> (EventBatch, EventBatch) {
        guard let first = headers.first, first.ticks < ticks else {
            return headers.isEmpty ? (self, EventBatch(cpu: cpu)) : (EventBatch(cpu: cpu), self)
        }
        let middle = headers.partitionPoint { $0.ticks < ticks }
        guard middle < headers.count else { return (self, EventBatch(cpu: cpu)) }
        var parts = (EventBatch(cpu: cpu), EventBatch(cpu: cpu))
        parts.0.headers = Array(headers[..<middle])
        parts.1.headers = Array(headers[middle...])
        parts.0.records = records
        parts.1.records = records
        parts.0.losses = losses.filter { $0.index < middle }
        parts.1.losses = losses.filter { $0.index >= middle }.map {
            LossMark(index: $0.index - middle, place: $0.place, count: $0.count)
        }
        return parts
    }
}
