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

    /// Of its port; no other stream of the trace has it.
    let name: String
    var turn = Turn.decline
    /// What the last turn led to.
    private(set) var progress = Progress.none
    private(set) var hasEnded = false
    /// Why the stream ended before its end.
    private(set) var problem: String?
    private(set) var eventsWithoutFormat: UInt64 = 0
    private var notes = ExportNotes()
    /// What the present packet states, and where its first event is.
    private var bound: ExportNotes.Bound?
    /// Of the events that are not in a batch yet, in nanoseconds.
    private var batchBound: Int64 = 0
    /// Messages of the first turn.
    private var primed: [OpaquePointer] = []

    private var catalog: EventCatalog?
    private var clock: CTFClock?
    /// Batches of this stream in order, none of them empty; what follows them is in `builder`.
    private var pending: [EventBatch] = []
    private var builder: BatchBuilder

    /// `cpu` is for a stream that does not tell its CPU.
    init(name: String = "", cpu: Int) {
        self.name = name
        builder = BatchBuilder(cpu: cpu)
    }

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
                if isPriming {
                    for index in 0..<Int(count) {
                        if let message = messages[index] { primed.append(message) }
                    }
                } else {
                    take(messages, count: Int(count))
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

    /// Nothing earlier will come from this stream; nil before its first event.
    var reached: TraceTicks? { builder.reached }

    var stepsBack: UInt64 { builder.stepsBack }

    var eventsRead: UInt64 { builder.eventsRead }

    private func take(_ messages: bt_message_array_const, count: Int) {
        var index = 0
        while index < count {
            if let catalog { index = builder.append(messages, index..<count, catalog.table) }
            guard index < count else { return }
            if let message = messages[index] {
                take(message)
                bt_message_put_ref(message)
            }
            index += 1
        }
    }

    func take(_ message: OpaquePointer) {
        switch bt_message_get_type(message) {
        case BT_MESSAGE_TYPE_EVENT: takeEvent(message)
        case BT_MESSAGE_TYPE_STREAM_BEGINNING: takeBeginning(message)
        case BT_MESSAGE_TYPE_PACKET_BEGINNING: takePacket(message)
        case BT_MESSAGE_TYPE_PACKET_END: endBound()
        case BT_MESSAGE_TYPE_DISCARDED_EVENTS:
            var count: UInt64 = 0
            let isKnown = bt_message_discarded_events_get_count(message, &count).rawValue != 0
            lose(isKnown ? count : nil)
        case BT_MESSAGE_TYPE_DISCARDED_PACKETS: lose(nil)
        case BT_MESSAGE_TYPE_MESSAGE_ITERATOR_INACTIVITY:
            guard
                let snapshot = bt_message_message_iterator_inactivity_borrow_clock_snapshot_const(message)
            else {
                return
            }
            let clock =
                self.clock ?? bt_clock_snapshot_borrow_clock_class_const(snapshot).map(CTFClock.init)
            guard let clock else { return }
            let ticks = TraceTicks(clock.nanoseconds(bt_clock_snapshot_get_value(snapshot)))
            builder.advance(to: ticks)
        default: break
        }
    }

    private func takeBeginning(_ message: OpaquePointer) {
        guard let stream = bt_message_stream_beginning_borrow_stream_const(message),
            let streamClass = bt_stream_borrow_class_const(stream)
        else { return }
        builder.forgetPlans()
        catalog?.register(streamClass: streamClass)
        clock = bt_stream_class_borrow_default_clock_class_const(streamClass).map(CTFClock.init)
        builder.clockFrequency = clock?.frequency ?? 0
        if clock == nil { end("its events carry no time") }
    }

    /// A packet tells the CPU of its events.
    private func takePacket(_ message: OpaquePointer) {
        guard let packet = bt_message_packet_beginning_borrow_packet_const(message),
            let context = bt_packet_borrow_context_field_const(packet)
        else { return }
        if let cpu = number("cpu_id", in: context) { setCPU(cpu) }
        guard let nanoseconds = number(CTFMark.bound, in: context), let clock,
            let begin = bt_message_packet_beginning_borrow_default_clock_snapshot_const(message)
        else { return }
        let first = clock.nanoseconds(bt_clock_snapshot_get_value(begin))
        bound = ExportNotes.Bound(cpu: builder.cpu, first: first, last: first, nanoseconds: nanoseconds)
        // A batch is placed with one bound.
        if nanoseconds != batchBound, builder.hasEvents { pending.append(builder.takeEvents()) }
        batchBound = nanoseconds
    }

    private func endBound() {
        guard var bound else { return }
        bound.last = max(bound.first, builder.reached?.rawValue ?? bound.first)
        if let before = notes.bounds.last, before.cpu == bound.cpu, before.nanoseconds == bound.nanoseconds {
            notes.bounds[notes.bounds.count - 1].last = bound.last
        } else {
            notes.bounds.append(bound)
        }
        self.bound = nil
    }

    private func number(_ name: String, in structure: OpaquePointer) -> Int64? {
        guard let field = bt_field_structure_borrow_member_field_by_name_const(structure, name) else {
            return nil
        }
        switch bt_field_get_class_type(field) {
        case BT_FIELD_CLASS_TYPE_UNSIGNED_INTEGER, BT_FIELD_CLASS_TYPE_UNSIGNED_ENUMERATION:
            return Int64(bitPattern: bt_field_integer_unsigned_get_value(field))
        case BT_FIELD_CLASS_TYPE_SIGNED_INTEGER, BT_FIELD_CLASS_TYPE_SIGNED_ENUMERATION:
            return bt_field_integer_signed_get_value(field)
        default: return nil
        }
    }

    private func setCPU(_ number: Int64) {
        guard number != Int64(builder.cpu), (0..<Int64(Limits.cpus)).contains(number) else { return }
        seal(next: Int(number))
    }

    /// An event that the builder left: it is full, or the class or the CPU is a new one.
    private func takeEvent(_ message: OpaquePointer) {
        guard clock != nil, let catalog, let event = bt_message_event_borrow_event_const(message),
            let eventClass = bt_event_borrow_class_const(event)
        else { return }
        guard !EventCatalog.isSteal(eventClass) else { return takeSteal(message, event) }
        guard let index = catalog.plan(of: eventClass) else {
            guard builder.time(of: message) != nil else { return }
            eventsWithoutFormat &+= 1
            lose(1)
            return
        }
        builder.setPlan(index, ofClass: bt_event_class_get_id(eventClass))
        let plan = catalog.table.plans[index]
        if let number = plan.cpu?.value(in: event) { setCPU(number) }
        if builder.isFull { seal(next: builder.cpu) }
        builder.append(message, event, plan, catalog.table)
    }

    /// Not an event for the analysis: see `CTFMark.steal`.
    private func takeSteal(_ message: OpaquePointer, _ event: OpaquePointer) {
        guard let clock, let snapshot = bt_message_event_borrow_default_clock_snapshot_const(message),
            let payload = bt_event_borrow_payload_field_const(event), let told = number("nanoseconds", in: payload)
        else { return }
        let ticks = TraceTicks(clock.nanoseconds(bt_clock_snapshot_get_value(snapshot)))
        builder.advance(to: ticks)
        notes.steal.append(
            ExportNotes.Steal(
                ticks: ticks, cpu: StealSample.CPU(cpu: builder.cpu, nanoseconds: UInt64(bitPattern: told))))
    }

    private func lose(_ count: UInt64?) {
        if builder.isFull { seal(next: builder.cpu) }
        builder.lose(count)
    }

    // MARK: Out

    private func seal(next cpu: Int) {
        if builder.isEmpty { builder.cpu = cpu } else { pending.append(builder.take(next: cpu)) }
    }

    /// What came since they were taken last.
    func takeNotes() -> ExportNotes {
        defer { notes = ExportNotes() }
        return notes
    }

    /// Batches of this stream in order, none of them empty. A loss behind the last event is told with what follows it.
    func takePending() -> [EventBatch] {
        if hasEnded {
            seal(next: builder.cpu)
        } else if builder.hasEvents {
            pending.append(builder.takeEvents())
        }
        defer { pending = [] }
        return pending
    }
}
