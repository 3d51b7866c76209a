import Glibc

/// What this machine must give for a test to be possible; a test without it is skipped and says why.
enum Capability {
    static let tracefs = "/sys/kernel/tracing"

    /// Root (or a group with write access), and tracefs mounted.
    static let canTrace = access("\(tracefs)/instances", W_OK) == 0
}

/// The top-level tracing state, which Tandem never touches, and the instances of a process, which it removes.
enum TracefsState {
    static var topLevel: [String: String] {
        var state: [String: String] = [:]
        for name in ["tracing_on", "current_tracer", "set_event", "trace_clock", "buffer_size_kb"] {
            state[name] = text(of: "\(Capability.tracefs)/\(name)")
        }
        return state
    }

    /// Names of the instances that belong to that process.
    static func instances(of pid: Int32) -> [String] {
        guard let stream = opendir("\(Capability.tracefs)/instances") else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name.hasPrefix("tandem-"), name.split(separator: "-").dropFirst(2).first == "\(pid)" {
                names.append(name)
            }
        }
        return names
    }

    static func text(of path: String) -> String {
        guard let file = fopen(path, "r") else { return "" }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        while case let byte = getc(file), byte != EOF { bytes.append(UInt8(truncatingIfNeeded: byte)) }
        return String(decoding: bytes, as: UTF8.self)
    }
}
