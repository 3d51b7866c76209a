import CTF
import Collector
import Foundation
import SessionLog
import Testing
import TraceFiles
import TraceModel

/// The states of the lab's LTTng recording: against what is known to have happened, and against ftrace's recording of the
/// same workload (`vsock-kvm`: the same phases, guests and pinning, another run).
@Suite(.enabled(if: Fixtures.lab != nil, "set TANDEM_LAB_DATA to the lab's recordings"))
struct LabStatesTests {
    /// Times of both vCPUs in a stretch of the session.
    private struct Stretch {
        var times: [StateTimes]

        func share(_ states: VCPUState..., of vcpu: Int) -> Double {
            Double(states.reduce(0) { $0 + times[vcpu][$1] }) / Double(max(times[vcpu].total, 1))
        }
    }

    /// The stretches between these instants of the session.
    private func stretches(_ input: any SessionInput, at instants: [HostTime]) throws -> [Stretch] {
        var replay = Replay(input)
        var rows: [[StateTimes]] = []
        for instant in instants {
            rows.append(try replay.snapshot(at: instant).guests.compactMap { $0.vcpus.first?.times })
        }
        return zip(rows, rows.dropFirst()).filter { $0.count == 2 && $1.count == 2 }.map { before, after in
            Stretch(times: zip(after, before).map { $0 - $1 })
        }
    }

    private func lttng() throws -> CTFInput {
        let lab = "\(try #require(Fixtures.lab))/lttng-plain"
        return try CTFInput(
            SessionPaths(
                path: "\(lab)/host",
                guests: [.init(name: "g1", path: "\(lab)/g1"), .init(name: "g2", path: "\(lab)/g2")]))
    }

    /// From phases.txt: wall clock of the host when a workload began and ended, which the trace's clock refers to as well.
    private func phases() throws -> [String: ClosedRange<HostTime>] {
        let lab = "\(try #require(Fixtures.lab))/lttng-plain"
        let facts = try #require(try open("\(lab)/host").first).facts
        let zero = try #require(facts.clock.epochOffsetNanoseconds)
        var begins: [String: HostTime] = [:]
        var phases: [String: ClosedRange<HostTime>] = [:]
        for line in try String(contentsOfFile: "\(lab)/phases.txt", encoding: .utf8).split(separator: "\n") {
            let words = line.split(separator: " ")
            let parts = words[1].split(separator: ".")
            guard words.count == 4, let seconds = Int64(parts[0]), let rest = Int64(parts[1]) else { continue }
            let time = HostTime(nanoseconds: seconds * 1_000_000_000 + rest - zero)
            let name = String(words[2])
            if words[3] == "begins" { begins[name] = time } else { phases[name] = begins[name].map { $0...time } }
        }
        return phases
    }

    /// The middle of it: starting a command in an emulated guest takes a third of a second, and the two guests' three seconds
    /// do not begin and end together.
    private func phase(_ name: String) throws -> Stretch {
        let begin = try #require(try phases()[name]).lowerBound
        let ends = [begin.advanced(by: 400_000_000), begin.advanced(by: 2_000_000_000)]
        return try #require(try stretches(lttng(), at: ends).first)
    }

    @Test func `while both compute on one CPU, each is ready for half of the time`() throws {
        let busy = try phase("busy:3")
        for vcpu in 0..<2 {
            // Fair shares of one CPU are a half; the host's own tasks and the 4 ms of its scheduler move that by hundredths.
            #expect(abs(busy.share(.preempted, .waking, of: vcpu) - 0.5) < 0.08)
            #expect(busy.share(.halted, .polling, .unknown, of: vcpu) < 0.03)
        }
        // While one waits the other runs.
        let running = (0..<2).reduce(0.0) { $0 + busy.share(.running, .hypervisor, .userspace, of: $1) }
        #expect(abs(running - 1) < 0.08)
    }

