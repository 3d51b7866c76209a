import Glibc

/// Where the kernel's trace files are mounted, and whether they can be used.
///
/// Nothing at the top level is ever written: it is the whole machine's, and other tools work there. All that Tandem
/// changes lies in an instance of its own below `instances` (`TraceInstance`).
package struct Tracefs: Hashable, Sendable {
    /// Without a slash at its end.
    package let root: String

    /// Documentation/trace/ftrace.rst: its own mount point first; the second is debugfs's automount of old times.
    package static let usualRoots = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"]

    /// Takes the first of `roots` that is usable; when none is, throws what is wrong with the first that is there at
    /// all, or that nothing is mounted.
    package static func find(in roots: [String] = usualRoots) throws(CaptureError) -> Tracefs {
        func isAbsence(_ error: CaptureError) -> Bool {
            if case .system(ENOENT, _) = error.cause { true } else { false }
        }
        var failures: [CaptureError] = []
        for root in roots {
            do {
                return try Tracefs(root: root)
            } catch {
                failures.append(error)
            }
        }
        throw failures.first { !isAbsence($0) } ?? failures.first
            ?? CaptureError(.find, "", .unsuitable("no place to look at was given"))
    }

    /// Checks that `root` holds trace files and instances.
    package init(root: String) throws(CaptureError) {
        self.root = root
        // The mount point is an empty directory where nothing is mounted; this file is in every tracefs with events.
        let names: [String]
        do {
            names = try KernelFile.names(in: root)
        } catch {
            throw CaptureError(.find, root, error)
        }
        guard names.contains("available_events") else {
            throw CaptureError(.find, root, Errno(code: ENOENT), detail: "no available_events there")
        }
        guard names.contains("instances") else {
            throw CaptureError(.find, root, .unsuitable("this kernel has no trace instances (Linux 3.10 and later do)"))
        }
    }

    var instancesPath: String { "\(root)/instances" }

    /// Every event of this kernel, as `system` and `name`.
    package func availableEvents() throws(CaptureError) -> [EventName] {
        let path = "\(root)/available_events"
        do {
            return EventName.list(parsing: try KernelFile.read(path))
        } catch {
            throw CaptureError(.listEvents, path, error)
        }
    }
}
