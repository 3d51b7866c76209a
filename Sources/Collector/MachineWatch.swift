package import Inventory
import SessionLog
package import TraceModel
import Transport
import Wire

/// Asks `/proc` who the virtual machines are, and turns the answers into records, so that a replay needs no `/proc`.
struct MachineWatch: Sendable {
    struct Found: Sendable {
        var vmmPID: Int32
        var evidence: String
    }

    private let proc = ProcFS()

    /// The machines that run now.
    func scan() -> [LogRecord] { proc.virtualMachines().map { .machine($0) } }

    /// Threads that kvm events named: whose are they?
    func identify(_ threads: [Int32]) -> [LogRecord] {
        var known: Set<Int32> = []
        return threads.compactMap { thread in
            guard let facts = proc.facts(ofThread: thread), known.insert(facts.vmmPID).inserted else { return nil }
            return .machine(facts)
        }
    }

    /// The machine that a thread belongs to; nil when it is none's.
    func machine(of thread: Int32) -> VMFacts? { proc.facts(ofThread: thread) }

    /// Which machine a guest's agent runs in.
    func link(_ guest: SessionOptions.Guest, hello: Hello) -> Result<Found, MachineProblem> {
        if let pid = guest.vmmPID { return .success(Found(vmmPID: pid, evidence: "given by the user")) }
        var evidence = GuestEvidence(name: guest.name)
        if case .vsock(let cid?, _) = guest.endpoint { evidence.cid = cid }
        if case .unix(let path, _) = guest.endpoint { evidence.endpointIsUnixPath = path }
        evidence.uuid = hello.productUUID.isEmpty ? nil : hello.productUUID
        evidence.macAddresses = hello.macAddresses
        switch match(evidence, among: proc.virtualMachines()) {
        case .found(let pid, let by): return .success(Found(vmmPID: pid, evidence: by.rawValue))
        case .ambiguous(let doubt): return .failure(MachineProblem(description: "\(doubt); say which with --pid"))
        case .unknown:
            return .failure(
                MachineProblem(
                    description: "no virtual machine of this host could be matched with it; say which with --pid"))
        }
    }
}

/// Which threads of the machines that were told still are there.
///
/// The host's trace tells their ends only with `sched` events; a session without them would show a machine that is gone in its
/// last state for ever. One small file is read for each thread at a look.
package struct MachineRoll {
    private let proc: ProcFS
    /// When each thread began, by its number: numbers are used again.
    private var beginnings: [Int32: UInt64] = [:]

    package init(proc: ProcFS = ProcFS()) { self.proc = proc }

    package mutating func add(_ facts: VMFacts) {
        for thread in [facts.vmmPID] + facts.vcpuThreads.map(\.tid) {
            // Whoever ended since the facts were read is told at the next look.
            beginnings[thread] = proc.startTicks(ofThread: thread) ?? .max
        }
    }

    /// Those that ended since the last look, each once.
    package mutating func takeEnded() -> [Int32] {
        let ended = beginnings.filter { proc.startTicks(ofThread: $0.key) != $0.value }.keys.sorted()
        for thread in ended { beginnings[thread] = nil }
        return ended
    }
}

/// Why it is not known in which machine an agent runs. The session goes on: only the guest's tasks cannot be placed.
struct MachineProblem: Error, CustomStringConvertible {
    var description: String
}
