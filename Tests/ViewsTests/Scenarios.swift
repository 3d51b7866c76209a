import TraceModel

/// Two snapshots a second apart, made by hand: what the golden screens show.
struct Scenario {
    var current: Snapshot
    var previous: Snapshot?
}

let second: Int64 = 1_000_000_000
let millisecond: Int64 = 1_000_000

/// Times of a vCPU in milliseconds.
func times(_ milliseconds: [VCPUState: Int64]) -> StateTimes {
    var times = StateTimes()
    for (state, amount) in milliseconds { times[state] = amount * millisecond }
    return times
}

func clock(bound: Int64, quality: String = "exact", containment: Double? = 0.99987) -> Snapshot.Clock {
    Snapshot.Clock(
        clock: "mono", quality: quality, offsetNanoseconds: 8_204 * second, driftPPM: 1.25, boundNanoseconds: bound,
        epoch: 1, containment: containment)
}

func source(_ name: String, events: UInt64, state: String = "live", bytes: UInt64 = 0) -> Snapshot.Source {
    var source = Snapshot.Source(name: name, kind: name == "host" ? "host" : "guest", state: state)
    source.events = events
    source.bytes = bytes
    source.cpus = 2
    source.producerCPUNanoseconds = events.multipliedReportingOverflow(by: 900).partialValue
    return source
}

extension Scenario {
    /// `ends` are the two ends of the window, seconds after its start; `make` fills a snapshot for each.
    static func twice(_ ends: (Int64, Int64) = (82, 83), _ make: (Int64) -> Snapshot) -> Scenario {
        Scenario(current: make(ends.1), previous: make(ends.0))
    }

    private static func empty(end: Int64) -> Snapshot {
        Snapshot(
            window: .init(startNanoseconds: 8_000 * second, endNanoseconds: 8_000 * second + end * second))
    }

    private static func cpu(_ cpu: Int, _ task: String, _ tid: Int32, busy: Int64, switches: UInt64) -> Snapshot.CPU {
        Snapshot.CPU(
            cpu: cpu, task: task, tid: tid, busyNanoseconds: busy * millisecond, unknownNanoseconds: 0,
            switches: switches)
    }

