import Decoding
import SessionLog
import TraceModel
import Wire

/// What follows from a source's opening alone: who it is, its formats, and all that is bound to them.
///
/// A checkpoint leaves it out: the opening itself is in the recording, and megabytes long.
struct SourceOpening {
    let facts: SourceFacts
    let formats: FormatTable
    var decoder: BatchDecoder
    /// Names of exit reasons from this kernel's own `kvm_exit` format.
    private let reasons: ExitReasonNames?
    let kvmEvents: KVMEvents

    init(_ facts: SourceFacts, formats messages: [FormatMessage], anomalies: inout AnomalyCounts) {
        self.facts = facts
        let formats = FormatTable(messages, of: facts, anomalies: &anomalies)
        self.formats = formats
        decoder = BatchDecoder(formats: formats)
        kvmEvents = KVMEvents(formats)
        reasons = formats.typeIndex(system: "kvm", name: "kvm_exit").map {
            ExitReasonNames(format: formats.formats[$0])
        }
    }

    init(_ facts: SourceFacts, formats messages: [FormatMessage]) {
        var anomalies = AnomalyCounts()
        self.init(facts, formats: messages, anomalies: &anomalies)
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
                    cpus: [], instance: "")), formats: [])
    }

    func encode(to encoder: any Encoder) throws {}
}

extension FormatTable {
    /// Formats keep the order in which the source told them: it gives events their type index.
    init(_ messages: [FormatMessage], of facts: SourceFacts, anomalies: inout AnomalyCounts) {
        self.init(byteOrder: facts.prepared.byteOrder, longSize: facts.prepared.longSize)
        for message in messages {
            do throws(EventFormatError) {
                append(try EventFormatParser.parse(message.text, system: message.system))
            } catch {
                // A placeholder keeps later type indices right; its events cannot be read.
                append(
                    EventFormat(
                        kernelID: UInt16.max - UInt16(truncatingIfNeeded: formats.count), system: message.system,
                        name: "unreadable", fields: [], text: message.text))
                anomalies.add(.fieldMissing)
            }
        }
    }
}
