import CBabeltrace2
import TraceModel

/// One data stream of a trace: the sink at its port, and the events that were read from it and not taken yet.
///
/// libbabeltrace2's graph offers every sink a turn in turn; all but the one that is wanted decline. So streams are read in
/// the order that the merge needs, and each by itself: no muxer, which gives up when a stream steps back in time. A stream
/// that ends with an error ends alone: what it gave before counts.
final class StreamSink {
    enum Turn {
        case decline
        /// The first messages only, undecoded: they tell the trace's facts.
        case prime
        /// At most so many events.
        case read(events: Int)
    }

    enum Progress {
        case none
        case some
        /// Nothing now; there may be later.
        case waiting
        case ended
    }

    var turn = Turn.decline
    /// What the last turn led to.
    private(set) var progress = Progress.none
    private(set) var hasEnded = false
    /// Why the stream ended before its end.
    private(set) var problem: String?
    /// Batches of this stream in order, none of them empty.
    private(set) var pending: [EventBatch] = []
    /// Nothing earlier will come from this stream; nil before its first event.
    private(set) var reached: TraceTicks?
    private(set) var stepsBack: UInt64 = 0
    private(set) var eventsWithoutFormat: UInt64 = 0
    private(set) var eventsRead: UInt64 = 0
    private(set) var statedBoundNanoseconds: Int64 = 0
    /// Messages of the first turn.
    private var primed: [OpaquePointer] = []

    private var catalog: EventCatalog?
    private var clock: CTFClock?
    private var cpu: Int
    /// By event class id; -1 where it is not known yet, -2 where there is no format.
    private var planByID: [Int32] = []
    private var streamClass: OpaquePointer?

    /// `cpu` is for a stream that does not tell its CPU.
    init(cpu: Int) { self.cpu = cpu }

    deinit { for message in primed { bt_message_put_ref(message) } }

    // MARK: In the graph

    func consume(_ iterator: OpaquePointer?) -> bt_graph_simple_sink_component_consume_func_status {
        guard !hasEnded else { return BT_GRAPH_SIMPLE_SINK_COMPONENT_CONSUME_FUNC_STATUS_END }
        var budget = 0
        switch turn {
        case .decline: return BT_GRAPH_SIMPLE_SINK_COMPONENT_CONSUME_FUNC_STATUS_OK
        case .prime: budget = 1
        case .read(let events): budget = events
        }
        let isPriming = if case .prime = turn { true } else { false }
        turn = .decline
        progress = .some
        while budget > 0 {
            var messages: bt_message_array_const?
            var count: UInt64 = 0
            let status = bt_message_iterator_next(iterator, &messages, &count)
            switch status {
            case BT_MESSAGE_ITERATOR_NEXT_STATUS_OK:
                guard let messages else { break }
                for index in 0..<Int(count) {
                    guard let message = messages[index] else { continue }
                    if isPriming {
                        primed.append(message)
                    } else {
                        take(message)
                        bt_message_put_ref(message)
                    }
                }
                budget -= max(1, Int(count))
            case BT_MESSAGE_ITERATOR_NEXT_STATUS_AGAIN:
                progress = .waiting
                return BT_GRAPH_SIMPLE_SINK_COMPONENT_CONSUME_FUNC_STATUS_AGAIN
            case BT_MESSAGE_ITERATOR_NEXT_STATUS_END:
                end(nil)
                return BT_GRAPH_SIMPLE_SINK_COMPONENT_CONSUME_FUNC_STATUS_END
            default:
                // The others go on.
                end(CTFError.library("reading a stream").description)
                return BT_GRAPH_SIMPLE_SINK_COMPONENT_CONSUME_FUNC_STATUS_END
            }
        }
        return BT_GRAPH_SIMPLE_SINK_COMPONENT_CONSUME_FUNC_STATUS_OK
    }

    func end(_ problem: String?) {
        hasEnded = true
        progress = .ended
        self.problem = self.problem ?? problem
    }

    // MARK: Before the first event

    /// The trace and the stream class, from the first message that names a stream.
    var firstStream: OpaquePointer? {
        for message in primed where bt_message_get_type(message) == BT_MESSAGE_TYPE_STREAM_BEGINNING {
            return bt_message_stream_beginning_borrow_stream_const(message)
        }
        return nil
    }

    /// Decodes what came with the first turn. Later messages are decoded as they come.
    func begin(with catalog: EventCatalog) {
        self.catalog = catalog
        for message in primed {
            take(message)
            bt_message_put_ref(message)
        }
        primed = []
    }

    // MARK: Messages

