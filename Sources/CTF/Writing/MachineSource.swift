import CBabeltrace2
import TraceModel

/// The source component that gives one machine's events to `sink.ctf.fs`: trace, streams, packets, events.
///
/// The graph pulls, an export pushes. Between them lies a queue of whole packets: what is not there yet is answered with
/// "again", and whoever pushed runs the graph until the queue is empty.
final class MachineSource {
    private enum Stage {
        case start, packetBeginning, events, packetEnd
    }

    private struct Stream {
        let pointer: OpaquePointer
        /// End of the last packet.
        var lastEnd: UInt64?
    }

    private let machine: ExportedMachine
    private let clock: ExportedClock
    /// Packets to be written, the next one first.
    private var queue: [PacketBuffer] = []
    private var stage = Stage.start
    private var packet: OpaquePointer?
    private var packetBegin: UInt64 = 0
    private var nextEvent = 0
    private var isEnding = false
    private var streams: [Int: Stream] = [:]
    private(set) var problem: CTFError?

    // Made when the component is: these belong to it.
    private var trace: OpaquePointer?
    private var streamClass: OpaquePointer?
    private var plans: [WritingPlan] = []

    init(machine: ExportedMachine, clock: ExportedClock) {
        self.machine = machine
        self.clock = clock
    }

    deinit {
        if let packet { bt_packet_put_ref(packet) }
        for stream in streams.values { bt_stream_put_ref(stream.pointer) }
        if let streamClass { bt_stream_class_put_ref(streamClass) }
        if let trace { bt_trace_put_ref(trace) }
    }

    // MARK: In

    var byteOrder: ByteOrder { machine.formats.byteOrder }

    func push(_ packet: PacketBuffer) { queue.append(packet) }

    var isIdle: Bool { queue.isEmpty }

    /// No more packets will be pushed.
    func end() { isEnding = true }

    // MARK: Component

    /// A class whose components take their source as the data of their initialization.
    static func makeClass() throws(CTFError) -> OpaquePointer {
        let what = "making a trace source"
        let iteratorClass = bt_message_iterator_class_create { iterator, messages, capacity, count in
            guard let iterator, let messages, let count,
                let data = bt_self_component_get_data(bt_self_message_iterator_borrow_component(iterator))
            else { return BT_MESSAGE_ITERATOR_CLASS_NEXT_METHOD_STATUS_ERROR }
            return Unmanaged<MachineSource>.fromOpaque(data).takeUnretainedValue()
                .next(iterator, messages, Int(capacity), count)
        }
        guard let iteratorClass else { throw .library(what) }
        defer { bt_message_iterator_class_put_ref(iteratorClass) }
        guard let source = bt_component_class_source_create("tandem", iteratorClass) else { throw .library(what) }
        let status = bt_component_class_source_set_initialize_method(source) { component, _, _, data in
            guard let component, let data else { return BT_COMPONENT_CLASS_INITIALIZE_METHOD_STATUS_ERROR }
            let source = Unmanaged<MachineSource>.fromOpaque(data).takeUnretainedValue()
            bt_self_component_set_data(bt_self_component_source_as_self_component(component), data)
            do throws(CTFError) {
                try source.describe(component)
                return BT_COMPONENT_CLASS_INITIALIZE_METHOD_STATUS_OK
            } catch {
                source.problem = error
                return BT_COMPONENT_CLASS_INITIALIZE_METHOD_STATUS_ERROR
            }
        }
        guard status.rawValue == 0 else { throw .library(what) }
        return source
    }

    /// The trace, its clock, its one stream class and all its event classes.
    private func describe(_ component: OpaquePointer) throws(CTFError) {
        let what = "describing the trace of \(machine.name)"
        let own = bt_self_component_source_as_self_component(component)
        guard bt_self_component_source_add_output_port(component, "out", nil, nil).rawValue == 0,
            let traceClass = bt_trace_class_create(own)
        else { throw .library(what) }
        defer { bt_trace_class_put_ref(traceClass) }
        guard let clockClass = bt_clock_class_create(own) else { throw .library(what) }
        defer { bt_clock_class_put_ref(clockClass) }
        setClock(clockClass)
        guard let streamClass = bt_stream_class_create(traceClass),
            bt_stream_class_set_default_clock_class(streamClass, clockClass).rawValue == 0
        else { throw .library(what) }
        self.streamClass = streamClass
        // A stream's id is its CPU.
        bt_stream_class_set_assigns_automatic_stream_id(streamClass, 0)
        bt_stream_class_set_supports_packets(streamClass, 1, 1, 1)
        bt_stream_class_set_supports_discarded_events(streamClass, 1, 1)
        // LTTng's names: the CPU of a packet, and the context "tid" of each event. It has none for ftrace's flags.
        try add([("cpu_id", false, 32), (CTFMark.bound, false, 64)], traceClass, what) {
            bt_stream_class_set_packet_context_field_class(streamClass, $0).rawValue == 0
        }
        try add([("tid", true, 32), (CTFMark.flags, false, 8)], traceClass, what) {
            bt_stream_class_set_event_common_context_field_class(streamClass, $0).rawValue == 0
        }
        for format in machine.formats.formats {
            plans.append(
                try WritingPlan(
                    format, byteOrder: machine.formats.byteOrder, traceClass: traceClass, streamClass: streamClass))
        }
        guard let trace = bt_trace_create(traceClass) else { throw .library(what) }
        self.trace = trace
        if let uuid = UUIDText.bytes(machine.bootID) { bt_trace_set_uuid(trace, uuid) }
        try describeEnvironment(trace, what)
    }

