import Glibc

/// Clears away what a killed process left: a trace instance lives until it is removed, keeps its buffers' memory and
/// goes on tracing.
package enum AbandonedInstances {
    /// Removes the instances of `role` whose process is gone, and gives their names.
    ///
    /// Two checks, because each has a gap. The pid and its start time in the name tell a dead owner from a living one,
    /// also when the number was given anew; but in another PID namespace that shares this tracefs a living owner looks
    /// dead. The kernel refuses to remove an instance of which a file is open, which every living owner has; but not in
    /// the moment between making the directory and opening the first file. So only what looks dead is tried, and by a
    /// bare rmdir(2), which changes nothing when it is refused: switching tracing off first would silence the living.
    package static func remove(in tracefs: Tracefs, role: String) -> [String] {
        guard let names = try? KernelFile.names(in: tracefs.instancesPath) else { return [] }
        return names.sorted().filter { text in
            guard let name = InstanceName(parsing: text), name.role == role, name.owner.isGone else { return false }
            return rmdir("\(tracefs.instancesPath)/\(text)") == 0
        }
    }
}
