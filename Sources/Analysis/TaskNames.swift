import TraceModel

/// Names of threads that were there before the trace began, for those that no `sched_switch` has named yet.
struct TaskNames: Sendable, Codable {
    private var names: [Int32: Comm] = [:]

    /// Beyond `Limits.taskNames` the table starts anew.
    mutating func set(_ tid: Int32, _ comm: Comm) {
        if names.count >= Limits.taskNames, names[tid] == nil { names.removeAll(keepingCapacity: true) }
        names[tid] = comm
    }

    mutating func remove(_ tid: Int32) { names[tid] = nil }

    subscript(_ tid: Int32) -> Comm { names[tid] ?? Comm() }
}
