import Glibc

/// A process told apart from every other that ever has its number in this boot: proc_pid_stat(5).
package struct ProcessIdentity: Hashable, Sendable {
    package var pid: Int32
    /// Field 22 of /proc/PID/stat: when the process started, in clock ticks since boot.
    package var startTicks: UInt64

    package init(pid: Int32, startTicks: UInt64) {
        self.pid = pid
        self.startTicks = startTicks
    }

    /// This process.
    static func current() throws(Errno) -> ProcessIdentity {
        let status = ProcessStatus(parsing: try KernelFile.read("/proc/self/stat"))
        guard let status else { throw Errno(code: EINVAL) }
        // Not the pid in the file: that is the number in the PID namespace in which /proc was mounted.
        return ProcessIdentity(pid: getpid(), startTicks: status.startTicks)
    }

    /// Whether it certainly runs no more.
    ///
    /// A process that /proc hides (hidepid=, ProtectProc=) still answers kill(2) with EPERM, and counts as alive; so does
    /// one whose start cannot be told.
    var isGone: Bool {
        if kill(pid, 0) != 0, errno == ESRCH { return true }
        guard let text = try? KernelFile.read("/proc/\(pid)/stat"), let status = ProcessStatus(parsing: text) else {
            return false
        }
        return status.startTicks != startTicks || status.isDead
    }
}

/// What is read from /proc/PID/stat.
package struct ProcessStatus: Hashable, Sendable {
    package var startTicks: UInt64
    /// Ended and not yet waited for (state Z or X): its files are closed.
    package var isDead: Bool

    /// Nil when the text is none. The name in the second field may hold spaces and parentheses: it ends at the last one.
    package init?(parsing text: String) {
        guard let nameEnd = text.lastIndex(of: ")") else { return nil }
        let fields = text[text.index(after: nameEnd)...].split { $0 == " " || $0 == "\n" }
        // The first of these is field 3, the state.
        guard fields.count > 22 - 3, let start = UInt64(fields[22 - 3]) else { return nil }
        startTicks = start
        isDead = fields[0] == "Z" || fields[0] == "X"
    }
}

/// The name of a trace instance, which says whose it is: `tandem-ROLE-PID-STARTTICKS`, with `-N` for a process's second
/// and further ones.
package struct InstanceName: Hashable, Sendable, CustomStringConvertible {
    /// What the process is, in lower-case letters: `agent` or `host`.
    package var role: String
    package var owner: ProcessIdentity
    package var number: Int

    package init(role: String, owner: ProcessIdentity, number: Int = 1) {
        self.role = role
        self.owner = owner
        self.number = number
    }

    /// Nil when the name is nobody's of Tandem.
    package init?(parsing text: String) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 4 || parts.count == 5, parts[0] == "tandem", let pid = Int32(parts[2]), pid > 0,
            let start = UInt64(parts[3]), let number = parts.count == 4 ? 1 : Int(parts[4])
        else { return nil }
        self.init(role: parts[1], owner: ProcessIdentity(pid: pid, startTicks: start), number: number)
        // Only what this type writes: no signs, no leading zeros, no empty role.
        guard description == text, InstanceName.isRole(role) else { return nil }
    }

    package var description: String {
        let base = "tandem-\(role)-\(owner.pid)-\(owner.startTicks)"
        return number == 1 ? base : "\(base)-\(number)"
    }

    static func isRole(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) }
    }
}
