import TraceModel
import Views

/// `tandem-bench views`: what one frame of the live view costs, from two snapshots to lines of styled text.
///
/// Made by hand, because a host of this size is not at hand: 16 machines of 4 vCPUs, each vCPU with as many culprits,
/// exit reasons and histogram steps as the limits allow or a busy one has; a terminal of 200 × 60 cells.
enum ViewsBenchmark {
    private static let machines = 16
    private static let vcpusPerMachine = 4

    static func run() {
        // One for each run and two before: figures are differences, and a session never goes back.
        let runs = 49
        let snapshots = (0..<Int64(runs + 2)).map { snapshot(seconds: 60 + $0) }
        let after = snapshots[1]
        let screens: [(String, [Key])] = [
            ("table, grouped", []), ("table, flat", [.character("t")]),
            ("one row per machine", [.character("t"), .character("t")]), ("page of a vCPU", [.down, .enter]),
            ("page of a machine", [.character("t"), .character("t"), .down, .enter]), ("matrix", [.character("m")]),
            ("help", [.character("h")]),
        ]
        print("\(machines * vcpusPerMachine) vCPUs, 200 × 60 cells; an event is a snapshot shown and a frame drawn")
        for (name, keys) in screens {
            var model = TopModel()
            model.show(snapshots[0])
            for key in keys { _ = model.handle(key) }
            var next = 1
            Measurement(runs: runs) {
                model.show(snapshots[next])
                next += 1
                return model.frame(width: 200, height: 60).lines.isEmpty ? 0 : 1
            }.show(name)
        }
        Measurement { SummaryView.render(after, width: 200).lines.isEmpty ? 0 : 1 }.show("summary")
        Measurement {
            CSVTable.allCases.map { $0.rows(after).utf8.count }.reduce(0, +) == 0 ? 0 : 1
        }.show("CSV, all tables")
    }

    private static func snapshot(seconds: Int64) -> Snapshot {
        var snapshot = Snapshot(
            window: .init(startNanoseconds: 1_000_000_000, endNanoseconds: 1_000_000_000 * (seconds + 1)))
        snapshot.sources = [Snapshot.Source(name: "host", kind: "host", state: "live")]
        snapshot.host.cpus = (0..<32).map {
            .init(
                cpu: $0, task: "CPU \($0)/KVM", tid: Int32($0), busyNanoseconds: seconds, unknownNanoseconds: 0,
                switches: 9)
        }
        for machine in 0..<machines {
            snapshot.sources.append(Snapshot.Source(name: "vm\(machine)", kind: "guest", state: "live"))
            var guest = Snapshot.Guest(
                name: "vm\(machine)", vmmPID: Int32(100 + machine), vmm: "qemu", source: machine + 1)
            guest.clock = .init(
                clock: "mono", quality: "exact", offsetNanoseconds: 12, driftPPM: 0.5, boundNanoseconds: 83, epoch: 1,
                containment: 0.999)
            guest.vcpus = (0..<vcpusPerMachine).map { vcpu($0, of: machine, seconds: seconds) }
            guest.culprits = guest.vcpus[0].culprits
            guest.takenBy = (0..<machines).map {
                .init(kind: .vcpu, guest: $0, count: 1, nanoseconds: seconds * Int64($0 * machine + 1) * 1_000_000)
            }
            guest.tasks = (0..<Limits.tasksPerGuestShown).map { number in
                var times = StateTimes()
                times[.running] = seconds * Int64(number + 1) * 1_000_000
                times[.preempted] = seconds * Int64(number + 1) * 100_000
                return .init(
                    tid: Int32(number + 2), name: "worker-\(number)", vcpu: number % vcpusPerMachine, times: times,
                    robbedBy: [
                        .init(reason: "EPT_VIOLATION", nanoseconds: 1_000), .init(reason: "HLT", nanoseconds: 100),
                    ])
            }
            snapshot.guests.append(guest)
        }
        return snapshot
    }

    private static func vcpu(_ number: Int, of machine: Int, seconds: Int64) -> Snapshot.VCPU {
        var times = StateTimes()
        for state in VCPUState.allCases { times[state] = seconds * 100_000_000 }
        var vcpu = Snapshot.VCPU(
            vcpu: number, hostTID: Int32(1_000 + machine * 10 + number), state: .preempted, sinceNanoseconds: 2_000_000,
            times: times)
        let durations = Snapshot.Durations(
            count: 2_400, totalNanoseconds: 9_000_000, p50Nanoseconds: 4_000, p99Nanoseconds: 90_000,
            p999Nanoseconds: 900_000, maximumNanoseconds: 1_000_000, maximumAtNanoseconds: 1_500_000_000,
            countsByPowerOfTwo: (0..<24).map { $0 * 10 })
        vcpu.detail = "vm3/1"
        vcpu.hostCPU = machine
        vcpu.guestTask = "worker-1"
        vcpu.ready = durations
        vcpu.wakeUpLatency = durations
        vcpu.culprits = (0..<Limits.culpritsPerVCPU).map {
            .init(
                kind: .vcpu, name: "CPU 0/KVM", tid: Int32($0), guest: "vm\($0)", vcpu: 0, count: 10,
                nanoseconds: seconds * Int64(100 - $0) * 10_000)
        }
        vcpu.exits = (0..<24).map {
            .init(reason: "REASON_\($0)", count: 10, nanoseconds: seconds * Int64($0), handling: durations)
        }
        vcpu.wakeUpReasons = [.init(reason: .timer, count: 10, haltedNanoseconds: 100)]
        return vcpu
    }
}