    /// Two machines of two vCPUs each on a host with two CPUs: web1 loses to db2.
    static var competing: Scenario {
        twice { end in
            var snapshot = empty(end: end)
            let now = snapshot.window.endNanoseconds
            let age = UInt64(end)
            snapshot.health.lagNanoseconds = 12_400_000
            snapshot.sources = [
                source("host", events: age * 48_213), source("web1", events: age * 12_120, bytes: age * 160_000),
                source("db2", events: age * 9_804, bytes: age * 130_000),
            ]
            snapshot.sources[1].clock = clock(bound: 83)
            snapshot.host.cpus = [
                cpu(0, "CPU 0/KVM", 4712, busy: end * 940, switches: age * 4_100),
                cpu(1, "CPU 1/KVM", 5213, busy: end * 1_000, switches: age * 3_900),
            ]
            var first = Snapshot.VCPU(
                vcpu: 0, hostTID: 4712, state: .running, sinceNanoseconds: now - 1_230_000,
                times: times([
                    .running: end * 612, .hypervisor: end * 21, .userspace: end * 6, .polling: end * 4,
                    .preempted: end * 20, .waking: end * 11, .halted: end * 326,
                ]))
            first.hostCPU = 0
            first.guestTask = "nginx"
            first.guestTID = 812
            first.preemptions = age * 37
            first.wakeups = age * 420
            first.migrations = 214
            first.worstPreemptionNanoseconds = 4_020_000
            first.worstPreemptionAtNanoseconds = now - 12 * second
            first.exitCount = age * 12_311
            first.culprits = [
                .init(
                    kind: .vcpu, name: "CPU 0/KVM", tid: 5212, guest: "db2", vcpu: 0, count: age * 30,
                    nanoseconds: end * 24 * millisecond),
                .init(
                    kind: .kernel, name: "kworker/0:2", tid: 91, count: age * 5, nanoseconds: end * 7 * millisecond),
            ]
            first.exits = [
                .init(reason: "HLT", count: age * 420, nanoseconds: end * 9 * millisecond),
                .init(reason: "MSR_WRITE", count: age * 9_800, nanoseconds: end * 8 * millisecond),
                .init(reason: "EPT_MISCONFIG", count: age * 2_091, nanoseconds: end * 4 * millisecond),
            ]
            var robbed = Snapshot.VCPU(
                vcpu: 1, hostTID: 4713, state: .preempted, sinceNanoseconds: now - 3_410_000,
                times: times([
                    .running: end * 488, .hypervisor: end * 17, .userspace: end * 2, .preempted: end * 281,
                    .waking: end * 31, .halted: end * 181,
                ]))
            robbed.detail = "db2/1"
            robbed.hostCPU = 1
            robbed.guestTask = "php-fpm: pool w"
            robbed.guestTID = 903
            robbed.preemptions = age * 84
            robbed.wakeups = age * 260
            robbed.migrations = 12
            robbed.worstPreemptionNanoseconds = 8_204_112
            robbed.worstPreemptionAtNanoseconds = now - 31 * second
            robbed.exitCount = age * 9_207
            robbed.culprits = [
                .init(
                    kind: .vcpu, name: "CPU 1/KVM", tid: 5213, guest: "db2", vcpu: 1, count: age * 84,
                    nanoseconds: end * 274 * millisecond),
                .init(kind: .task, name: "stress-ng", tid: 7001, count: age * 9, nanoseconds: end * 30 * millisecond),
                .init(kind: .unknown, name: "other", tid: 0, count: age, nanoseconds: end * 8 * millisecond),
            ]
            robbed.exits = [.init(reason: "MSR_WRITE", count: age * 9_207, nanoseconds: end * 17 * millisecond)]
            var quiet = Snapshot.VCPU(
                vcpu: 0, hostTID: 5212, state: .halted, sinceNanoseconds: now - 212 * millisecond,
                times: times([
                    .running: end * 201, .hypervisor: end * 11, .waking: end * 52, .halted: end * 716,
                    .blocked: end * 20,
                ]))
            quiet.detail = "HLT"
            quiet.guestTask = "swapper/0"
            quiet.guestTID = 0
            quiet.wakeups = age * 90
            quiet.exitCount = age * 2_100
            quiet.culprits = [
                .init(
                    kind: .vcpu, name: "CPU 0/KVM", tid: 4712, guest: "web1", vcpu: 0, count: age * 12,
                    nanoseconds: end * 52 * millisecond)
            ]
            quiet.exits = [.init(reason: "HLT", count: age * 90, nanoseconds: end * 11 * millisecond)]
            var thief = Snapshot.VCPU(
                vcpu: 1, hostTID: 5213, state: .hypervisor, sinceNanoseconds: now - 2_100,
                times: times([.running: end * 958, .hypervisor: end * 39, .preempted: end * 3]))
            thief.detail = "EPT_VIOLATION"
            thief.hostCPU = 1
            thief.guestTask = "postgres"
            thief.guestTID = 1_411
            thief.preemptions = 41
            thief.worstPreemptionNanoseconds = 12_008_004
            thief.exitCount = age * 31_004
            thief.culprits = [
                .init(kind: .kernel, name: "migration/1", tid: 21, count: 41, nanoseconds: 3 * 82 * millisecond)
            ]
            snapshot.guests = [
                .init(
                    name: "web1", vmmPID: 4701, vmm: "qemu", source: 1, clock: clock(bound: 83), vcpus: [first, robbed]),
                .init(
                    name: "db2", vmmPID: 5201, vmm: "qemu", source: 2,
                    clock: clock(bound: 1_240, quality: "bounded"), vcpus: [quiet, thief]),
            ]
            return snapshot
        }
    }

