import CBabeltrace2
import TraceModel

/// The event classes of one machine's traces, as formats and as ways to fill their records.
///
/// Two classes that come to the same format share its type index: LTTng repeats an event's class in every channel.
final class EventCatalog {
    private struct Key: Hashable {
        let event: KernelNames.Event
        let fields: [EventField]
    }

    /// All plans, and what they refer to.
    struct Table {
        fileprivate(set) var plans: [EventPlan] = []
        fileprivate(set) var moves: [EventPlan.Move] = []
        fileprivate(set) var paths: [UInt64] = []
    }

    private(set) var formats: [EventFormat] = []
    private(set) var table = Table()
    private var typeByKey: [Key: Int] = [:]
    private var planByClass: [OpaquePointer: Int] = [:]
    /// Event classes that no format was made for, because there are as many formats as there may be.
    private(set) var excessClasses = 0
    private(set) var switching: Switching?

    /// `sched_switch`: after it, another thread is current on its CPU.
    struct Switching {
        let typeIndex: UInt16
        let previous: IntegerField
        let next: IntegerField
    }

    deinit { for eventClass in planByClass.keys { bt_event_class_put_ref(eventClass) } }

    /// All classes that the stream class has by now.
    func register(streamClass: OpaquePointer) {
        for index in 0..<bt_stream_class_get_event_class_count(streamClass) {
            guard let eventClass = bt_stream_class_borrow_event_class_by_index_const(streamClass, index)
            else {
                continue
            }
            _ = plan(of: eventClass)
        }
    }

    /// The index of the class's plan; nil when there is no room for one more format.
    func plan(of eventClass: OpaquePointer) -> Int? {
        if let known = planByClass[eventClass] { return known }
        let shape = EventPlan.Shape(eventClass)
        let key = Key(event: shape.event, fields: shape.format.fields)
        let typeIndex: Int
        if let known = typeByKey[key] {
            typeIndex = known
        } else {
            typeIndex = formats.count
            let format = shape.format.format(
                id: EventCatalog.kernelID(typeIndex), system: shape.event.system, name: shape.event.name)
            guard typeIndex < Limits.formats, format.text.utf8.count <= Limits.formatBytes else {
                excessClasses += 1
                return nil
            }
            typeByKey[key] = typeIndex
            formats.append(format)
            noteSwitching(format, typeIndex)
        }
        // Another class may get a class's address once it is gone.
        bt_event_class_get_ref(eventClass)
        add(shape, typeIndex)
        planByClass[eventClass] = table.plans.count - 1
        return table.plans.count - 1
    }

    private func add(_ shape: EventPlan.Shape, _ typeIndex: Int) {
        for var move in shape.moves {
            move.path =
                move.path.lowerBound + table.paths.count..<move.path.upperBound + table.paths.count
            table.moves.append(move)
        }
        table.paths += shape.paths
        table.plans.append(
            EventPlan(
                shape, typeIndex: typeIndex, kernelID: EventCatalog.kernelID(typeIndex),
                moves: table.moves.count - shape.moves.count..<table.moves.count))
    }

    /// Ids of our own: a CTF event class's id is unique in its stream class only. Small ones belong to ftrace itself.
    private static func kernelID(_ typeIndex: Int) -> UInt16 {
        UInt16(truncatingIfNeeded: 32 + typeIndex)
    }

    private func noteSwitching(_ format: EventFormat, _ typeIndex: Int) {
        guard switching == nil, format.fullName == "sched:sched_switch",
            let previous = IntegerField("prev_pid", of: format, byteOrder: .native),
            let next = IntegerField("next_pid", of: format, byteOrder: .native)
        else { return }
        switching = Switching(typeIndex: UInt16(typeIndex), previous: previous, next: next)
    }
}
