import Glibc
import Synchronization
package import TraceModel

/// How a trace instance is to be set up.
package struct InstanceSettings: Hashable, Sendable {
    package var clock: TraceClock
    package var bufferKibibytesPerCPU: Int
    /// Where the kernel offers a choice; one page otherwise.
    package var subBufferKibibytes: Int

    package init(clock: TraceClock, bufferKibibytesPerCPU: Int, subBufferKibibytes: Int) {
        self.clock = clock
        self.bufferKibibytesPerCPU = bufferKibibytesPerCPU
        self.subBufferKibibytes = subBufferKibibytes
    }
}

/// An event that was enabled, with what the kernel says about its layout.
package struct EnabledEvent: Hashable, Sendable {
    package var event: EventName
    /// The whole `format` file.
    package var formatText: String

    package init(event: EventName, formatText: String) {
        self.event = event
        self.formatText = formatText
    }
}

/// A trace instance of this process's own: buffers, events and a clock that no other tool shares and that nobody else's
/// tracing sees. It is gone with this object; after a kill the next start clears it away (`AbandonedInstances`).
///
/// One file of it, `tracing_on`, is kept open as long as it lives: while any file is open the kernel refuses to remove
/// an instance (kernel/trace/trace.c, __remove_instance), so that nobody can take it for abandoned.
package final class TraceInstance: Sendable {
    package let name: InstanceName
    package let files: InstanceFiles
    package let geometry: BufferGeometry

    private struct State {
        var lease: Int32
        var readers: [Int: SubBufferReader] = [:]
        var isRemoved = false
    }

    private let state: Mutex<State>

    /// Creates and configures an instance, with tracing off and no events. `role` says in lower-case letters what this
    /// process is; it becomes part of the name.
    package init(in tracefs: Tracefs, role: String, settings: InstanceSettings) throws(CaptureError) {
        name = try TraceInstance.makeDirectory(in: tracefs, role: role)
        files = InstanceFiles(path: "\(tracefs.instancesPath)/\(name)")
        let lease = open(files.file("tracing_on"), O_RDONLY | O_CLOEXEC)
        do throws(CaptureError) {
            if lease < 0 { throw CaptureError(.create, files.file("tracing_on"), Errno.last) }
            // A new instance traces at once.
            try files.setTracing(on: false)
            try files.setClock(settings.clock)
            geometry = try files.setBuffer(
                kibibytesPerCPU: settings.bufferKibibytesPerCPU, subBufferKibibytes: settings.subBufferKibibytes)
            try files.setReadingStyle()
        } catch {
            if lease >= 0 { close(lease) }
            rmdir(files.path)
            throw error
        }
        state = Mutex(State(lease: lease))
    }

    deinit { try? remove() }

    /// Enables `events` (`EventSelection.resolve` finds them) and gives their layouts, in the same order.
    ///
    /// When one fails those before it stay enabled: who cannot have what was asked for removes the instance.
    package func enable(_ events: [SelectedEvent]) throws(CaptureError) -> [EnabledEvent] {
        var enabled: [EnabledEvent] = []
        enabled.reserveCapacity(events.count)
        for selected in events {
            try files.enable(selected)
            enabled.append(
                EnabledEvent(event: selected.event, formatText: try files.formatText(of: selected.event)))
        }
        return enabled
    }

    package func start() throws(CaptureError) { try files.setTracing(on: true) }

    package func stop() throws(CaptureError) { try files.setTracing(on: false) }

    /// The open readers in the order of their CPUs.
    package var readers: [SubBufferReader] {
        state.withLock { state in state.readers.values.sorted { $0.cpu < $1.cpu } }
    }

    /// Opens a reader for every CPU that is online and has none, and gives the new ones: all of them the first time,
    /// hot-plugged ones later. A CPU that went offline keeps its reader, because its buffer keeps its events.
    ///
    /// Possible CPUs that are not there are left out: a cloud guest with two can have buffers for hundreds, and an empty
    /// read costs 0.4 µs on each tick.
    package func rescan() throws(CaptureError) -> [SubBufferReader] {
        let online = CPUList.online().map(Set.init)
        let present = try files.cpus().filter { online?.contains($0) ?? true }
        let known = state.withLock { Set($0.readers.keys) }
        var opened: [SubBufferReader] = []
        for cpu in present where !known.contains(cpu) {
            opened.append(
                try SubBufferReader(files: files, cpu: cpu, subBufferBytes: geometry.subBufferBytes))
        }
        return state.withLock { state in
            guard !state.isRemoved else { return [] }
            // Two scans at once may have opened one CPU both; the first one's reader stays.
            let added = opened.filter { state.readers[$0.cpu] == nil }
            for reader in added { state.readers[reader.cpu] = reader }
            return added
        }
    }

    package func statistics(cpu: Int) throws(CaptureError) -> RingBufferStatistics {
        try files.statistics(cpu: cpu)
    }

    /// How often and how long a removal waits for others who have a file open for a moment (a `grep -r` will do).
    private static let removalAttempts = 10
    private static let removalPauseMicroseconds: UInt32 = 20_000

    /// Switches everything off, closes the readers and removes the instance. Any number of times.
    ///
    /// When it throws the instance is still there, silent, and removing can be tried again.
    package func remove() throws(CaptureError) {
        let (readers, lease, isDone) = state.withLock { state in
            let found = (Array(state.readers.values), state.lease, state.isRemoved)
            state.readers = [:]
            state.lease = -1
            return found
        }
        if isDone { return }
        for reader in readers { reader.close() }
        // Removing does both; but should it fail, nothing must go on costing time. What fails here, fails there too.
        try? files.setTracing(on: false)
        try? files.disableEvents()
        if lease >= 0 { close(lease) }
        for attempt in 1...TraceInstance.removalAttempts {
            if rmdir(files.path) == 0 || errno == ENOENT { break }
            let error = Errno.last
            if error.code != EBUSY || attempt == TraceInstance.removalAttempts {
                throw CaptureError(.remove, files.path, error)
            }
            usleep(TraceInstance.removalPauseMicroseconds)
        }
        state.withLock { $0.isRemoved = true }
    }

    /// A process may have several; a hundred are a loop that forgets to remove them.
    private static let mostInstances = 100

    private static func makeDirectory(in tracefs: Tracefs, role: String) throws(CaptureError) -> InstanceName {
        guard InstanceName.isRole(role) else {
            throw CaptureError(.create, tracefs.instancesPath, .unsuitable("'\(role)' is no role"))
        }
        let owner: ProcessIdentity
        do {
            owner = try ProcessIdentity.current()
        } catch {
            throw CaptureError(.create, "/proc/self/stat", error)
        }
        var name = InstanceName(role: role, owner: owner)
        while true {
            let path = "\(tracefs.instancesPath)/\(name)"
            if mkdir(path, 0o750) == 0 { return name }
            let error = Errno.last
            guard error.code == EEXIST, name.number < mostInstances else {
                throw CaptureError(.create, path, error)
            }
            name.number += 1
        }
    }
}
