import Collector
import Foundation
import SessionLog
import Testing
import TraceFiles
import TraceModel

/// The analyzer against the oracle and against what is known to have happened, on recordings of the lab.
///
/// `TANDEM_LAB_DATA` names a folder of recordings as `trace-cmd record -A` makes them: FOLDER/*/host*.dat. The recording of
/// `tandem demo` is the lab's too, and is always there.
struct LabRecordingTests {
    private static let demo = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../../Sources/Commands/Resources/demo-recording").standardized.path

    private static let folder = ProcessInfo.processInfo.environment["TANDEM_LAB_DATA"]

    /// The host's file of every recording in the folder, with those of its guests.
    private static let recordings: [SessionPaths] = {
        guard let folder, let names = try? FileManager.default.contentsOfDirectory(atPath: folder) else { return [] }
        return names.sorted().compactMap { name in
            let files = (try? FileManager.default.contentsOfDirectory(atPath: "\(folder)/\(name)")) ?? []
            guard files.contains("host.dat") else { return nil }
            let guests = files.filter { $0.hasPrefix("host-") && $0.hasSuffix(".dat") }.sorted()
            return SessionPaths(
                path: "\(folder)/\(name)/host.dat",
                guests: guests.map { SessionPaths.Guest(name: nil, path: "\(folder)/\(name)/\($0)") })
        }
    }()

    @Test
    func `the oracle agrees on the recording of the demo`() throws {
        try RecordedOracleTests.compare { RecordedInput(try LogReader(opening: Self.demo)) }
    }

    @Test(.enabled(if: !recordings.isEmpty, "TANDEM_LAB_DATA names no folder of recordings"), arguments: recordings)
    func `the oracle agrees on the lab's trace.dat files`(paths: SessionPaths) throws {
        try RecordedOracleTests.compare { try TraceDatInput(paths) }
    }

    /// Who was current on a guest's CPU, by the guest's own words and KVM's offset between the clocks, laid over what the oracle
    /// says of its vCPU. The same time can be a nanosecond apart, by the rounding of cycles.
    @Test(
        .enabled(if: !recordings.isEmpty, "TANDEM_LAB_DATA names no folder of recordings"),
        arguments: recordings.filter { $0.path.contains("kvm") })
    func `the oracle agrees on what the tasks of the lab's guests got`(paths: SessionPaths) throws {
        let truth = try GroundTruth(paths)
        let kernel = try RecordedKernel(try TraceDatInput(paths))
        var replay = Replay(try TraceDatInput(paths))
        let snapshot = try replay.end()
        let window = snapshot.window
        for (number, vcpu) in truth.vcpus.enumerated() {
            let switches = try GuestSwitches(
                paths, of: SourceID(UInt32(number + 1)), offset: try #require(vcpu.tscOffset))
            let guest = try #require(snapshot.guests.first { $0.vcpus.contains { $0.hostTID == vcpu.tid } })
            let total = try #require(guest.vcpus.first { $0.hostTID == vcpu.tid }).times.total
            let oracle = Oracle(
                kernel.observations + switches.observations, start: window.startNanoseconds,
                end: window.endNanoseconds)
            let figures = oracle.figures(of: vcpu.tid, knownFrom: window.endNanoseconds - total, guestCPU: 0)
            var told: [Int32: StateTimes] = [:]
            var robbed: [Int32: Int64] = [:]
            for task in guest.tasks where task.tid > 0 {
                for state in VCPUState.allCases { told[task.tid, default: StateTimes()][state] += task.times[state] }
                robbed[task.tid, default: 0] += task.robbedBy.reduce(0) { $0 + $1.nanoseconds }
            }
            #expect(told.count > 5, "\(vcpu.guest)")
            for (tid, times) in told {
                for state in VCPUState.allCases {
                    let expected = figures.tasks[tid]?[state] ?? 0
                    #expect(
                        abs(times[state] - expected) <= switches.rounding, "\(vcpu.guest), task \(tid), \(state.label)")
                }
                let expected = figures.robbed[tid]?.values.reduce(0, +) ?? 0
                #expect(abs(robbed[tid, default: 0] - expected) <= switches.rounding, "\(vcpu.guest), task \(tid)")
            }
        }
    }

    // MARK: What is known to have happened

    /// What one vCPU did in a phase.
    private struct Figures {
        let times: StateTimes
        /// By thread id.
        let culprits: [Int32: Int64]
        let exits: UInt64

        init(_ row: Snapshot.VCPU, since before: Snapshot.VCPU) {
            times = row.times - before.times
            var taken: [Int32: Int64] = [:]
            for culprit in row.culprits { taken[culprit.tid, default: 0] += culprit.nanoseconds }
            for culprit in before.culprits { taken[culprit.tid, default: 0] -= culprit.nanoseconds }
            culprits = taken
            exits = row.exitCount - before.exitCount
        }