    /// One machine that has nothing to do, seen from the host only.
    static var idle: Scenario {
        twice((7_384, 7_385)) { end in
            var snapshot = empty(end: end)
            let now = snapshot.window.endNanoseconds
            snapshot.health.lagNanoseconds = 1_020_000
            snapshot.sources = [source("host", events: UInt64(end) * 310)]
            snapshot.host.cpus = (0..<4).map { cpu($0, "swapper/\($0)", 0, busy: end * 3, switches: UInt64(end) * 40) }
            snapshot.guests = [
                .init(
                    name: "build", vmmPID: 902, vmm: "firecracker",
                    vcpus: (0..<4).map { number in
                        var vcpu = Snapshot.VCPU(
                            vcpu: number, hostTID: Int32(910 + number), state: .halted,
                            sinceNanoseconds: now - 950 * millisecond * Int64(number + 1),
                            times: times([.running: end, .hypervisor: end, .halted: end * 998]))
                        vcpu.detail = "HLT"
                        vcpu.wakeups = UInt64(end) * 4
                        vcpu.exitCount = UInt64(end) * 9
                        return vcpu
                    })
            ]
            return snapshot
        }
    }

    /// Events were lost, an agent is gone, a clock is not bounded, and the kernel sent rubbish.
    static var loss: Scenario {
        var scenario = competing
        func spoil(_ snapshot: inout Snapshot, lost: UInt64) {
            snapshot.health.eventsLost = lost
            snapshot.health.lossesOfUnknownSize = 3
            snapshot.health.lagNanoseconds = 640 * millisecond
            snapshot.health.anomalies = [
                .init(name: "event_late", count: 12), .init(name: "switch_chain_broken", count: 31_204),
                .init(name: "clock_violation", count: 1),
            ]
            snapshot.health.limits = [
                "Guest 'db2': its clock is bounded on one side only, because no kvm_exit was recorded; "
                    + "its events are placed, but may lie late."
            ]
            snapshot.sources[0].lost.ringBuffer = lost - 4_000
            snapshot.sources[0].lost.ofUnknownSize = 3
            snapshot.sources[1].state = "gone"
            snapshot.sources[1].lost.agent = 4_000
            snapshot.sources[2].lateEvents = 12
            snapshot.guests[1].clock = clock(bound: 0, quality: "one-sided", containment: nil)
            snapshot.guests[0].vcpus[0].state = .init(.unknown)
            snapshot.guests[0].vcpus[0].hostCPU = nil
            snapshot.guests[0].vcpus[0].guestTask = nil
            snapshot.guests[0].vcpus[0].times[.unknown] = Int64(lost) * 10_000
        }
        spoil(&scenario.current, lost: 120_400)
        if var previous = scenario.previous {
            spoil(&previous, lost: 90_000)
            scenario.previous = previous
        }
        return scenario
    }

    /// A host without machines.
    static var noMachine: Scenario {
        twice((4, 5)) { end in
            var snapshot = empty(end: end)
            snapshot.health.lagNanoseconds = 900_000
            snapshot.health.limits = [
                "No kvm event came: no virtual machine runs, or the kvm module is not loaded."
            ]
            snapshot.sources = [source("host", events: UInt64(end) * 21_400)]
            snapshot.host.cpus = [
                cpu(0, "cc1plus", 30_112, busy: end * 871, switches: UInt64(end) * 1_210),
                cpu(1, "swapper/1", 0, busy: end * 112, switches: UInt64(end) * 240),
                cpu(2, "", 0, busy: 0, switches: 0),
            ]
            snapshot.host.cpus[2].unknownNanoseconds = end * second
            return snapshot
        }
    }

