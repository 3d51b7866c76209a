import TraceModel

/// The competing machines of `Scenario.competing` with everything that the analysis can find out about them: durations,
/// victims, wake-ups, steal, the matrix and the checks.
extension Scenario {
    static var rich: Scenario {
        var scenario = competing
        scenario.current.enrich()
        scenario.previous?.enrich()
        return scenario
    }
}

extension Scenario {
    /// The same host without agents: what is left when a guest does not help.
    static var hostOnly: Scenario {
        var scenario = rich
        func bare(_ snapshot: inout Snapshot) {
            snapshot.sources.removeLast(2)
            for guest in snapshot.guests.indices {
                snapshot.guests[guest].source = nil
                snapshot.guests[guest].clock = nil
                snapshot.guests[guest].tasks = []
                for vcpu in snapshot.guests[guest].vcpus.indices {
                    snapshot.guests[guest].vcpus[vcpu].guestTask = nil
                    snapshot.guests[guest].vcpus[vcpu].guestTID = nil
                    snapshot.guests[guest].vcpus[vcpu].guestRunning = nil
                    snapshot.guests[guest].vcpus[vcpu].steal = nil
                }
            }
        }
        bare(&scenario.current)
        if var previous = scenario.previous {
            bare(&previous)
            scenario.previous = previous
        }
        return scenario
    }
}

/// A distribution with `counts` durations in each step from 2^`first` ns on, and its figures made to fit.
func durations(_ first: Int, _ counts: [UInt64], maximumAt: Int64) -> Snapshot.Durations {
    let steps = [UInt64](repeating: 0, count: first) + counts
    let count = counts.reduce(0, +)
    func percentile(_ permille: UInt64) -> Int64 {
        var seen: UInt64 = 0
        for (index, amount) in steps.enumerated() {
            seen += amount
            if seen * 1_000 > count * permille { return Int64(3) << Int64(index - 1) }
        }
        return 0
    }
    let total = steps.enumerated().reduce(Int64(0)) { $0 + Int64($1.element) * Int64(3) << Int64($1.offset - 1) }
    return Snapshot.Durations(
        count: count, totalNanoseconds: total, p50Nanoseconds: percentile(500), p99Nanoseconds: percentile(990),
        p999Nanoseconds: percentile(999), maximumNanoseconds: Int64(7) << Int64(steps.count - 3),
        maximumAtNanoseconds: maximumAt, countsByPowerOfTwo: steps)
}

extension Snapshot {
    fileprivate mutating func enrich() {
        let age = (window.endNanoseconds - window.startNanoseconds) / second
        let start = window.startNanoseconds
        health.checks = [
            .init(name: .entryExitAlternation, checked: UInt64(age) * 54_000, violations: 0),
            .init(name: .hostSwitchChain, checked: UInt64(age) * 8_000, violations: 0),
            .init(name: .guestSwitchChain, checked: UInt64(age) * 6_100, violations: 0),
            .init(name: .guestEventContainment, checked: UInt64(age) * 21_900, violations: 231),
            .init(name: .runningWhileHalted, checked: UInt64(age) * 510, violations: 0, excused: 12),
        ]
        (host.cpus[0].guest, host.cpus[0].vcpu) = (0, 0)
        (host.cpus[1].guest, host.cpus[1].vcpu) = (1, 1)
        guests[0].clock?.estimators = ["kvm", "entries"]
        guests[1].clock?.estimators = ["probes"]
        guests[0].culprits = [
            .init(
                kind: .vcpu, name: "CPU 1/KVM", tid: 5213, guest: "db2", vcpu: 1, count: UInt64(age) * 84,
                nanoseconds: age * 274 * millisecond),
            .init(
                kind: .task, name: "stress-ng", tid: 7001, count: UInt64(age) * 9, nanoseconds: age * 30 * millisecond),
            .init(
                kind: .vcpu, name: "CPU 0/KVM", tid: 5212, guest: "db2", vcpu: 0, count: UInt64(age) * 30,
                nanoseconds: age * 24 * millisecond),
            .init(
                kind: .kernel, name: "kworker/0:2", tid: 91, count: UInt64(age) * 5, nanoseconds: age * 15 * millisecond
            ),
        ]
        guests[0].takenBy = [
            .init(kind: .vcpu, guest: 1, count: UInt64(age) * 114, nanoseconds: age * 298 * millisecond),
            .init(kind: .task, count: UInt64(age) * 9, nanoseconds: age * 30 * millisecond),
            .init(kind: .kernel, count: UInt64(age) * 5, nanoseconds: age * 15 * millisecond),
        ]
        guests[1].takenBy = [
            .init(kind: .vcpu, guest: 0, count: UInt64(age) * 12, nanoseconds: age * 52 * millisecond),
            .init(kind: .kernel, count: 41, nanoseconds: age * 3 * millisecond),
        ]
        guests[1].culprits = guests[1].vcpus.flatMap(\.culprits)
        guests[0].tasks = Snapshot.victims(age, at: start + 52 * second)
        guests[0].taskMigrations = UInt64(age) * 3
        for guest in guests.indices {
            for vcpu in guests[guest].vcpus.indices {
                guests[guest].vcpus[vcpu].measure(age, start: start, scale: guest * 2 + vcpu)
            }
        }
    }