    private func setClock(_ clockClass: OpaquePointer) {
        bt_clock_class_set_frequency(clockClass, 1_000_000_000)
        _ = bt_clock_class_set_name(clockClass, "monotonic")
        _ = bt_clock_class_set_description(clockClass, "The host's trace clock")
        // LTTng's rule, by which Trace Compass tells machines apart: the clock's UUID is the boot id.
        if let uuid = UUIDText.bytes(machine.bootID) { bt_clock_class_set_uuid(clockClass, uuid) }
        let offset = clock.epochOffsetNanoseconds
        let seconds = offset >= 0 ? offset / 1_000_000_000 : -((999_999_999 - offset) / 1_000_000_000)
        bt_clock_class_set_offset(clockClass, seconds, UInt64(offset - seconds * 1_000_000_000))
        bt_clock_class_set_origin_is_unix_epoch(clockClass, 1)
    }

    private func add(
        _ integers: [(name: String, isSigned: Bool, bits: UInt64)], _ traceClass: OpaquePointer, _ what: String,
        to place: (OpaquePointer) -> Bool
    ) throws(CTFError) {
        guard let structure = bt_field_class_structure_create(traceClass) else { throw .library(what) }
        defer { bt_field_class_put_ref(structure) }
        for (name, isSigned, bits) in integers {
            let member =
                isSigned
                ? bt_field_class_integer_signed_create(traceClass) : bt_field_class_integer_unsigned_create(traceClass)
            guard let member else { throw .library(what) }
            defer { bt_field_class_put_ref(member) }
            bt_field_class_integer_set_field_value_range(member, bits)
            guard bt_field_class_structure_append_member(structure, name, member).rawValue == 0 else {
                throw .library(what)
            }
        }
        guard place(structure) else { throw .library(what) }
    }

    /// LTTng's entries, by which readers know a kernel's trace and the names of its events.
    private func describeEnvironment(_ trace: OpaquePointer, _ what: String) throws(CTFError) {
        var texts = [
            "hostname": machine.hostname, "domain": "kernel", "sysname": "Linux",
            "kernel_release": machine.kernelRelease, "tracer_name": "lttng-modules", "trace_name": machine.name,
            "exporter": "tandem", CTFMark.timeLine: clock.hostBootID,
        ]
        texts.merge(machine.environment) { _, given in given }
        for (name, text) in texts.sorted(by: { $0.key < $1.key }) {
            guard bt_trace_set_environment_entry_string(trace, name, text.sanitized).rawValue == 0 else {
                throw .library(what)
            }
        }
        for (name, number) in [("tracer_major", 2), ("tracer_minor", 13)] {
            guard bt_trace_set_environment_entry_integer(trace, name, Int64(number)).rawValue == 0 else {
                throw .library(what)
            }
        }
    }

    // MARK: Messages

    private func next(
        _ iterator: OpaquePointer, _ messages: bt_message_array_const, _ capacity: Int,
        _ count: UnsafeMutablePointer<UInt64>
    ) -> bt_message_iterator_class_next_method_status {
        var filled = 0
        do throws(CTFError) {
            while filled < capacity {
                if stage == .events {
                    try writeEvents(iterator, messages, capacity, &filled)
                } else if let message = try nextMessage(iterator) {
                    messages[filled] = message
                    filled += 1
                } else {
                    break
                }
            }
        } catch {
            problem = error
            for index in 0..<filled { bt_message_put_ref(messages[index]) }
            return BT_MESSAGE_ITERATOR_CLASS_NEXT_METHOD_STATUS_ERROR
        }
        count.pointee = UInt64(filled)
        if filled > 0 { return BT_MESSAGE_ITERATOR_CLASS_NEXT_METHOD_STATUS_OK }
        return isEnding
            ? BT_MESSAGE_ITERATOR_CLASS_NEXT_METHOD_STATUS_END : BT_MESSAGE_ITERATOR_CLASS_NEXT_METHOD_STATUS_AGAIN
    }