    /// A machine under emulation: no kvm events, so nothing tells guest code from hypervisor.
    static var noKVM: Scenario {
        twice((30, 31)) { end in
            var snapshot = empty(end: end)
            let now = snapshot.window.endNanoseconds
            snapshot.health.limits = [
                "No kvm event came from pid 611: time on a CPU cannot be split into guest code and hypervisor."
            ]
            snapshot.sources = [source("host", events: UInt64(end) * 5_000), source("tcg", events: UInt64(end) * 700)]
            snapshot.host.sees.guestMode = false
            snapshot.host.cpus = [cpu(0, "CPU 0/TCG", 620, busy: end * 900, switches: UInt64(end) * 900)]
            var vcpu = Snapshot.VCPU(
                vcpu: 0, hostTID: 620, state: .onCPU, sinceNanoseconds: now - 4 * millisecond,
                times: times([.onCPU: end * 871, .waking: end * 61, .blocked: end * 68]))
            vcpu.hostCPU = 0
            vcpu.guestTask = "init"
            vcpu.preemptions = 0
            vcpu.culprits = [
                .init(kind: .task, name: "sshd", tid: 400, count: 9, nanoseconds: end * 61 * millisecond)
            ]
            snapshot.guests = [
                .init(
                    name: "tcg", vmmPID: 611, vmm: "qemu", source: 1,
                    clock: clock(bound: 210_000, quality: "bounded", containment: nil), vcpus: [vcpu])
            ]
            return snapshot
        }
    }

    /// A distribution that contradicts itself in every way.
    private static let absurd = Snapshot.Durations(
        count: .max, totalNanoseconds: .min, p50Nanoseconds: .max, p99Nanoseconds: .min, p999Nanoseconds: .max,
        maximumNanoseconds: .min, maximumAtNanoseconds: .min,
        countsByPowerOfTwo: Array(repeating: .max, count: 200))

    /// Names that a guest or a user may choose to spoil the screen, and numbers at their limits.
    static var hostile: Scenario {
        twice { end in
            var snapshot = empty(end: end)
            snapshot.sources = [
                source("host", events: UInt64(end)), source("\u{1b}[2J\u{1b}]0;owned\u{07}", events: .max),
            ]
            snapshot.health.eventsLost = .max
            snapshot.health.lossesOfUnknownSize = .max
            snapshot.health.lagNanoseconds = .max
            snapshot.health.limits = ["\u{1b}[31mred\nand\tmore \u{202e}txet desrever"]
            snapshot.health.anomalies = [.init(name: "from_the_future", count: .max)]
            let names = [
                "e\u{301}\u{301}\u{301}\u{301}\u{301}zalgo", "漢字のとても長い名前のプロセス", "\u{1b}[31mred\u{1b}[0m",
                "a\rb\nc", "😀😀😀😀😀😀😀😀😀", String(repeating: "x", count: 400),
            ]
            snapshot.guests = [
                .init(
                    name: "win\u{202e}32\u{1b}[2J", vmmPID: .max, vmm: "\"quoted\",vmm", source: 99,
                    vcpus: names.enumerated().map { index, name in
                        var vcpu = Snapshot.VCPU(
                            vcpu: index == 0 ? .max : index == 1 ? nil : index,
                            hostTID: index == 2 ? nil : .max - Int32(index), state: .blocked, sinceNanoseconds: .min)
                        vcpu.guestTask = name
                        vcpu.detail = name
                        vcpu.hostCPU = index == 3 ? .min : index
                        vcpu.preemptions = .max
                        vcpu.exitCount = .max
                        vcpu.worstPreemptionNanoseconds = index == 0 ? .min : .max
                        for state in VCPUState.allCases { vcpu.times[state] = index == 4 ? .max : .min }
                        vcpu.culprits = [
                            .init(kind: .task, name: name, tid: .min, count: .max, nanoseconds: .max)
                        ]
                        vcpu.exits = [
                            .init(reason: name, count: .max, nanoseconds: .min),
                            .init(reason: name, count: 0, nanoseconds: .max, handling: absurd),
                        ]
                        vcpu.ready = absurd
                        vcpu.wakeUpLatency = absurd
                        vcpu.wakeUpReasons = [.init(reason: .disk, count: .max, haltedNanoseconds: .min)]
                        vcpu.halts = .init(polled: .max, slept: .max, pollLimitNanoseconds: .min)
                        vcpu.guestRunning = .init(
                            busyNanoseconds: .max, idleNanoseconds: .max, unknownNanoseconds: .min,
                            uncertainNanoseconds: .max, isUncertainNow: true)
                        vcpu.steal = .init(
                            toldNanoseconds: .min, readyNanoseconds: .max, fromNanoseconds: .max,
                            untilNanoseconds: .min)
                        vcpu.isLowerBound = true
                        return vcpu
                    })
            ]
            snapshot.guests[0].clock = .init(
                clock: "\u{1b}[2J", quality: "\u{9b}31m", offsetNanoseconds: .min, driftPPM: .nan,
                boundNanoseconds: .min, epoch: .min, containment: .infinity)
            snapshot.guests[0].clock?.estimators = ["a\nb", "\u{202e}"]
            snapshot.host.cpus = [
                .init(
                    cpu: .min, task: names[2], tid: .min, busyNanoseconds: .max, unknownNanoseconds: .min,
                    switches: .max)
            ]
            snapshot.host.cpus[0].guest = .max
            snapshot.guests[0].culprits = snapshot.guests[0].vcpus.flatMap(\.culprits)
            snapshot.guests[0].takenBy = [
                .init(kind: .vcpu, guest: .max, count: .max, nanoseconds: .max),
                .init(kind: .vcpu, guest: 0, count: .max, nanoseconds: .max),
                .init(kind: .task, count: 0, nanoseconds: .min),
            ]
            snapshot.guests[0].tasks = names.map { name in
                .init(
                    tid: .min, name: name, vcpu: .max, isCurrent: true, times: snapshot.guests[0].vcpus[4].times,
                    robbedBy: [.init(reason: name, nanoseconds: .max), .init(reason: name, nanoseconds: .max)],
                    worstRobbedNanoseconds: .max, worstRobbedAtNanoseconds: .min)
            }
            snapshot.health.checks = [
                .init(name: .hostSwitchChain, checked: 0, violations: .max, excused: .max),
                .init(name: .guestSwitchChain, checked: .max, violations: 0),
                .init(name: .runningWhileHalted, checked: .max, violations: 0),
            ]
            return snapshot
        }
    }

