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

    // MARK: What is known to have happened

    /// A tenth of a second of both vCPUs.
    private struct Window {
        var times: [StateTimes]
        var culprits: [[Int32: Int64]]

        func share(_ states: VCPUState..., of vcpu: Int) -> Double {
            Double(states.reduce(0) { $0 + times[vcpu][$1] }) / Double(max(times[vcpu].total, 1))
        }
    }

    private func windows(_ paths: SessionPaths) throws -> [Window] {
        var replay = Replay(try TraceDatInput(paths))
        var windows: [Window] = []
        var last: [Snapshot.VCPU]?
        var time: HostTime?
        while true {
            if let instant = time {
                let rows = try replay.snapshot(at: instant).guests.compactMap(\.vcpus.first)
                if let last, last.count == 2, rows.count == 2 {
                    windows.append(
                        Window(
                            times: zip(rows, last).map { $0.times - $1.times },
                            culprits: zip(rows, last).map { Self.culprits($0, since: $1) }))
                }
                last = rows
                guard replay.horizon >= instant else { return windows }
                time = instant.advanced(by: 100_000_000)
            } else {
                _ = try replay.advance(to: HostTime(nanoseconds: .min))
                time = replay.horizon.advanced(by: 100_000_000)
            }
        }
    }

    private static func culprits(_ row: Snapshot.VCPU, since before: Snapshot.VCPU) -> [Int32: Int64] {
        let earlier = Dictionary(before.culprits.map { ($0.tid, $0.nanoseconds) }, uniquingKeysWith: +)
        return Dictionary(row.culprits.map { ($0.tid, $0.nanoseconds - (earlier[$0.tid] ?? 0)) }, uniquingKeysWith: +)
    }

    /// Both guests' vCPUs are pinned to one CPU (ground-truth.txt), and the phases are busy, sleep, one busy, switch.
    @Test(.enabled(if: !recordings.isEmpty, "TANDEM_LAB_DATA names no folder of recordings"), arguments: recordings)
    func `two busy guests on one CPU are ready half the time and name each other; idle ones are halted`(
        paths: SessionPaths
    ) throws {
        let windows = try windows(paths)
        let busy = windows.filter { window in
            (0..<2).allSatisfy {
                window.share(.halted, .polling, .unknown, of: $0) < 0.01 && window.share(.running, of: $0) > 0.2
            }
        }
        #expect(!busy.isEmpty, "windows in which both compute, of \(windows.count)")
        for vcpu in 0..<2 {
            let ready = busy.map { $0.share(.preempted, .waking, of: vcpu) }.reduce(0, +) / Double(max(busy.count, 1))
            #expect(abs(ready - 0.5) < 0.08, "vCPU of guest \(vcpu) ready for \(ready)")
        }
        let waited = busy.flatMap(\.times).reduce(0) { $0 + $1[.preempted] + $1[.waking] }
        let byTheOther = busy.flatMap(\.culprits).reduce(Int64(0)) { sum, list in sum + (list.values.max() ?? 0) }
        #expect(Double(byTheOther) / Double(max(waited, 1)) > 0.85, "the heaviest culprit is the other machine's vCPU")

        let idle = windows.filter { window in (0..<2).allSatisfy { window.share(.halted, of: $0) > 0.6 } }
        #expect(idle.count >= 5, "windows in which both sleep, of \(windows.count)")
        for vcpu in 0..<2 {
            let preempted = idle.map { $0.share(.preempted, of: vcpu) }.reduce(0, +) / Double(max(idle.count, 1))
            #expect(preempted < 0.08, "idle is halted, not preempted: \(preempted)")
        }

        let phases = try String(contentsOfFile: paths.path.replacing("host.dat", with: "phases.txt"), encoding: .utf8)
        guard phases.contains(" io:") else { return }
        let io = windows.filter { window in (0..<2).contains { window.share(.userspace, of: $0) > 0.15 } }
        #expect(io.count >= 5, "windows of I/O, of \(windows.count)")
        let outside = io.flatMap(\.times).reduce(0) { $0 + $1[.userspace] + $1[.hypervisor] }
        let inside = io.flatMap(\.times).reduce(0) { $0 + $1[.running] }
        #expect(outside > inside / 2, "I/O shows in exits: \(outside) ns outside of guest mode, \(inside) inside")
    }
}