    /// An idle guest's own ticks and tasks take a third of an emulated CPU.
    @Test func `while both sleep they are halted most of the time, and seldom ready`() throws {
        let idle = try phase("sleep:3")
        for vcpu in 0..<2 {
            #expect(idle.share(.halted, .polling, of: vcpu) > 0.5)
            #expect(idle.share(.preempted, .waking, of: vcpu) < 0.15)
        }
    }

    @Test func `while one computes and one sleeps, the one has the CPU and the other is halted`() throws {
        let mixed = try phase("busy+sleep:3")
        #expect(mixed.share(.running, of: 0) > 0.6)
        #expect(mixed.share(.halted, .polling, of: 0) < 0.05)
        #expect(mixed.share(.halted, .polling, of: 1) > 0.6)
    }

    /// Two runs of emulated machines, and two tracers that cost differently: a tenth tells a wrong state from another run. Of two
    /// that compute, the scheduler favours one for seconds, and not the same in both runs. While both sleep, most of what
    /// runs is the tracers.
    private let tolerance: [Kind: Double] = [.oneComputes: 0.1, .bothCompute: 0.15, .bothSleep: 1.0 / 6]

    @Test func `LTTng's states are those of the recording by ftrace of the same workload`() throws {
        let lab = "\(try #require(Fixtures.lab))/vsock-kvm"
        let ftrace = SessionPaths(
            path: "\(lab)/host.dat",
            guests: ["g1", "g2"].map { .init(name: nil, path: "\(lab)/host-\($0).dat") })
        let ours = try classified(lttng())
        let theirs = try classified(TraceDatInput(ftrace))
        for kind in Kind.allCases {
            let (a, b) = (try #require(ours[kind]), try #require(theirs[kind]))
            for vcpu in 0..<2 {
                for states in [[VCPUState.running], [.halted, .polling], [.preempted, .waking]] {
                    let difference = states.reduce(0.0) { $0 + a.share($1, of: vcpu) - b.share($1, of: vcpu) }
                    #expect(
                        abs(difference) < tolerance[kind] ?? 0,
                        "\(kind), vCPU of g\(vcpu + 1), \(states): \(difference)")
                }
            }
        }
    }

    private enum Kind: CaseIterable { case bothCompute, bothSleep, oneComputes }

    /// Tenths of a second, summed up by what goes on in them: where the phases of `vsock-kvm` lie on its clock is not known.
    private func classified(_ input: any SessionInput) throws -> [Kind: Stretch] {
        var replay = Replay(input)
        _ = try replay.advance(to: HostTime(nanoseconds: .min))
        var sums: [Kind: Stretch] = [:]
        var time = replay.horizon.advanced(by: 100_000_000)
        var last: [StateTimes]?
        repeat {
            let row = try replay.snapshot(at: time).guests.compactMap { $0.vcpus.first?.times }
            if let last, last.count == 2, row.count == 2 {
                let stretch = Stretch(times: zip(row, last).map { $0 - $1 })
                if let kind = kind(stretch) {
                    sums[kind] = sums[kind].map { sum($0, stretch) } ?? stretch
                }
            }
            last = row
            time = time.advanced(by: 100_000_000)
        } while replay.horizon >= time.advanced(by: -100_000_000)
        return sums
    }

    private func sum(_ a: Stretch, _ b: Stretch) -> Stretch {
        Stretch(
            times: zip(a.times, b.times).map { a, b in
                var sum = a
                for state in VCPUState.allCases { sum[state] += b[state] }
                return sum
            })
    }

    private func kind(_ stretch: Stretch) -> Kind? {
        let sleeps = (0..<2).map { stretch.share(.halted, .polling, of: $0) }
        if sleeps.allSatisfy({ $0 < 0.01 }) { return .bothCompute }
        if sleeps.allSatisfy({ $0 > 0.5 }) { return .bothSleep }
        if sleeps[0] < 0.01, sleeps[1] > 0.5 { return .oneComputes }
        return nil
    }
}
