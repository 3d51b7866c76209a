import CBabeltrace2
import TraceModel

/// One stream's events on their way into a batch: the part of reading that runs for each of them.
///
/// It is a value that owns all it touches, because a class's properties are checked for exclusive access at every use, and
/// it takes a whole array of messages at a time. What is rare it leaves to its caller (`StreamSink`). Records are written
/// where they will lie, in a buffer that always has room for the longest.
struct BatchBuilder: ~Copyable {
    private let records: UnsafeMutableRawPointer
    private var used = 0
    private var headers: [EventHeader] = []
    private var losses: [LossMark] = []
    /// Of the batch; to be changed only while it is empty.
    var cpu: Int
    /// Of the stream's clock; 0 while there is none.
    var clockFrequency: UInt64 = 0
    /// Plans by event class id; -1 where none is known.
    private var planByID: [Int32] = []
    /// Nothing earlier will come; nil before the first event.
    private(set) var reached: TraceTicks?
    private(set) var eventsRead: UInt64 = 0
    private(set) var stepsBack: UInt64 = 0

    /// What a `__data_loc` word can reach.
    private static let longestRecord = 0xffff
    /// 2048 events of 96 bytes, and one more of the longest.
    private static let capacity = 256 << 10
    /// Small enough to stay in the cache until it is encoded or analyzed.
    static let mostEvents = 2048

    init(cpu: Int) {
        self.cpu = cpu
        records = .allocate(byteCount: Self.capacity, alignment: 16)
    }

    deinit { records.deallocate() }

    var isEmpty: Bool { headers.isEmpty && losses.isEmpty }
    var hasEvents: Bool { !headers.isEmpty }

    /// It has to be taken before one more event is appended.
    var isFull: Bool {
        headers.count >= Self.mostEvents || used > Self.capacity - Self.longestRecord
            || losses.count >= Limits.batchLosses
    }

    /// What it holds, as a batch; it is empty then, and for events of `cpu`.
    mutating func take(next cpu: Int) -> EventBatch { take(next: cpu, losses: losses, left: []) }

    /// Its events, as a batch; losses behind the last one stay, as they belong to the next.
    mutating func takeEvents() -> EventBatch {
        let end = headers.count
        return take(
            next: cpu, losses: losses.filter { $0.index < end },
            left: losses.filter { $0.index >= end }.map { LossMark(index: 0, place: $0.place, count: $0.count) })
    }

    private mutating func take(next cpu: Int, losses: [LossMark], left: [LossMark]) -> EventBatch {
        var batch = EventBatch(cpu: self.cpu)
        batch.records = [UInt8](UnsafeRawBufferPointer(start: records, count: used))
        batch.losses = losses
        swap(&batch.headers, &headers)
        // The next one will be as long.
        headers.reserveCapacity(batch.headers.count)
        self.losses = left
        used = 0
        self.cpu = cpu
        return batch
    }

    /// Only while it is not full.
    mutating func lose(_ count: UInt64?) {
        losses.append(LossMark(index: headers.count, place: .ringBuffer, count: count))
    }

    mutating func advance(to ticks: TraceTicks) { reached = max(reached ?? ticks, ticks) }

    // MARK: Plans

    /// Event class ids are a stream class's.
    mutating func forgetPlans() { planByID = [] }

    mutating func setPlan(_ plan: Int, ofClass id: UInt64) {
        guard id < UInt64(Limits.formats) else { return }
        let place = Int(id)
        if place >= planByID.count {
            planByID.append(contentsOf: repeatElement(-1, count: place + 1 - planByID.count))
        }
        planByID[place] = Int32(plan)
    }

    // MARK: Events

    /// Takes events in, and their messages, up to the first message that is something else, or whose class or CPU is
    /// another than those known. Returns the index of that message.
    mutating func append(
        _ messages: bt_message_array_const, _ range: Range<Int>, _ table: EventCatalog.Table
    ) -> Int {
        guard clockFrequency != 0 else { return range.lowerBound }
        for index in range {
            guard !isFull, let message = messages[index],
                bt_message_get_type(message) == BT_MESSAGE_TYPE_EVENT,
                let event = bt_message_event_borrow_event_const(message),
                let eventClass = bt_event_borrow_class_const(event)
            else { return index }
            let id = bt_event_class_get_id(eventClass)
            guard id < UInt64(planByID.count), planByID[Int(id)] >= 0 else { return index }
            let plan = table.plans[Int(planByID[Int(id)])]
            if let number = plan.cpu?.value(in: event), number != Int64(cpu) { return index }
            append(message, event, plan, table)
            bt_message_put_ref(message)
        }
        return range.upperBound
    }

    /// One event of any class; only while it is not full.
    mutating func append(
        _ message: OpaquePointer, _ event: OpaquePointer, _ plan: EventPlan, _ table: EventCatalog.Table
    ) {
        guard let ticks = time(of: message) else { return }
        let thread =
            plan.thread?.value(in: event).map { Int32(truncatingIfNeeded: $0) } ?? ThreadTracker.unknown
        let flags = plan.flags?.value(in: event).map { UInt8(truncatingIfNeeded: $0) } ?? 0
        let record = records + used
        record.initializeMemory(as: UInt8.self, repeating: 0, count: plan.fixedBytes)
        record.storeBytes(of: plan.kernelID, as: UInt16.self)
        record.storeBytes(of: flags, toByteOffset: 2, as: UInt8.self)
        record.storeBytes(of: thread, toByteOffset: 4, as: Int32.self)
        var length = plan.fixedBytes
        if let payload = bt_event_borrow_payload_field_const(event) {
            for index in plan.moves {
                let move = table.moves[index]
                guard let structure = table.structure(move, in: payload),
                    let field = bt_field_structure_borrow_member_field_by_index_const(structure, move.member)
                else { continue }
                length += move.copy(field, to: record, behind: length, room: Self.longestRecord - length)
            }
        }
        headers.append(
            EventHeader(
                ticks: ticks, offset: UInt32(truncatingIfNeeded: used),
                length: UInt32(truncatingIfNeeded: length),
                pid: thread, typeIndex: plan.typeIndex, flags: flags, preemptCount: 0))
        used += length
    }

    /// The event's time, not before that of the one before it.
    mutating func time(of message: OpaquePointer) -> TraceTicks? {
        guard let snapshot = bt_message_event_borrow_default_clock_snapshot_const(message) else {
            return nil
        }
        eventsRead &+= 1
        var ticks = TraceTicks(
            CTFClock.nanoseconds(bt_clock_snapshot_get_value(snapshot), frequency: clockFrequency))
        if let reached, ticks < reached {
            // LTTng's streams step back by a microsecond or two now and then.
            stepsBack &+= 1
            ticks = reached
        }
        reached = ticks
        return ticks
    }
}

extension EventCatalog.Table {
    /// The structure that has the move's member: the event class has it, and its fields have the structure of their class.
    @inline(__always)
    fileprivate func structure(_ move: EventPlan.Move, in payload: OpaquePointer) -> OpaquePointer? {
        var structure: OpaquePointer? = payload
        for place in move.path {
            guard let here = structure else { return nil }
            let member = paths[place]
            if member & EventPlan.isOption == 0 {
                structure = bt_field_structure_borrow_member_field_by_index_const(here, member)
            } else if bt_field_variant_get_selected_option_index(here) == member & ~EventPlan.isOption {
                structure = bt_field_variant_borrow_selected_option_field_const(here)
            } else {
                return nil
            }
        }
        return structure
    }
}
