import Decoding
import SessionLog
import Timeline
import TraceModel
import Wire

/// What the pipeline keeps of one source: its formats, its clock and its books.
struct CollectorSource {
    enum State {
        case live
        case drained
        case gone(String)
    }

    let id: SourceID
    let facts: SourceFacts
    private(set) var formats: FormatTable
    var decoder: BatchDecoder
    var clock: ClockMap
    var state = State.live
    var vmmPID: Int32?
    var events: UInt64 = 0
    var bytes: UInt64 = 0
    var statistics: SourceStatistics?
    var onlineCPUs: Int
    private var lost = Snapshot.Lost()
    /// Names of exit reasons from this kernel's own `kvm_exit` format.
    private var reasons: ExitReasonNames?

    init(id: SourceID, facts: SourceFacts) {
        self.id = id
        self.facts = facts
        formats = FormatTable(byteOrder: facts.prepared.byteOrder, longSize: facts.prepared.longSize)
        decoder = BatchDecoder(formats: formats)
        clock = ClockMap(clock: facts.prepared.clock, identity: facts.isHost)
        onlineCPUs = facts.prepared.cpus.count
    }

    /// Formats keep the order in which the source told them: it gives events their type index.
    mutating func add(_ message: FormatMessage, anomalies: inout AnomalyCounts) {
        do throws(EventFormatError) {
            let format = try EventFormatParser.parse(message.text, system: message.system)
            guard formats.append(format) == formats.formats.count - 1 else { return }
            decoder.append(format)
            if format.system == "kvm", format.name == "kvm_exit" { reasons = ExitReasonNames(format: format) }
        } catch {
            // A placeholder keeps later type indices right; its events cannot be read.
            let placeholder = EventFormat(
                kernelID: UInt16.max - UInt16(truncatingIfNeeded: formats.formats.count), system: message.system,
                name: "unreadable", fields: [], text: message.text)
            formats.append(placeholder)
            decoder.append(placeholder)
            anomalies.add(.fieldMissing)
        }
    }

    /// The formats as the events' type indices count them.
    static func table(_ facts: SourceFacts, _ messages: [FormatMessage]) -> FormatTable {
        var source = CollectorSource(id: .host, facts: facts)
        var anomalies = AnomalyCounts()
        for message in messages { source.add(message, anomalies: &anomalies) }
        return source.formats
    }

    var exitReasonName: @Sendable (UInt64, UInt64) -> String? {
        let reasons = self.reasons
        return { reason, isa in reasons?.name(reason: reason, isa: isa) }
    }

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
        guard case .gone(let reason) = state else { return nil }
        return "\(facts.name) is gone (\(reason)): what its guest did since is unknown"
    }

    func snapshot(merger: Merger) -> Snapshot.Source {
        let label =
            switch state {
            case .live: merger.isLate(id) ? "late" : "live"
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
        return source
    }
}