    private static func victims(_ age: Int64, at time: Int64) -> [GuestTask] {
        [
            .init(
                tid: 903, name: "php-fpm: pool w", vcpu: 1, isCurrent: true,
                times: times([
                    .running: age * 402, .hypervisor: age * 12, .userspace: age, .preempted: age * 268,
                    .waking: age * 4,
                ]),
                robbedBy: [
                    .init(reason: "MSR_WRITE", nanoseconds: age * 9 * millisecond),
                    .init(reason: "EPT_VIOLATION", nanoseconds: age * 4 * millisecond),
                ], switches: UInt64(age) * 240, migrations: UInt64(age), worstRobbedNanoseconds: 8_204_112,
                worstRobbedAtNanoseconds: time),
            .init(
                tid: 812, name: "nginx", vcpu: 0, isCurrent: true,
                times: times([.running: age * 590, .hypervisor: age * 19, .preempted: age * 18]),
                robbedBy: [.init(reason: "EPT_MISCONFIG", nanoseconds: age * 12 * millisecond)],
                switches: UInt64(age) * 380, worstRobbedNanoseconds: 4_020_000, worstRobbedAtNanoseconds: time),
            .init(
                tid: 17, name: "ksoftirqd/1", vcpu: 1, isCurrent: false,
                times: times([.running: age * 61, .preempted: age * 2]), switches: UInt64(age) * 41,
                worstRobbedNanoseconds: 410_000, worstRobbedAtNanoseconds: time),
            .init(
                tid: 2_204, name: "logrotate", vcpu: 1, isCurrent: false,
                times: times([.running: 420, .hypervisor: 31, .blocked: 90]),
                robbedBy: [.init(reason: "EPT_VIOLATION", nanoseconds: 121 * millisecond)], switches: 18,
                worstRobbedNanoseconds: 88_000_000, worstRobbedAtNanoseconds: time),
            .init(
                tid: -1, name: "others", isCurrent: false,
                times: times([.running: age * 12, .preempted: age]), switches: UInt64(age) * 88),
        ]
    }
}

extension Snapshot.VCPU {
    /// Distributions whose shapes differ from one vCPU to the next.
    fileprivate mutating func measure(_ age: Int64, start: Int64, scale: Int) {
        let age64 = UInt64(age)
        ready = durations(
            11, [age64, age64 * 9, age64 * 31, age64 * 12, 40, 9, 3, 0, age64, age64 * 21, age64 * 24, 62],
            maximumAt: start + 52 * second)
        wakeUpLatency = durations(
            11 + scale % 2, [age64, age64 * 9, age64 * 30, age64 * 11, 31, 8, 3], maximumAt: start + 11 * second)
        wakeUpReasons = [
            .init(reason: .timer, count: age64 * 150, haltedNanoseconds: age * 101 * millisecond),
            .init(reason: .net, count: age64 * 71, haltedNanoseconds: age * 44 * millisecond),
            .init(reason: .ipi, count: age64 * 30, haltedNanoseconds: age * 30 * millisecond),
            .init(reason: .unknown, count: 19, haltedNanoseconds: 180 * millisecond),
        ]
        halts = .init(polled: age64 * 90, slept: age64 * 161, pollLimitNanoseconds: 200_000)
        guestRunning = .init(
            busyNanoseconds: times[.running] / 16 * 15, idleNanoseconds: times[.running] / 16,
            unknownNanoseconds: 0, uncertainNanoseconds: 2_310_000, isUncertainNow: false)
        steal = .init(
            toldNanoseconds: (times[.preempted] + times[.waking]) / 10 * 7,
            readyNanoseconds: times[.preempted] + times[.waking], fromNanoseconds: start + second,
            untilNanoseconds: start + age * second)
        exits = exits.map { exit in
            var exit = exit
            let half = exit.count / 2
            exit.handling = durations(
                9, [half, half / 2, half / 4, half / 8, half / 40, 30, 4, 1], maximumAt: start + 31 * second)
            return exit
        }
        exits += [
            .init(
                reason: "IO_INSTRUCTION", count: age64 * 12, nanoseconds: age * 2 * millisecond,
                handling: durations(14, [age64 * 6, age64 * 4, age64 * 2, 7], maximumAt: start + 2 * second)),
            .init(reason: "other", count: 44, nanoseconds: 3 * millisecond),
        ]
        isLowerBound = scale == 0
    }
}
