import RecordingSupport
import Testing
import TraceModel

/// What the guests do for some seconds, and a task of the host on their CPU.
struct Phase {
    /// Kind of workload (Deploy/lab/inside/workload) by guest; a guest that is not there does nothing.
    var work: [Int: String]
    var hostLoad: String?

    /// All of these guests do that.
    init(_ guests: some Sequence<Int>, _ kind: String) {
        work = Dictionary(uniqueKeysWithValues: guests.map { ($0, kind) })
    }

    init(_ guest: Int, _ kind: String, _ other: Int? = nil, _ otherKind: String? = nil, hostLoad: String? = nil) {
        work = [guest: kind]
        if let other { work[other] = otherKind }
        self.hostLoad = hostLoad
    }
}

/// What Tandem said of one phase: the difference of two snapshots, taken from the recording at times inside the phase.
struct Observation {
    /// From the beginning to the end; ascending.
    let snapshots: [Snapshot]

    private var before: Snapshot { snapshots[0] }
    private var after: Snapshot { snapshots[snapshots.count - 1] }

    init(_ snapshots: [Snapshot]) { self.snapshots = snapshots }

    /// The host's time while a phase is looked at. It has begun before and goes on after.
    private static let lead = 1.0
    private static let seconds = 5.0
    private static let sampleNanoseconds = 50_000_000

    /// Records the phases one after the other and judges what was seen of them. When it is not as it should be and the lab
    /// itself had to wait for this machine's CPUs for most of the time, all is done again, by the same rules: such a lab did
    /// not do what it was told. A guest's slice of a CPU that stands still is as long as the standstill.
    static func judge(
        options: String = "", phases: [Phase], sourceLocation: SourceLocation = #_sourceLocation,
        by rules: ([Observation], inout Verdict) throws -> Void
    ) throws {
        for attempt in 1...3 {
            let before = Lab.waitedNanoseconds
            let begin = Clock.nanoseconds()
            var verdict = Verdict()
            let observations = try record(options, phases)
            try rules(observations, &verdict)
            if verdict.faults.isEmpty { return }
            let waited = Double(Lab.waitedNanoseconds - before) / Double(Clock.nanoseconds() - begin)
            guard waited > 0.5, attempt < 3 else {
                print(observations.map(\.courses).joined(separator: "\n"))
                for fault in verdict.faults { Issue.record("\(fault)", sourceLocation: sourceLocation) }
                return
            }
            print("the lab's CPUs stood still for \((waited * 100).rounded()) % of a CPU's time; again. It said:")
            for fault in verdict.faults { print("  \(fault)") }
        }
    }

    private static func record(_ options: String, _ phases: [Phase]) throws -> [Observation] {
        let session = try LabSession.start(options)
        var spans: [(begin: HostTime, end: HostTime)] = []
        for phase in phases {
            for (guest, kind) in phase.work { try Lab.startWork(guest, "\(kind) 600") }
            if let load = phase.hostLoad { try Lab.run("load", "1", load, "600") }
            spans.append((try now(after: lead), try now(after: seconds)))
            for guest in phase.work.keys { try Lab.stopWork(guest) }
            if phase.hostLoad != nil { try Lab.host("pkill -x workload") }
        }
        let recording = try session.finish()
        return try spans.map { begin, end in
            let times = stride(from: begin.nanoseconds, through: end.nanoseconds, by: sampleNanoseconds)
            return Observation(try recording.snapshots(at: times.map { HostTime(nanoseconds: $0) }))
        }
    }

    /// The session's time in so many of the host's seconds.
    private static func now(after seconds: Double) throws -> HostTime {
        try Lab.hostTime(Lab.host("sleep \(seconds); host-clock"))
    }

    /// In how many of the snapshots each task was the one that a guest's vCPU had.
    func tasks(of guest: String) -> [String: Int] {
        var counts: [String: Int] = [:]
        for snapshot in snapshots {
            let vcpu = snapshot.guests.first { $0.name == guest }?.vcpus.first
            counts[vcpu?.guestTask ?? "", default: 0] += 1
        }
        return counts
    }

    /// The threads of that name that a guest's vCPU had in any of the snapshots.
    func threads(of guest: String, named name: String) -> Set<Int32> {
        Set(
            snapshots.compactMap { snapshot in
                let vcpu = snapshot.guests.first { $0.name == guest }?.vcpus.first
                return vcpu?.guestTask == name ? vcpu?.guestTID : nil
            })
    }