    private func nextMessage(_ iterator: OpaquePointer) throws(CTFError) -> OpaquePointer? {
        guard let current = queue.first else { return isEnding ? try nextEnd(iterator) : nil }
        guard let stream = streams[current.cpu] else { return try begin(current.cpu, iterator) }
        // A packet without events stands for a loss behind the last one.
        let before = stream.lastEnd ?? current.times.first ?? 0
        let begin = max(current.times.first ?? before, before)
        let end = max(current.times.last ?? begin, begin)
        switch stage {
        case .start:
            stage = .packetBeginning
            guard let lost = current.lost else { return try nextMessage(iterator) }
            let message = bt_message_discarded_events_create_with_default_clock_snapshots(
                iterator, stream.pointer, stream.lastEnd ?? begin, end)
            if let message { bt_message_discarded_events_set_count(message, max(1, lost)) }
            return try made(message)
        case .packetBeginning:
            guard let packet = bt_packet_create(stream.pointer) else { throw .library("making a packet") }
            self.packet = packet
            packetBegin = begin
            setContext(packet, current)
            stage = .events
            nextEvent = 0
            return try made(
                bt_message_packet_beginning_create_with_default_clock_snapshot(iterator, packet, begin))
        case .events: return nil
        case .packetEnd:
            guard let packet else { throw CTFError("a packet ended that had not begun") }
            defer {
                bt_packet_put_ref(packet)
                self.packet = nil
                streams[current.cpu]?.lastEnd = end
                queue.removeFirst()
                stage = .start
            }
            return try made(bt_message_packet_end_create_with_default_clock_snapshot(iterator, packet, end))
        }
    }

    private func made(_ message: OpaquePointer?) throws(CTFError) -> OpaquePointer {
        guard let message else { throw .library("making a message") }
        return message
    }

    private func begin(_ cpu: Int, _ iterator: OpaquePointer) throws(CTFError) -> OpaquePointer {
        guard let stream = bt_stream_create_with_id(streamClass, trace, UInt64(cpu)) else {
            throw .library("making the stream of CPU \(cpu)")
        }
        streams[cpu] = Stream(pointer: stream)
        _ = bt_stream_set_name(stream, "channel0_\(cpu)")
        return try made(bt_message_stream_beginning_create(iterator, stream))
    }

    private func nextEnd(_ iterator: OpaquePointer) throws(CTFError) -> OpaquePointer? {
        guard let cpu = streams.keys.min(), let stream = streams.removeValue(forKey: cpu) else { return nil }
        defer { bt_stream_put_ref(stream.pointer) }
        return try made(bt_message_stream_end_create(iterator, stream.pointer))
    }

    private func setContext(_ packet: OpaquePointer, _ buffer: PacketBuffer) {
        guard let context = bt_packet_borrow_context_field(packet) else { return }
        if let cpu = bt_field_structure_borrow_member_field_by_index(context, 0) {
            bt_field_integer_unsigned_set_value(cpu, UInt64(buffer.cpu))
        }
        if let bound = bt_field_structure_borrow_member_field_by_index(context, 1) {
            bt_field_integer_unsigned_set_value(bound, UInt64(max(0, buffer.boundNanoseconds)))
        }
    }

    /// Events of the present packet, as far as there is room: what they share is looked up once for all of them.
    private func writeEvents(
        _ iterator: OpaquePointer, _ messages: bt_message_array_const, _ capacity: Int, _ filled: inout Int
    ) throws(CTFError) {
        let buffer = queue[0]
        let (plans, packet, begin) = (self.plans, self.packet, packetBegin)
        let range = nextEvent..<min(buffer.headers.count, nextEvent + capacity - filled)
        buffer.records.withUnsafeBytes { records in
            for index in range {
                let header = buffer.headers[index]
                let message = plans[Int(header.typeIndex)].message(
                    of: header, in: records, iterator, packet, time: max(buffer.times[index], begin))
                guard let message else { return }
                messages[filled] = message
                filled += 1
                nextEvent = index + 1
            }
        }
        guard nextEvent == range.upperBound else { throw .library("making a message") }
        if nextEvent == buffer.headers.count { stage = .packetEnd }
    }
}
