import CBabeltrace2
import Glibc

/// What the traces of one machine say of it.
package struct CTFMachineFacts: Hashable, Sendable {
    /// Host name, or the path where there is none.
    package var name: String
    package var hostname: String
    package var kernelRelease: String
    /// The clock's UUID, which LTTng takes from the kernel's boot id; empty when there is none.
    package var bootID: String
    package var clock: CTFClock
    /// Environment entries of its first trace.
    package var environment: [String: String]
    package var paths: [String]
}

/// Opens CTF directories: every trace in them, sorted by the machine that it is of.
///
/// Two traces are of one machine when their clocks have one UUID: a kernel's and its processes' events, or one kernel's
/// of two sessions. A trace whose clock has none is a machine of its own.
package enum CTFExperiment {
    /// CPUs that threads can have here.
    package static var processors: Int { sysconf(Int32(_SC_NPROCESSORS_ONLN)) }

    /// Machines of one directory that are read by threads of their own; where there are more, each would have too little to do.
    private static let threadedMachines = 32

    /// `problems` gets what could not be opened, when something else could. `threads` may read each machine's streams.
    package static func open(
        _ path: String, threads: Int = processors, problems: inout [String]
    ) throws(CTFError) -> [MachineReader] {
        let plugin = try CTFPlugin.loaded()
        let groups = try TraceDirectories.traces(in: path, plugin)
        guard !groups.isEmpty else { throw CTFError("there is no CTF trace in '\(path)': no file 'metadata'") }
        var opened: [TraceReader] = []
        var failures: [String] = []
        for directories in groups {
            do throws(CTFError) {
                try SalvagedTrace.check(directories)
                let trace = try TraceReader(directories: directories, plugin)
                opened.append(trace)
            } catch {
                var damage: [String] = []
                let parts = SalvagedTrace.open(directories, plugin, problems: &damage)
                // Without a single readable part, the trace's own error says more than those of its files.
                failures += parts.isEmpty ? [error.description] : damage
                opened += parts
            }
        }
        guard !opened.isEmpty else { throw CTFError(failures.joined(separator: "; ")) }
        problems += failures
        return machines(opened, threads: threads, problems: &problems)
    }

    private static func machines(
        _ traces: [TraceReader], threads: Int, problems: inout [String]
    ) -> [MachineReader] {
        var groups: [(clock: CTFClock, traces: [TraceReader])] = []
        for trace in traces {
            guard let clock = trace.facts.clock else {
                let reasons = trace.streams.compactMap(\.problem)
                problems.append(
                    reasons.first.map { "'\(trace.path)': \($0)" }
                        ?? "'\(trace.path)' holds no events that have a time; it is not used")
                continue
            }
            let known = groups.firstIndex { !clock.uuid.isEmpty && $0.clock.uuid == clock.uuid }
            if let known { groups[known].traces.append(trace) } else { groups.append((clock, [trace])) }
        }
        return groups.map { group in
            MachineReader(
                facts: facts(of: group.traces, clock: group.clock), traces: group.traces,
                threads: groups.count > threadedMachines ? 1 : threads)
        }
    }

    private static func facts(of traces: [TraceReader], clock: CTFClock) -> CTFMachineFacts {
        var environment: [String: String] = [:]
        // A kernel's trace says more than those of its processes.
        let kernelFirst = traces.sorted { a, b in isKernel(a) && !isKernel(b) }
        for trace in kernelFirst {
            for entry in trace.facts.environment where environment[entry.name] == nil {
                environment[entry.name] = entry.value
            }
        }
        // `perf` names it `host`.
        let hostname = environment["hostname"] ?? environment["host"] ?? ""
        return CTFMachineFacts(
            name: hostname.isEmpty ? traces[0].path : hostname, hostname: hostname,
            // `perf` names it `release`.
            kernelRelease: environment["kernel_release"] ?? environment["release"] ?? "", bootID: clock.uuid,
            clock: clock, environment: environment, paths: traces.map(\.path))
    }

    private static func isKernel(_ trace: TraceReader) -> Bool {
        trace.facts.environment.contains { $0.name == "domain" && $0.value == "kernel" }
    }
}
