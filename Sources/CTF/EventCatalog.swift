import CBabeltrace2
import Glibc
import TraceModel

/// The event classes that one thread reads, as ways to fill the records of the machine's formats.
final class EventCatalog {
    /// All plans, and what they refer to.
    struct Table {
        fileprivate(set) var plans: [EventPlan] = []
        fileprivate(set) var moves: [EventPlan.Move] = []
        fileprivate(set) var paths: [UInt64] = []
    }

    let registry: FormatRegistry
    private(set) var table = Table()
    private var planByClass: [OpaquePointer: Int] = [:]

    init(_ registry: FormatRegistry = FormatRegistry()) { self.registry = registry }

    deinit { for eventClass in planByClass.keys { bt_event_class_put_ref(eventClass) } }

    /// All classes that the stream class has by now.
    func register(streamClass: OpaquePointer) {
        for index in 0..<bt_stream_class_get_event_class_count(streamClass) {
            guard let eventClass = bt_stream_class_borrow_event_class_by_index_const(streamClass, index)
            else {
                continue
            }
            if !Self.isSteal(eventClass) { _ = plan(of: eventClass) }
        }
    }

    /// An export's way to carry what is no event of a kernel.
    static func isSteal(_ eventClass: OpaquePointer) -> Bool {
        bt_event_class_get_name(eventClass).map { strcmp($0, CTFMark.steal) == 0 } ?? false
    }

    /// The index of the class's plan; nil when there is no room for one more format.
    func plan(of eventClass: OpaquePointer) -> Int? {
        if let known = planByClass[eventClass] { return known }
        let shape = EventPlan.Shape(eventClass)
        guard let typeIndex = registry.typeIndex(of: shape.event, shape.format) else { return nil }
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
                shape, typeIndex: typeIndex, kernelID: FormatRegistry.kernelID(typeIndex),
                moves: table.moves.count - shape.moves.count..<table.moves.count))
    }
}