    /// Thirty machines, so that the table scrolls.
    static var crowded: Scenario {
        twice { end in
            var snapshot = empty(end: end)
            snapshot.sources = [source("host", events: UInt64(end) * 900_000)]
            snapshot.host.cpus = (0..<8).map { cpu($0, "qemu", 10, busy: end * 990, switches: UInt64(end) * 9_000) }
            for machine in 0..<30 {
                snapshot.sources.append(source("vm\(machine)", events: UInt64(end * Int64(machine) * 100)))
                snapshot.guests.append(
                    .init(
                        name: "vm\(machine)", vmmPID: Int32(1_000 + machine), vmm: "qemu", source: machine + 1,
                        clock: clock(bound: 90),
                        vcpus: (0..<2).map { number in
                            let ready = Int64(machine * 7 % 30) * 10 + Int64(number)
                            var vcpu = Snapshot.VCPU(
                                vcpu: number, hostTID: Int32(2_000 + machine * 10 + number), state: .running,
                                sinceNanoseconds: snapshot.window.endNanoseconds,
                                times: times([.running: end * (1_000 - ready), .preempted: end * ready]))
                            vcpu.hostCPU = machine % 8
                            vcpu.guestTask = "task\(machine)"
                            vcpu.preemptions = UInt64(ready) * UInt64(end)
                            return vcpu
                        }))
                // Each takes from the next ones, the less the farther they are.
                snapshot.guests[machine].takenBy = (1...4).map { step in
                    .init(
                        kind: .vcpu, guest: (machine + step * 7) % 30, count: UInt64(end),
                        nanoseconds: end * Int64(machine * 7 % 30) * 10 / Int64(step) * millisecond)
                }
            }
            return snapshot
        }
    }
}
