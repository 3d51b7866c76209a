import Decoding
import Foundation
import SessionLog
import TraceFiles
import TraceModel
import Wire

/// What is known of a recording of the lab without any analysis: who the vCPUs are, and who did what when.
///
/// `ground-truth.txt` names the threads and the CPUs to which they are pinned. `phases.txt` has the host's uptime when
/// workloads began and ended; how that relates to the trace's clock is not written down, but the script that wrote the file ran
/// `cut` on /proc/uptime each time, which the host's trace shows as `sched_process_exec`.
struct GroundTruth {
    struct VCPU {
        let guest: String
        let tid: Int32
        let cpus: String
        /// What KVM added to the host's cycles for this guest, by debugfs.
        var tscOffset: Int64?
    }

    /// What each guest did, in the order of the guests: `busy` computes, `switch` hands bytes to and fro between two processes
    /// and never waits for long, `sleep` wakes twenty times a second, `io` writes to the console.
    struct Phase {
        let workloads: [String]
        /// In the middle of it. A command takes a third of a second to begin in an emulated guest, and counts whole seconds of the
        /// clock, so that its last one may be missing.
        let window: ClosedRange<HostTime>
    }

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    private(set) var vcpus: [VCPU] = []
    private(set) var phases: [Phase] = []
    /// From the host's uptime to the trace's clock, and how far what tells so disagrees.
    let offsetNanoseconds: Int64
    let spreadNanoseconds: Int64

    init(_ paths: SessionPaths) throws {
        let folder = URL(filePath: paths.path).deletingLastPathComponent()
        func lines(_ name: String) throws -> [[String]] {
            try String(contentsOf: folder.appending(path: name), encoding: .utf8).split(separator: "\n").map {
                $0.split(separator: " ").map(String.init)
            }
        }
        var guest = ""
        for words in try lines("ground-truth.txt") {
            // guest g1: cid 3, qemu pid 153, 6.1.0-56-cloud-amd64
            if words.first == "guest" { guest = String(words[1].dropLast()) }
            //   vcpu 0: tid 157, cpus: 1
            if words.count == 6, words[0] == "vcpu", words[2] == "tid", let tid = Int32(words[3].dropLast()) {
                vcpus.append(VCPU(guest: guest, tid: tid, cpus: words[5]))
            }
            //   tsc-offset -19792361523
            if words.first == "tsc-offset", !vcpus.isEmpty { vcpus[vcpus.count - 1].tscOffset = Int64(words[1]) }
        }
        // 40.53 busy:4 begins
        let boundaries = try lines("phases.txt").map { words -> (uptime: Int64, what: String, begins: Bool) in
            guard words.count == 3, let seconds = Double(words[0]) else {
                throw Failure(description: "phases.txt: no boundary in \(words)")
            }
            return (Int64(seconds * 1e9), words[1], words[2] == "begins")
        }
        let host = try HostEvents(paths)
        // The ring may have lost the first ones.
        let offsets = zip(host.readsOfUptime.reversed(), boundaries.reversed()).map { $0 - $1.uptime }.sorted()
        guard offsets.count >= 4 else { throw Failure(description: "\(offsets.count) boundaries in \(paths.path)") }
        offsetNanoseconds = offsets[offsets.count / 2]
        spreadNanoseconds = (offsets.last ?? 0) - (offsets.first ?? 0)
        for boundary in boundaries where boundary.begins {
            let parts = boundary.what.split(separator: ":")
            guard parts.count == 2, let seconds = Int64(parts[1]) else { continue }
            let begin = boundary.uptime + offsetNanoseconds
            let first = max(begin + 400_000_000, host.first + 300_000_000)
            let last = begin + (seconds - 1) * 1_000_000_000
            guard last - first >= 500_000_000 else { continue }
            let kinds = parts[0].split(separator: "+").map(String.init)
            phases.append(
                Phase(
                    workloads: vcpus.indices.map { kinds[min($0, kinds.count - 1)] },
                    window: HostTime(nanoseconds: first)...HostTime(nanoseconds: last)))
        }
    }
}

/// The host's trace, read with nothing of the analysis.
private struct HostEvents {
    private(set) var readsOfUptime: [Int64] = []
    private(set) var first = Int64.max

    init(_ paths: SessionPaths) throws {
        let input = try TraceDatInput(paths)
        var formats: [EventFormat] = []
        var scale: TSCScale?
        var firstOfCPU: [Int: Int64] = [:]
        while let next = try input.next() {
            switch next {
            case .record(.sourceOpened(.host, _, let texts, _)):
                formats = try texts.map { try EventFormatParser.parse($0.text, system: $0.system) }
            case .record(.clock(.host, .scale(let told))): scale = told
            case .batch(.host, let batch):
                for header in batch.headers {
                    let ticks = header.ticks.rawValue
                    let time = scale?.hostTime(ticks).nanoseconds ?? Int64(bitPattern: ticks)
                    if firstOfCPU[batch.cpu] == nil { firstOfCPU[batch.cpu] = time }
                    guard formats[Int(header.typeIndex)].fullName == "sched:sched_process_exec" else { continue }
                    let record = batch.records[Int(header.offset)..<Int(header.offset + header.length)]
                    if !record.ranges(of: Array("/cut\0".utf8)).isEmpty { readsOfUptime.append(time) }
                }
            default: continue
            }
        }
        readsOfUptime.sort()
        // Every CPU has a ring of its own, and the one that lost most decides.
        first = firstOfCPU.values.max() ?? .max
    }
}