    func take(_ message: OpaquePointer) {
        switch bt_message_get_type(message) {
        case BT_MESSAGE_TYPE_EVENT: takeEvent(message)
        case BT_MESSAGE_TYPE_STREAM_BEGINNING: takeBeginning(message)
        case BT_MESSAGE_TYPE_PACKET_BEGINNING: takePacket(message)
        case BT_MESSAGE_TYPE_DISCARDED_EVENTS:
            var count: UInt64 = 0
            let isKnown = bt_message_discarded_events_get_count(message, &count).rawValue != 0
            lose(isKnown ? count : nil)
        case BT_MESSAGE_TYPE_DISCARDED_PACKETS: lose(nil)
        case BT_MESSAGE_TYPE_MESSAGE_ITERATOR_INACTIVITY:
            guard let snapshot = bt_message_message_iterator_inactivity_borrow_clock_snapshot_const(message) else {
                return
            }
            let clock = self.clock ?? bt_clock_snapshot_borrow_clock_class_const(snapshot).map(CTFClock.init)
            guard let clock else { return }
            let ticks = TraceTicks(clock.nanoseconds(bt_clock_snapshot_get_value(snapshot)))
            reached = max(reached ?? ticks, ticks)
        default: break
        }
    }

    private func takeBeginning(_ message: OpaquePointer) {
        guard let stream = bt_message_stream_beginning_borrow_stream_const(message),
            let streamClass = bt_stream_borrow_class_const(stream)
        else { return }
        self.streamClass = streamClass
        planByID = []
        catalog?.register(streamClass: streamClass)
        clock = bt_stream_class_borrow_default_clock_class_const(streamClass).map(CTFClock.init)
        if clock == nil { end("its events carry no time") }
    }

    /// A packet tells the CPU of its events.
    private func takePacket(_ message: OpaquePointer) {
        guard let packet = bt_message_packet_beginning_borrow_packet_const(message),
            let context = bt_packet_borrow_context_field_const(packet)
        else { return }
        if let bound = number(CTFMark.bound, in: context) {
            statedBoundNanoseconds = max(statedBoundNanoseconds, bound)
        }
        if let cpu = number("cpu_id", in: context) { setCPU(cpu) }
    }

    private func number(_ name: String, in structure: OpaquePointer) -> Int64? {
        bt_field_structure_borrow_member_field_by_name_const(structure, name).flatMap { FieldValue.integer($0) }
    }

    private func setCPU(_ number: Int64) {
        guard (0..<Int64(Limits.cpus)).contains(number) else { return }
        cpu = Int(number)
    }

    private func takeEvent(_ message: OpaquePointer) {
        guard let clock, let event = bt_message_event_borrow_event_const(message),
            let eventClass = bt_event_borrow_class_const(event),
            let snapshot = bt_message_event_borrow_default_clock_snapshot_const(message)
        else { return }
        eventsRead &+= 1
        var ticks = TraceTicks(clock.nanoseconds(bt_clock_snapshot_get_value(snapshot)))
        if let reached, ticks < reached {
            // LTTng's streams step back by a microsecond or two now and then.
            stepsBack &+= 1
            ticks = reached
        }
        reached = ticks
        guard let catalog, let index = plan(eventClass, catalog) else {
            eventsWithoutFormat &+= 1
            lose(1)
            return
        }
        append(event, catalog.plans[index], at: ticks)
    }

    private func append(_ event: OpaquePointer, _ plan: EventPlan, at ticks: TraceTicks) {
        if let source = plan.cpu, let number = plan.value(of: source, in: event) { setCPU(number) }
        var thread = ThreadTracker.unknown
        if let source = plan.thread, let tid = plan.value(of: source, in: event) {
            thread = Int32(truncatingIfNeeded: tid)
        }
        openBatch()
        if plan.append(event, at: ticks, thread: thread, to: &pending[pending.count - 1]) { return }
        pending.append(EventBatch(cpu: cpu))
        if !plan.append(event, at: ticks, thread: thread, to: &pending[pending.count - 1]) {
            eventsWithoutFormat &+= 1
        }
    }

    private func plan(_ eventClass: OpaquePointer, _ catalog: EventCatalog) -> Int? {
        let id = bt_event_class_get_id(eventClass)
        guard id < UInt64(Limits.formats) else { return catalog.plan(of: eventClass) }
        let place = Int(id)
        if place >= planByID.count {
            planByID.append(contentsOf: repeatElement(-1, count: place + 1 - planByID.count))
        }
        if planByID[place] == -1 { planByID[place] = catalog.plan(of: eventClass).map(Int32.init) ?? -2 }
        return planByID[place] < 0 ? nil : Int(planByID[place])
    }

    private func lose(_ count: UInt64?) {
        openBatch()
        let last = pending.count - 1
        guard pending[last].losses.count < Limits.batchLosses else { return }
        pending[last].losses.append(
            LossMark(index: pending[last].headers.count, place: .ringBuffer, count: count))
    }

    /// The last batch takes one more event of this CPU.
    private func openBatch() {
        if let last = pending.last, last.cpu == cpu, last.headers.count < StreamSink.batchEvents,
            last.losses.count < Limits.batchLosses
        {
            return
        }
        pending.append(EventBatch(cpu: cpu))
    }

    /// Small enough to stay in the cache until it is encoded or analyzed.
    static let batchEvents = 2048

    // MARK: Out

    func takePending() -> [EventBatch] {
        defer { pending = [] }
        return pending
    }
}
