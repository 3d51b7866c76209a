import CBabeltrace2
package import TraceModel

/// What a feed follows: a session that is asked again and again what there is.
package protocol LiveSource: AnyObject {
    /// What the session's first trace says; nil before it is there.
    var facts: CTFMachineFacts? { get }
    /// Every format so far.
    var formats: [EventFormat] { get }
    /// Does not wait.
    func step() -> LiveReader.Step
}

/// Follows one LTTng session through its relay daemon, with `source.ctf.lttng-live`.
///
/// The component has one port for all streams, in one order of time, and says with inactivity messages how far a silent
/// session has come. It never waits: "try again" means that whoever asked should sleep, as this reader's caller does.
/// Belongs to one thread, which a slow relay daemon may keep waiting.
package final class LiveReader: LiveSource {
    package enum Step {
        /// Batches and the time before which nothing more will come.
        case events([EventBatch], watermark: TraceTicks?)
        /// Nothing now.
        case waiting
        /// The session is over, or cannot be followed any more.
        case ended(problem: String?)
    }

    private let graph: Graph
    private let sink: LiveSink
    private let url: String
    /// Once it has come.
    private var end: Step?

    /// Attaches to `net://HOST[:PORT]/host/TARGET/SESSION`, as babeltrace2 and `lttng view` name it; from now on, because
    /// the relay daemon gives no history.
    package init(url: String) throws(CTFError) {
        self.url = url
        let plugin = try CTFPlugin.loaded()
        graph = try Graph()
        sink = LiveSink()
        let parameters = try Value.inputs([url])
        try parameters.insert("session-not-found-action", text: "fail")
        // The relay daemon is first talked to in the first step, not in here.
        try Library.alone { () throws(CTFError) in try connect(try plugin.source("lttng-live"), parameters) }
    }

    private func connect(_ source: OpaquePointer, _ parameters: borrowing Value) throws(CTFError) {
        let what = "following the LTTng session '\(url)'"
        var component: OpaquePointer?
        let status = bt_graph_add_source_component(
            graph.pointer, source, "live", parameters.pointer, BT_LOGGING_LEVEL_NONE, &component)
        guard status == BT_GRAPH_ADD_COMPONENT_STATUS_OK, let component else { throw .library(what) }
        var added: OpaquePointer?
        let simple = bt_graph_add_simple_sink_component(
            graph.pointer, "all streams", nil,
            { iterator, data in
                guard let data else { return BT_GRAPH_SIMPLE_SINK_COMPONENT_CONSUME_FUNC_STATUS_END }
                return Unmanaged<LiveSink>.fromOpaque(data).takeUnretainedValue().consume(iterator)
            }, nil, Unmanaged.passUnretained(sink).toOpaque(), &added)
        guard simple == BT_GRAPH_ADD_COMPONENT_STATUS_OK, let added,
            let output = bt_component_source_borrow_output_port_by_index_const(component, 0),
            let input = bt_component_sink_borrow_input_port_by_index_const(added, 0),
            bt_graph_connect_ports(graph.pointer, output, input, nil) == BT_GRAPH_CONNECT_PORTS_STATUS_OK
        else { throw .library(what) }
    }

    static func attach(to url: String) -> Result<any LiveSource, CTFError> {
        do throws(CTFError) { return .success(try LiveReader(url: url)) } catch { return .failure(error) }
    }

    package var facts: CTFMachineFacts? { sink.facts(url: url) }

    package var formats: [EventFormat] { sink.catalog.registry.formats }

    /// The relay daemon gives whole packets, the component a dozen events at a time: they are gathered, as far as they are
    /// there.
    package func step() -> Step {
        if let end { return end }
        var status = bt_graph_run_once(graph.pointer)
        while status == BT_GRAPH_RUN_ONCE_STATUS_OK, sink.problem == nil, sink.messages < BatchBuilder.mostEvents {
            status = bt_graph_run_once(graph.pointer)
        }
        switch status {
        case _ where sink.problem != nil: end = .ended(problem: sink.problem)
        case BT_GRAPH_RUN_ONCE_STATUS_OK, BT_GRAPH_RUN_ONCE_STATUS_AGAIN: break
        case BT_GRAPH_RUN_ONCE_STATUS_END: end = .ended(problem: nil)
        default: end = .ended(problem: CTFError.library("following the LTTng session '\(url)'").description)
        }
        guard sink.messages == 0 else { return .events(sink.takeBatches(), watermark: sink.reached) }
        return end ?? .waiting
    }
}

/// The sink at the one port: messages of all streams, sorted into a decoder for each.
private final class LiveSink {
    let catalog = EventCatalog()
    private(set) var problem: String?
    private(set) var reached: TraceTicks?
    /// Since batches were taken last.
    private(set) var messages = 0
    private var streams: [OpaquePointer: StreamSink] = [:]
    private var order: [StreamSink] = []
    private var lanes: [Int: CPULane] = [:]
    private var environment: [String: String] = [:]
    private var clock: CTFClock?

