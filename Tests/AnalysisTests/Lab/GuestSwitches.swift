import Decoding
import SessionLog
import TraceFiles
import TraceModel
import Wire

/// The switches of one guest of a recording, on the host's time line by KVM's own offset: nothing of the timeline is used.
struct GuestSwitches {
    private(set) var observations: [Observation] = []
    /// What the rounding of each switch can make of a task's time.
    var rounding: Int64 { Int64(observations.count) }

    init(_ paths: SessionPaths, of guest: SourceID, offset: Int64) throws {
        let input = try TraceDatInput(paths)
        var scale: TSCScale?
        var switched: (type: Int, previous: IntegerField, next: IntegerField)?
        while let next = try input.next() {
            switch next {
            case .record(.clock(.host, .scale(let told))): scale = told
            case .record(.sourceOpened(guest, let facts, let texts, _)):
                let formats = try texts.map { try EventFormatParser.parse($0.text, system: $0.system) }
                guard let type = formats.firstIndex(where: { $0.fullName == "sched:sched_switch" }) else { continue }
                func field(_ name: String) -> IntegerField? {
                    IntegerField(name, of: formats[type], byteOrder: facts.prepared.byteOrder)
                }
                if let previous = field("prev_pid"), let next = field("next_pid") { switched = (type, previous, next) }
            case .batch(guest, let batch):
                guard let switched, let scale else { continue }
                for header in batch.headers where Int(header.typeIndex) == switched.type {
                    let records = batch.records.span.bytes
                    guard let previous = switched.previous.value(in: records, of: header),
                        let next = switched.next.value(in: records, of: header)
                    else { continue }
                    let cycles = header.ticks.rawValue &- UInt64(bitPattern: offset)
                    observations.append(
                        Observation(
                            cpu: batch.cpu, at: scale.hostTime(cycles).nanoseconds, current: header.pid,
                            happening: .guestSwitched(
                                Int32(truncatingIfNeeded: previous), Int32(truncatingIfNeeded: next))))
                }
            default: continue
            }
        }
    }
}
