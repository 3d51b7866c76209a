import Threading
import TraceModel

/// The formats of one machine's events, in the order in which they were met first: type indices count them.
///
/// Two event classes that come to the same format share its type index: LTTng repeats an event's class in every channel, and
/// each thread that reads some of the streams has the classes once more.
final class FormatRegistry: @unchecked Sendable {
    // @unchecked: `known` is only touched under `lock`.
    private struct Key: Hashable {
        let event: KernelNames.Event
        let fields: [EventField]
    }

    private struct Known {
        var formats: [EventFormat] = []
        var typeByKey: [Key: Int] = [:]
        /// Formats that would be too many.
        var excess: Set<Key> = []
        var switching: Switching?
    }

    /// `sched_switch`: after it, another thread is current on its CPU.
    struct Switching {
        let typeIndex: UInt16
        let previous: IntegerField
        let next: IntegerField
    }

    private let lock = ConditionLock()
    private var known = Known()

    var formats: [EventFormat] { lock.withLock { known.formats } }

    var switching: Switching? { lock.withLock { known.switching } }

    /// Formats that were not made, because there are as many as there may be.
    var excess: Int { lock.withLock { known.excess.count } }

    /// Nil when there is no room for one more.
    func typeIndex(of event: KernelNames.Event, _ shape: SyntheticFormat) -> Int? {
        lock.withLock {
            let key = Key(event: event, fields: shape.fields)
            if let index = known.typeByKey[key] { return index }
            let index = known.formats.count
            let format = shape.format(id: Self.kernelID(index), system: event.system, name: event.name)
            guard index < Limits.formats, format.text.utf8.count <= Limits.formatBytes else {
                if known.excess.count < Limits.formats { known.excess.insert(key) }
                return nil
            }
            known.typeByKey[key] = index
            known.formats.append(format)
            if known.switching == nil { known.switching = Switching(format, index) }
            return index
        }
    }

    /// Ids of our own: a CTF event class's id is unique in its stream class only. Small ones belong to ftrace itself.
    static func kernelID(_ typeIndex: Int) -> UInt16 { UInt16(truncatingIfNeeded: 32 + typeIndex) }
}

extension FormatRegistry.Switching {
    /// Nil when it is another event.
    fileprivate init?(_ format: EventFormat, _ typeIndex: Int) {
        guard format.fullName == "sched:sched_switch",
            let previous = IntegerField("prev_pid", of: format, byteOrder: .native),
            let next = IntegerField("next_pid", of: format, byteOrder: .native)
        else { return nil }
        self.init(typeIndex: UInt16(truncatingIfNeeded: typeIndex), previous: previous, next: next)
    }
}