    deinit { for stream in streams.keys { bt_stream_put_ref(stream) } }

    func consume(_ iterator: OpaquePointer?) -> bt_graph_simple_sink_component_consume_func_status {
        var messages: bt_message_array_const?
        var count: UInt64 = 0
        switch bt_message_iterator_next(iterator, &messages, &count) {
        case BT_MESSAGE_ITERATOR_NEXT_STATUS_OK:
            self.messages += Int(count)
            for index in 0..<Int(count) {
                guard let message = messages?[index] else { continue }
                take(message)
                bt_message_put_ref(message)
            }
            return BT_GRAPH_SIMPLE_SINK_COMPONENT_CONSUME_FUNC_STATUS_OK
        case BT_MESSAGE_ITERATOR_NEXT_STATUS_AGAIN: return BT_GRAPH_SIMPLE_SINK_COMPONENT_CONSUME_FUNC_STATUS_AGAIN
        case BT_MESSAGE_ITERATOR_NEXT_STATUS_END: return BT_GRAPH_SIMPLE_SINK_COMPONENT_CONSUME_FUNC_STATUS_END
        default:
            problem = CTFError.library("following an LTTng session").description
            return BT_GRAPH_SIMPLE_SINK_COMPONENT_CONSUME_FUNC_STATUS_END
        }
    }

    private func take(_ message: OpaquePointer) {
        if bt_message_get_type(message) == BT_MESSAGE_TYPE_MESSAGE_ITERATOR_INACTIVITY {
            guard let snapshot = bt_message_message_iterator_inactivity_borrow_clock_snapshot_const(message),
                let clock = bt_clock_snapshot_borrow_clock_class_const(snapshot).map(CTFClock.init)
            else { return }
            self.clock = self.clock ?? clock
            advance(to: TraceTicks(clock.nanoseconds(bt_clock_snapshot_get_value(snapshot))))
            return
        }
        guard let stream = LiveSink.stream(of: message) else { return }
        let decoder = decoder(of: stream)
        decoder.take(message)
        if let reached = decoder.reached { advance(to: reached) }
        if clock == nil, let streamClass = bt_stream_borrow_class_const(stream) {
            clock = bt_stream_class_borrow_default_clock_class_const(streamClass).map(CTFClock.init)
        }
    }

    private func advance(to time: TraceTicks) { reached = max(reached ?? time, time) }

    private static func stream(of message: OpaquePointer) -> OpaquePointer? {
        switch bt_message_get_type(message) {
        case BT_MESSAGE_TYPE_EVENT:
            bt_message_event_borrow_event_const(message).flatMap { bt_event_borrow_stream_const($0) }
        case BT_MESSAGE_TYPE_STREAM_BEGINNING: bt_message_stream_beginning_borrow_stream_const(message)
        case BT_MESSAGE_TYPE_PACKET_BEGINNING:
            bt_message_packet_beginning_borrow_packet_const(message).flatMap { bt_packet_borrow_stream_const($0) }
        case BT_MESSAGE_TYPE_DISCARDED_EVENTS: bt_message_discarded_events_borrow_stream_const(message)
        case BT_MESSAGE_TYPE_DISCARDED_PACKETS: bt_message_discarded_packets_borrow_stream_const(message)
        default: nil
        }
    }

    private func decoder(of stream: OpaquePointer) -> StreamSink {
        if let known = streams[stream] { return known }
        bt_stream_get_ref(stream)
        let decoder = StreamSink(cpu: streams.count)
        decoder.begin(with: catalog)
        streams[stream] = decoder
        order.append(decoder)
        if let trace = bt_stream_borrow_trace_const(stream) {
            for entry in TraceReader.facts(of: trace).environment where environment[entry.name] == nil {
                environment[entry.name] = entry.value
            }
        }
        return decoder
    }

    func takeBatches() -> [EventBatch] {
        messages = 0
        var output: [EventBatch] = []
        for (index, stream) in order.enumerated() {
            // Only exports have any.
            _ = stream.takeNotes()
            for batch in stream.takePending() {
                lanes[batch.cpu, default: CPULane(switching: catalog.registry.switching)].push(batch, of: index)
            }
        }
        for cpu in lanes.keys.sorted() { lanes[cpu]?.drain(into: &output) { [reached] _ in reached } }
        return output
    }

    func facts(url: String) -> CTFMachineFacts? {
        guard let clock else { return nil }
        let hostname = environment["hostname"] ?? ""
        return CTFMachineFacts(
            name: hostname.isEmpty ? url : hostname, hostname: hostname,
            kernelRelease: environment["kernel_release"] ?? "", bootID: clock.uuid, clock: clock,
            environment: environment, paths: [url])
    }
}
