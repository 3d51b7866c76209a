import CBabeltrace2
import TraceModel

/// One CTF trace: a graph with a source and a sink at each of its ports. Belongs to one thread.
final class TraceReader {
    /// What the trace says of itself.
    struct Facts {
        var environment: [(name: String, value: String)] = []
        var uuid = ""
        var clock: CTFClock?
    }

    let path: String
    private let graph: Graph
    private(set) var streams: [StreamSink] = []
    private(set) var facts = Facts()

    private let directories: [String]
    private let plugin: CTFPlugin
    /// Temporary, and needed as long as its files are read.
    private let scratch: ScratchDirectory?

    /// Opens the trace whose parts are these directories.
    convenience init(
        directories: [String], shownAs path: String? = nil, _ plugin: CTFPlugin,
        keeping scratch: ScratchDirectory? = nil
    ) throws(CTFError) {
        try self.init(directories, shownAs: path ?? directories[0], plugin, scratch, only: nil)
    }

    private init(
        _ directories: [String], shownAs path: String, _ plugin: CTFPlugin, _ scratch: ScratchDirectory?,
        only names: Set<String>?
    ) throws(CTFError) {
        self.path = path
        self.directories = directories
        self.plugin = plugin
        self.scratch = scratch
        graph = try Graph()
        let parameters = try Value.inputs(directories)
        let what = "opening the CTF trace '\(path)'"
        try Library.alone { () throws(CTFError) in
            try connect(try plugin.source("fs"), parameters, only: names, doing: what)
        }
        try prime()
    }

    /// The same trace once more, with some of its streams only: for another thread.
    func again(streams names: Set<String>) throws(CTFError) -> TraceReader {
        try TraceReader(directories, shownAs: path, plugin, scratch, only: names)
    }

    /// A source, and at its ports a sink of our own each.
    private func connect(
        _ source: OpaquePointer, _ parameters: borrowing Value, only names: Set<String>?, doing what: String
    ) throws(CTFError) {
        var component: OpaquePointer?
        let status = bt_graph_add_source_component(
            graph.pointer, source, "source", parameters.pointer, BT_LOGGING_LEVEL_NONE, &component)
        guard status == BT_GRAPH_ADD_COMPONENT_STATUS_OK, let component else { throw .library(what) }
        let ports = bt_component_source_get_output_port_count(component)
        guard ports <= UInt64(Limits.traceStreams) else {
            throw CTFError("\(what) failed: it has \(ports) streams; at most \(Limits.traceStreams) can be read")
        }
        for index in 0..<ports {
            guard let port = bt_component_source_borrow_output_port_by_index_const(component, index) else { continue }
            let name =
                bt_port_get_name(bt_port_output_as_port_const(port)).map { String(cString: $0) } ?? "\(index)"
            if let names, !names.contains(name) { continue }
            let stream = StreamSink(name: name, cpu: Int(index))
            streams.append(stream)
            var sink: OpaquePointer?
            let added = bt_graph_add_simple_sink_component(
                graph.pointer, "stream \(index)", nil,
                { iterator, data in
                    guard let data else { return BT_GRAPH_SIMPLE_SINK_COMPONENT_CONSUME_FUNC_STATUS_END }
                    return Unmanaged<StreamSink>.fromOpaque(data).takeUnretainedValue().consume(iterator)
                }, nil, Unmanaged.passUnretained(stream).toOpaque(), &sink)
            guard added == BT_GRAPH_ADD_COMPONENT_STATUS_OK, let sink,
                let input = bt_component_sink_borrow_input_port_by_index_const(sink, 0),
                bt_graph_connect_ports(graph.pointer, port, input, nil) == BT_GRAPH_CONNECT_PORTS_STATUS_OK
            else { throw .library(what) }
        }
    }

    /// Each stream's first messages, which tell the trace's facts.
    private func prime() throws(CTFError) {
        for stream in streams { try run(stream, .prime) }
        for stream in streams {
            guard let first = stream.firstStream, let trace = bt_stream_borrow_trace_const(first) else { continue }
            facts = TraceReader.facts(of: trace)
            facts.clock = bt_stream_borrow_class_const(first)
                .flatMap { bt_stream_class_borrow_default_clock_class_const($0) }.map(CTFClock.init)
            if facts.clock != nil { return }
        }
    }

    static func facts(of trace: OpaquePointer) -> Facts {
        var facts = Facts()
        if let uuid = bt_trace_get_uuid(trace) { facts.uuid = UUIDText.text(uuid) }
        for index in 0..<min(bt_trace_get_environment_entry_count(trace), UInt64(Limits.environmentEntries)) {
            var name: UnsafePointer<CChar>?
            var value: OpaquePointer?
            bt_trace_borrow_environment_entry_by_index_const(trace, index, &name, &value)
            guard let name, let value else { continue }
            let text: String
            switch bt_value_get_type(value) {
            case BT_VALUE_TYPE_STRING: text = bt_value_string_get(value).map { String(cString: $0) } ?? ""
            case BT_VALUE_TYPE_SIGNED_INTEGER: text = "\(bt_value_integer_signed_get(value))"
            case BT_VALUE_TYPE_UNSIGNED_INTEGER: text = "\(bt_value_integer_unsigned_get(value))"
            default: continue
            }
            facts.environment.append(
                (String(cString: name).sanitized, String(text.prefix(Limits.environmentText)).sanitized))
        }
        return facts
    }

    /// Gives the stream its turn. What it did is its `progress`.
    func run(_ stream: StreamSink, _ turn: StreamSink.Turn) throws(CTFError) {
        stream.turn = turn
        // Every sink is offered a turn before one is offered the next, so that this many tries reach the one wanted.
        for _ in 0...streams.count {
            guard case .decline = stream.turn else {
                let status = bt_graph_run_once(graph.pointer)
                switch status {
                case BT_GRAPH_RUN_ONCE_STATUS_OK, BT_GRAPH_RUN_ONCE_STATUS_AGAIN: continue
                case BT_GRAPH_RUN_ONCE_STATUS_END:
                    if !stream.hasEnded { stream.end(nil) }
                    return
                default:
                    let error = CTFError.library("reading '\(path)'")
                    // Before the first turn all iterators are made together: one that cannot be made ends all.
                    for stream in streams where !stream.hasEnded { stream.end(error.description) }
                    throw error
                }
            }
            return
        }
    }
}
