/// libbabeltrace2's objects, each behind a type of its own that owns one reference.
///
/// To Swift all of them are the same type, `OpaquePointer`: a graph could be passed where a field is meant. What is
/// borrowed for the length of one call stays a pointer.
import CBabeltrace2
import Threading

/// What graphs of different threads share: the classes of the library's plugins.
///
/// A graph and all that comes out of it belong to one thread at a time and need no lock. But each component counts a
/// reference to its class, which components of other graphs count as well, and the library's counts are not atomic. So
/// whoever makes or unmakes components, or asks a class something, does it in here.
enum Library {
    private static let lock = ConditionLock()

    static func alone<Value>(_ body: () throws(CTFError) -> Value) throws(CTFError) -> Value {
        let result = lock.withLock { () -> Result<Value, CTFError> in
            do throws(CTFError) { return .success(try body()) } catch { return .failure(error) }
        }
        return try result.get()
    }

    static func aloneLetGo(of graph: OpaquePointer) { lock.withLock { bt_graph_put_ref(graph) } }
}

/// Does the work: sources, sinks, and the messages between them. Belongs to one thread at a time.
struct Graph: ~Copyable {
    let pointer: OpaquePointer

    init() throws(CTFError) {
        // Version 0 of the message protocol is all that libbabeltrace2 2.0 has.
        guard let pointer = bt_graph_create(0) else { throw .library("creating a trace graph") }
        self.pointer = pointer
    }

    deinit { Library.aloneLetGo(of: pointer) }
}

/// A map, an array or a string, as the parameters of components are given.
struct Value: ~Copyable {
    let pointer: OpaquePointer

    private init(_ pointer: OpaquePointer?, _ what: String) throws(CTFError) {
        guard let pointer else { throw .library("making \(what)") }
        self.pointer = pointer
    }

    deinit { bt_value_put_ref(pointer) }

    static func parameters(_ entries: [(name: String, text: String)]) throws(CTFError) -> Value {
        let map = try Value(bt_value_map_create(), "component parameters")
        for entry in entries {
            guard bt_value_map_insert_string_entry(map.pointer, entry.name, entry.text).rawValue == 0 else {
                throw .library("making the parameter \(entry.name)")
            }
        }
        return map
    }

    /// `{ inputs: [ … ] }`.
    static func inputs(_ texts: [String]) throws(CTFError) -> Value {
        let map = try parameters([])
        var array: OpaquePointer?
        guard bt_value_map_insert_empty_array_entry(map.pointer, "inputs", &array).rawValue == 0 else {
            throw .library("making component parameters")
        }
        for text in texts {
            guard bt_value_array_append_string_element(array, text).rawValue == 0 else {
                throw .library("making component parameters")
            }
        }
        return map
    }

    func insert(_ name: String, text: String) throws(CTFError) {
        guard bt_value_map_insert_string_entry(pointer, name, text).rawValue == 0 else {
            throw .library("making the parameter \(name)")
        }
    }

    func insert(_ name: String, bool: Bool) throws(CTFError) {
        guard bt_value_map_insert_bool_entry(pointer, name, bool ? 1 : 0).rawValue == 0 else {
            throw .library("making the parameter \(name)")
        }
    }
}

/// The `ctf` plugin: readers and the writer of the format. Loaded once: to look for it takes some milliseconds.
final class CTFPlugin: @unchecked Sendable {
    // @unchecked: the pointer never changes, and what it leads to is used in `Library.alone`.
    private let pointer: OpaquePointer

    private static let shared = Result { () throws(CTFError) in try CTFPlugin() }

    static func loaded() throws(CTFError) -> CTFPlugin { try shared.get() }

    private init() throws(CTFError) {
        // The library tells what is wrong with a component in its error, not on our standard error.
        bt_logging_set_global_level(BT_LOGGING_LEVEL_NONE)
        var found: OpaquePointer?
        let status = bt_plugin_find("ctf", 1, 1, 1, 1, 0, &found)
        guard status == BT_PLUGIN_FIND_STATUS_OK, let found else {
            _ = CTFError.library("")
            throw CTFError(
                "libbabeltrace2 has no 'ctf' plugin here; it belongs to Debian's libbabeltrace2-0, and "
                    + "BABELTRACE_PLUGIN_PATH tells where else to look")
        }
        pointer = found
    }

    deinit { bt_plugin_put_ref(pointer) }

    /// `fs` or `lttng-live`.
    func source(_ name: String) throws(CTFError) -> OpaquePointer {
        guard let found = bt_plugin_borrow_source_component_class_by_name_const(pointer, name) else {
            throw CTFError("libbabeltrace2's ctf plugin has no source '\(name)'")
        }
        return found
    }

    /// `fs`.
    func sink(_ name: String) throws(CTFError) -> OpaquePointer {
        guard let found = bt_plugin_borrow_sink_component_class_by_name_const(pointer, name) else {
            throw CTFError("libbabeltrace2's ctf plugin has no sink '\(name)'")
        }
        return found
    }
}