    /// How often each thread of that name came onto a vCPU of the guest; those that did not are left out.
    func switches(of guest: String, named name: String) -> [Int32: UInt64] {
        func counts(_ snapshot: Snapshot) -> [Int32: UInt64] {
            let tasks = snapshot.guests.first { $0.name == guest }?.tasks ?? []
            return Dictionary(
                tasks.filter { $0.name == name && $0.tid > 0 }.map { ($0.tid, $0.switches) }, uniquingKeysWith: max)
        }
        let earlier = counts(before)
        return counts(after).reduce(into: [:]) { result, task in
            let new = task.value - min(task.value, earlier[task.key] ?? 0)
            if new > 0 { result[task.key] = new }
        }
    }

    /// How much of each tenth of the time every vCPU was halted, in percent: what came too late or ended too early.
    private var courses: String {
        let marks = (0...10).map { snapshots[$0 * (snapshots.count - 1) / 10] }
        return after.guests.flatMap { guest in
            guest.vcpus.indices.map { index in
                let halted = zip(marks, marks.dropFirst()).map { begin, end in
                    let vcpus = [begin, end].map { $0.guests.first { $0.name == guest.name }?.vcpus ?? [] }
                    guard vcpus.allSatisfy({ $0.indices.contains(index) }) else { return "?" }
                    let vcpu = ObservedVCPU(guest: guest.name, before: vcpus[0][index], after: vcpus[1][index])
                    return "\(Int((vcpu.share(.halted) * 100).rounded()))"
                }
                return "\(guest.name)/\(index) halted \(halted.joined(separator: " ")) %"
            }
        }.joined(separator: "; ")
    }

    /// The one vCPU of a guest.
    func vcpu(of guest: String) throws -> ObservedVCPU {
        try #require(try vcpus(of: guest).first, "\(guest) has no vCPU in the snapshot")
    }

    func vcpus(of guest: String) throws -> [ObservedVCPU] {
        func vcpus(in snapshot: Snapshot) -> [Snapshot.VCPU] {
            snapshot.guests.first { $0.name == guest }?.vcpus ?? []
        }
        let earlier = vcpus(in: before)
        return vcpus(in: after).map { vcpu in
            ObservedVCPU(guest: guest, before: earlier.first { $0.vcpu == vcpu.vcpu }, after: vcpu)
        }
    }
}

/// What is not as it should be, as sentences.
struct Verdict {
    private(set) var faults: [String] = []

    /// The states together take that share of the vCPU's time.
    mutating func expect(_ vcpu: ObservedVCPU, _ states: VCPUState..., in range: ClosedRange<Double>) {
        let share = vcpu.share(states)
        let names = states.map(\.label).joined(separator: " + ")
        expect(range.contains(share), "\(names) is not in \(range)", vcpu)
    }

    /// Something that must be so of these vCPUs.
    mutating func expect(_ isSo: Bool, _ words: String, _ vcpus: ObservedVCPU...) {
        if !isSo { faults.append("\(words): \(vcpus.map(\.description).joined(separator: "; "))") }
    }
}

/// What one vCPU did in a phase.
struct ObservedVCPU: CustomStringConvertible {
    let guest: String
    let before: Snapshot.VCPU?
    let after: Snapshot.VCPU

    /// All of its states together.
    var elapsed: Int64 { after.times.total - (before?.times.total ?? 0) }

    /// Share of the time in any of these states.
    func share(_ states: VCPUState...) -> Double { share(states) }

    func share(_ states: [VCPUState]) -> Double {
        let spent = states.reduce(0) { $0 + after.times[$1] - (before?.times[$1] ?? 0) }
        return Double(spent) / Double(max(1, elapsed))
    }

    /// Share of the ready time in which that guest, or that task of the host, had the CPU.
    func share(waitingFor name: String) -> Double {
        func waited(_ vcpu: Snapshot.VCPU?) -> Int64 {
            (vcpu?.culprits ?? []).filter { ($0.guest ?? $0.name) == name }.reduce(0) { $0 + $1.nanoseconds }
        }
        let ready = share(.preempted, .waking) * Double(elapsed)
        return Double(waited(after) - waited(before)) / max(1, ready)
    }

    /// Exits by reason.
    var exits: [String: UInt64] {
        var counts: [String: UInt64] = [:]
        for exit in after.exits { counts[exit.reason] = exit.count }
        for exit in before?.exits ?? [] { counts[exit.reason, default: 0] -= exit.count }
        return counts.filter { $0.value > 0 }
    }

    var exitsPerSecond: Double {
        Double(after.exitCount - (before?.exitCount ?? 0)) / (Double(max(1, elapsed)) / 1e9)
    }

    var description: String {
        let states = VCPUState.allCases.map { ($0.label, share($0)) }.filter { $0.1 >= 0.0005 }
            .map { "\($0.0) \(($0.1 * 1000).rounded() / 10) %" }
        let culprits = after.culprits.prefix(3).map { "\($0.guest ?? $0.name)" }
        return
            "\(guest): \(states.joined(separator: ", ")); waited for \(culprits.joined(separator: ", ")); exits \(exits)"
    }
}
