import Decoding
import SessionLog
import TraceModel
import Wire

/// What follows from a source's opening alone: who it is, its formats, and all that is bound to them.
///
/// A checkpoint leaves it out: the opening itself is in the recording, and megabytes long.
struct SourceOpening {
    let facts: SourceFacts
    private(set) var formats: FormatTable
    var decoder: BatchDecoder
    /// Names of exit reasons from this kernel's own `kvm_exit` format.
    private var reasons: ExitReasonNames?
    private(set) var kvmEvents: KVMEvents

    init(_ facts: SourceFacts) {
        self.facts = facts
        formats = FormatTable(byteOrder: facts.prepared.byteOrder, longSize: facts.prepared.longSize)
        decoder = BatchDecoder(formats: formats)
        kvmEvents = KVMEvents(formats)
    }

    init(_ facts: SourceFacts, formats messages: [FormatMessage]) {
        self.init(facts)
        var anomalies = AnomalyCounts()
        for message in messages { add(message, anomalies: &anomalies) }
    }

    /// Formats keep the order in which the source told them: it gives events their type index.
    mutating func add(_ message: FormatMessage, anomalies: inout AnomalyCounts) {
        do throws(EventFormatError) {
            let format = try EventFormatParser.parse(message.text, system: message.system)
            guard formats.append(format) == formats.formats.count - 1 else { return }
            decoder.append(format)
            if format.system == "kvm", format.name == "kvm_exit" { reasons = ExitReasonNames(format: format) }
            if format.system == "kvm" { kvmEvents = KVMEvents(formats) }
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

    var exitReasonName: @Sendable (UInt64, UInt64) -> String? {
        let reasons = self.reasons
        return { reason, isa in reasons?.name(reason: reason, isa: isa) }
    }
}

extension SourceOpening: Codable {
    /// Stands for the opening until `CollectorSource.reopen`.
    init(from decoder: any Decoder) throws {
        self.init(
            SourceFacts(
                name: "", isHost: false, endpoint: "", hostname: "", bootID: "", kernelRelease: "",
                prepared: Prepared(
                    token: 0, clock: .mono, byteOrder: .native, longSize: 8, subBufferBytes: 0, bufferKiBPerCPU: 0,
                    cpus: [], instance: "")))
    }

    func encode(to encoder: any Encoder) throws {}
}
