import CBabeltrace2
import Glibc
import TraceModel

/// Finds the CTF traces in a directory and everything below it.
///
/// A trace is a directory that holds a file `metadata`. LTTng writes one for each domain and user below the session's
/// directory, and one for each rotation; the parts of one rotated trace are one trace, which the `ctf` plugin itself tells
/// by the group it gives for each ("babeltrace.support-info", its source.ctf.fs page).
package enum TraceDirectories {
    /// Whether there is a CTF trace at `path` or below it.
    package static func isTrace(_ path: String) -> Bool { !find(in: path).isEmpty }

    /// Directories of traces in `path`, sorted.
    static func find(in path: String) -> [String] {
        var found: [String] = []
        collect(path, depth: 0, into: &found)
        return found.sorted()
    }

    /// The directories of each trace in `path`, sorted by the first.
    static func traces(in path: String, _ plugin: CTFPlugin) throws(CTFError) -> [[String]] {
        var groups: [(name: String?, directories: [String])] = []
        for directory in find(in: path) {
            _ = try MetadataPackets.text("\(directory)/metadata")
            let name = try group(of: directory, plugin)
            if let name, let index = groups.firstIndex(where: { $0.name == name }) {
                groups[index].directories.append(directory)
            } else {
                groups.append((name, [directory]))
            }
        }
        return groups.map(\.directories)
    }

    private static func collect(_ path: String, depth: Int, into found: inout [String]) {
        guard depth <= Limits.traceDirectoryDepth, found.count < Limits.traceDirectories else { return }
        if isFile("\(path)/metadata") { found.append(path) }
        for name in names(in: path) ?? [] {
            let child = "\(path)/\(name)"
            if isDirectory(child) { collect(child, depth: depth + 1, into: &found) }
        }
    }

    /// What is in a directory; nil when it cannot be read.
    static func names(in path: String) -> [String]? {
        guard let directory = opendir(path) else { return nil }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    private static func mode(_ path: String) -> mode_t {
        var status = stat()
        return lstat(path, &status) == 0 ? status.st_mode & S_IFMT : 0
    }

    private static func isDirectory(_ path: String) -> Bool { mode(path) == S_IFDIR }

    static func isFile(_ path: String) -> Bool {
        let mode = mode(path)
        return mode == S_IFREG || mode == S_IFLNK
    }

    /// What the plugin says that the traces which belong together have in common; nil when it says nothing.
    private static func group(of directory: String, _ plugin: CTFPlugin) throws(CTFError) -> String? {
        try Library.alone { () throws(CTFError) in try askGroup(of: directory, plugin) }
    }

    private static func askGroup(of directory: String, _ plugin: CTFPlugin) throws(CTFError) -> String? {
        let parameters = try Value.parameters([("input", directory), ("type", "directory")])
        let source = bt_component_class_source_as_component_class_const(try plugin.source("fs"))
        guard let executor = bt_query_executor_create(source, "babeltrace.support-info", parameters.pointer) else {
            throw .library("asking about '\(directory)'")
        }
        defer { bt_query_executor_put_ref(executor) }
        var result: OpaquePointer?
        guard bt_query_executor_query(executor, &result) == BT_QUERY_EXECUTOR_QUERY_STATUS_OK, let result else {
            // Opening it will say what is wrong with it.
            _ = CTFError.library("")
            return nil
        }
        defer { bt_value_put_ref(result) }
        guard bt_value_get_type(result) == BT_VALUE_TYPE_MAP,
            let group = bt_value_map_borrow_entry_value_const(result, "group"),
            bt_value_get_type(group) == BT_VALUE_TYPE_STRING, let text = bt_value_string_get(group)
        else { return nil }
        return String(cString: text)
    }
}
