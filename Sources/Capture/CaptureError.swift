import Glibc

/// Something that tracefs would not do: what, at which file, why, and what to try.
package struct CaptureError: Error, Hashable, Sendable {
    package enum Operation: String, Hashable, Sendable {
        case find = "find the kernel's trace files at"
        case create = "create the trace instance"
        case setClock = "set the trace clock in"
        case setBuffer = "set the buffer size in"
        case configure = "configure the trace instance through"
        case listEvents = "list the kernel's events from"
        case enable = "enable the event through"
        case filter = "set the event's filter in"
        case readFormat = "read the event's format from"
        case start = "switch tracing on or off through"
        case open = "open the CPU's buffer"
        case read = "read the CPU's buffer"
        case readStatistics = "read the CPU's statistics from"
        case remove = "remove the trace instance"
        case readKVMClock = "read KVM's clock settings from"
        case readTSC = "find out how the time stamp counter runs, from"
    }

    package enum Cause: Hashable, Sendable {
        /// The kernel refused, with this `errno`; `detail` is what it said beside it.
        case system(Int32, detail: String?)
        /// What was found makes no sense or does not fit; the text says how.
        case unsuitable(String)
    }

    package var operation: Operation
    package var path: String
    package var cause: Cause

    package init(_ operation: Operation, _ path: String, _ cause: Cause) {
        self.operation = operation
        self.path = path
        self.cause = cause
    }

    init(_ operation: Operation, _ path: String, _ error: Errno, detail: String? = nil) {
        self.init(operation, path, .system(error.code, detail: detail))
    }

    package var advice: String? {
        switch cause {
        case .system(let code, _): CaptureError.advice(for: operation, errno: code)
        case .unsuitable: nil
        }
    }

    /// The table of advice, pure. Facts: Documentation/trace/ftrace.rst, kernel/trace/trace.c (instance_mkdir,
    /// instance_rmdir, tracing_set_clock), fs/tracefs/inode.c (mount options `gid` and `mode`).
    package static func advice(for operation: Operation, errno code: Int32) -> String? {
        switch (operation, code) {
        case (.find, ENOENT): "mount it: mount -t tracefs nodev /sys/kernel/tracing"
        case (_, EACCES):
            "run as root: a group can read traces, but only the owner can start one (no capability is needed for that)"
        case (_, EPERM): "the kernel is locked down, or a sandbox forbids it: see /sys/kernel/security/lockdown"
        case (_, EROFS):
            "tracefs is mounted read-only here: a service needs ReadWritePaths=/sys/kernel/tracing/instances"
        case (.create, EEXIST): "an instance of this name is there already"
        case (.create, ENOMEM), (.setBuffer, ENOMEM): "the kernel has no memory for buffers of this size; ask for less"
        case (.setClock, EINVAL): "this kernel has no such trace clock"
        case (.filter, EINVAL): "the filter names fields of the event's format file, as in prev_pid == 1"
        case (.enable, ENOENT), (.filter, ENOENT), (.readFormat, ENOENT):
            "the event has gone; was its kernel module unloaded?"
        case (.enable, ENODEV), (.read, ENODEV), (.open, ENODEV): "the trace instance was removed by somebody else"
        case (.open, ENOENT): "the CPU has no buffer in this instance"
        case (.setBuffer, EINVAL): "a sub-buffer has 1 to 128 pages, a buffer at least two sub-buffers"
        case (.setBuffer, EBUSY): "a reader has the buffers mapped or in use; close it first"
        case (.remove, EBUSY): "some program has one of its files open: find it with fuser -v, then rmdir it"
        case (_, EMFILE), (_, ENFILE): "too many open files: raise LimitNOFILE= or ulimit -n"
        default: nil
        }
    }
}

extension CaptureError: CustomStringConvertible {
    package var description: String {
        let what = "cannot \(operation.rawValue) \(path): \(reason)"
        return advice.map { "\(what); \($0)" } ?? what
    }

    private var reason: String {
        switch cause {
        case .system(let code, let detail):
            detail.map { "\(Errno(code: code)): \($0)" } ?? Errno(code: code).description
        case .unsuitable(let text): text
        }
    }
}