        func share(_ states: VCPUState...) -> Double {
            Double(states.reduce(0) { $0 + times[$1] }) / Double(max(times.total, 1))
        }

        var ready: Double { share(.preempted, .waking) }

        func blame(on tid: Int32) -> Double {
            Double(culprits[tid] ?? 0) / Double(max(times[.preempted] + times[.waking], 1))
        }
    }

    /// Nothing of ours says when, who and what: only the two files that the lab wrote beside its recording.
    @Test(.enabled(if: !recordings.isEmpty, "TANDEM_LAB_DATA names no folder of recordings"), arguments: recordings)
    func `every phase of the lab is in the states of its vCPUs, and who shared their CPU is their culprit`(
        paths: SessionPaths
    ) throws {
        let truth = try GroundTruth(paths)
        // Uptime is written in hundredths, and `cut` begins some milliseconds before it reads it.
        #expect(truth.spreadNanoseconds < 40_000_000, "the boundaries are where the trace shows them")
        #expect(truth.phases.count >= 3)
        #expect(truth.vcpus.count == 2 && Set(truth.vcpus.map(\.cpus)).count == 1, "two vCPUs on one CPU")
        var replay = Replay(try TraceDatInput(paths))
        for phase in truth.phases {
            let rows = try [phase.window.lowerBound, phase.window.upperBound].map { instant in
                let all = try replay.snapshot(at: instant).guests.flatMap(\.vcpus)
                return try truth.vcpus.map { vcpu in try #require(all.first { $0.hostTID == vcpu.tid }) }
            }
            let figures = zip(rows[1], rows[0]).map { Figures($0, since: $1) }
            let length = phase.window.upperBound - phase.window.lowerBound
            for vcpu in 0..<2 {
                let own = figures[vcpu]
                Self.show(own, of: truth.vcpus[vcpu], other: truth.vcpus[1 - vcpu], phase.workloads)
                #expect(own.times.total == length)
                Self.check(
                    own, phase.workloads[vcpu], beside: phase.workloads[1 - vcpu], of: truth.vcpus[1 - vcpu].tid,
                    "\(phase.workloads), vCPU of \(truth.vcpus[vcpu].guest)")
            }
        }
    }

    /// On emulated processors a guest that only sleeps and wakes needs a quarter of a CPU, the host's scheduler half a
    /// hundredth of it.
    private static func check(
        _ own: Figures, _ workload: String, beside other: String, of otherTID: Int32, _ name: Comment
    ) {
        #expect(own.share(.unknown) < 0.01, name)
        #expect(own.blame(on: otherTID) > (workload == "sleep" ? 0.7 : 0.95), name)
        switch workload {
        case "sleep":
            #expect(own.share(.halted) > 0.55, name)
            #expect(own.ready < 0.2, name)
            #expect(own.share(.halted) > 3 * own.ready, "idle is halted, not preempted: \(name)")
        case "busy" where other == "sleep":
            #expect(own.share(.running, .hypervisor) > 0.7, name)
            #expect(own.share(.halted, .polling) < 0.01, name)
        case "busy", "switch":
            // Two that never sleep share fairly.
            #expect(abs(own.ready - 0.5) < 0.02, name)
            #expect(own.share(.halted, .polling, .blocked) < 0.01, name)
            #expect(own.share(.running) > 0.4, name)
        case "io":
            #expect(abs(own.ready - 0.5) < 0.02, name)
            #expect(own.share(.userspace) > 0.2, name)
            #expect(own.share(.userspace, .hypervisor) > own.share(.running), name)
        default: Issue.record("a workload of which nothing is expected: \(workload)")
        }
    }

    /// A row of the table that tells how it went, in percent of the phase.
    private static func show(
        _ own: Figures, of vcpu: GroundTruth.VCPU, other: GroundTruth.VCPU, _ workloads: [String]
    ) {
        let columns: [(name: String, share: Double)] = [
            ("running", own.share(.running)), ("hypervisor", own.share(.hypervisor)),
            ("userspace", own.share(.userspace)), ("polling", own.share(.polling)), ("ready", own.ready),
            ("halted", own.share(.halted)), ("blocked", own.share(.blocked)), ("unknown", own.share(.unknown)),
            ("of ready by \(other.guest)", own.blame(on: other.tid)),
        ]
        let figures = columns.map { "\($0.name) \(String(format: "%.1f", 100 * $0.share))" }
        let exits = Int(Double(own.exits) * 1e9 / Double(max(own.times.total, 1)))
        print(
            "\(workloads.joined(separator: "+")), \(vcpu.guest): \(figures.joined(separator: ", ")); \(exits) exits/s")
    }
}
