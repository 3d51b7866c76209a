package import TraceModel

/// A rule about what may not happen: `ready>500us`, `web1/0:preempted>2ms`, `db:ready>20%`, `lost>0`.
///
/// ```
/// [GUEST[/VCPU]:]QUANTITY>VALUE        '>=' is taken too
/// ```
/// QUANTITY is, for every vCPU that is meant, *how long without interruption* (VALUE is a duration) or *which share of the
/// time* (VALUE is a percentage) it was in a state: `ready` (preempted or waking) or any state's own name. Or of the whole
/// session: `lost` (events since the last look, a number), `lag` (a duration). Without GUEST all machines are meant, without
/// VCPU all vCPUs of it.
///
/// A threshold is checked on two successive snapshots, and tells what exceeded it between them. Stretches of `ready`,
/// `preempted` and `waking` are found however short; of the other states only the one that lasts at the moment. After a longer
/// one has been seen, ready stretches count as the power of two below them.
package struct Threshold: Hashable, Sendable, CustomStringConvertible {
    package enum Subject: Hashable, Sendable {
        case states(Set<VCPUState>)
        case lost
        case lag
    }

    package enum Bound: Hashable, Sendable {
        case nanoseconds(Int64)
        /// 0…100.
        case percent(Double)
        case count(UInt64)
    }

    package var guest: String?
    package var vcpu: Int?
    package var subject: Subject
    package var bound: Bound
    /// `>=` instead of `>`.
    package var isInclusive: Bool
    /// As it was typed.
    package var description: String

    /// Why a text is no threshold, for people.
    package struct Problem: Error, Hashable, Sendable, CustomStringConvertible {
        package var description: String
    }

    package init(_ text: String) throws(Problem) {
        description = text
        func problem(_ what: String) -> Problem {
            Problem(
                description: "the threshold '\(text)' \(what); one is like 'ready>500us', 'web1/0:preempted>2ms', "
                    + "'ready>20%', 'lost>0' or 'lag>100ms'")
        }
        guard let sign = text.firstIndex(of: ">") else { throw problem("has no '>'") }
        var value = text[text.index(after: sign)...]
        isInclusive = value.first == "="
        if isInclusive { value.removeFirst() }
        var name = text[..<sign]
        // A guest's name may hold colons, a quantity does not.
        if let colon = name.lastIndex(of: ":") {
            let scope = name[..<colon]
            name = name[name.index(after: colon)...]
            let parts = scope.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
            guard let first = parts.first, !first.isEmpty else { throw problem("names no guest before ':'") }
            guest = String(first)
            if parts.count == 2 {
                guard let number = Int(parts[1]), (0..<Limits.cpus).contains(number) else {
                    throw problem("names the vCPU '\(parts[1])', which is no number")
                }
                vcpu = number
            }
        }
        let quantity = name.trimmed
        switch quantity {
        case "ready": subject = .states([.preempted, .waking])
        case "lost": subject = .lost
        case "lag": subject = .lag
        default:
            guard let state = VCPUState(label: String(quantity)) else {
                let known = ["ready", "lost", "lag"] + VCPUState.allCases.map(\.label)
                throw problem("is about '\(quantity)', which is none of \(known.joined(separator: ", "))")
            }
            subject = .states([state])
        }
        let number = String(value.trimmed)
        switch subject {
        case .lost:
            guard let count = UInt64(number) else { throw problem("needs a number of events") }
            bound = .count(count)
        case .lag:
            guard let time = Quantities.nanoseconds(number) else { throw problem("needs a duration") }
            bound = .nanoseconds(time)
        case .states:
            if number.hasSuffix("%"), let share = Double(number.dropLast()), (0...100).contains(share) {
                bound = .percent(share)
            } else if let time = Quantities.nanoseconds(number) {
                bound = .nanoseconds(time)
            } else {
                throw problem("needs a duration or a percentage")
            }
        }
        if guest != nil, subject == .lost || subject == .lag { throw problem("is about the whole session") }
    }

    /// What exceeded it between two snapshots of one session, in sentences; the first of a session has nothing before it.
    package func violations(from previous: Snapshot?, to current: Snapshot) -> [String] {
        switch (subject, bound) {
        case (.states(let states), .nanoseconds(let limit)):
            return each(in: previous, current) { before, now in
                let longest = Self.longest(states, before, now, in: current)
                return exceeds(longest, limit) ? Self.text(nanoseconds: longest) : nil
            }
        case (.states(let states), .percent(let limit)):
            return each(in: previous, current) { before, now in
                let total = now.times.total &- (before?.times.total ?? 0)
                let part = states.reduce(0) { $0 &+ now.times[$1] &- (before?.times[$1] ?? 0) }
                let share = total > 0 ? Double(part) / Double(total) * 100 : 0
                return exceeds(share, limit) ? "\((share * 10).rounded() / 10) %" : nil
            }
        case (.lost, .count(let limit)):
            let before = previous?.health.eventsLost ?? 0
            let lost = current.health.eventsLost >= before ? current.health.eventsLost - before : 0
            return exceeds(lost, limit) ? ["\(description): \(lost) events"] : []
        case (.lag, .nanoseconds(let limit)):
            let lag = current.health.lagNanoseconds
            return exceeds(lag, limit) ? ["\(description): \(Self.text(nanoseconds: lag))"] : []
        default: return []
        }
    }

    /// Why it never tells anything in this session, if so.
    package func blindness(in snapshot: Snapshot) -> String? {
        guard case .states(let states) = subject, !states.contains(where: snapshot.host.sees.tells) else { return nil }
        let missing = snapshot.host.sees.scheduling ? "kvm:kvm_entry and kvm:kvm_exit" : "sched:sched_switch"
        return
            "'\(description)' is never seen: without \(missing) of the host nothing tells that state; record them too"
    }

    private func exceeds<Value: Comparable>(_ value: Value, _ limit: Value) -> Bool {
        isInclusive ? value >= limit : value > limit
    }

    /// Every vCPU that is meant, with its earlier self.
    private func each(
        in previous: Snapshot?, _ current: Snapshot, _ body: (Snapshot.VCPU?, Snapshot.VCPU) -> String?
    ) -> [String] {
        var earlier: [Int32: Snapshot.VCPU] = [:]
        for vcpu in previous?.guests.flatMap(\.vcpus) ?? [] {
            if let tid = vcpu.hostTID { earlier[tid] = vcpu }
        }
        var found: [String] = []
        for machine in current.guests where guest == nil || machine.name == guest {
            for cpu in machine.vcpus where vcpu == nil || cpu.vcpu == vcpu {
                guard let excess = body(cpu.hostTID.flatMap { earlier[$0] }, cpu) else { continue }
                found.append("\(description): \(machine.name)/\(cpu.vcpu.map(String.init) ?? "?") \(excess)")
            }
        }
        return found
    }

    /// The longest stretch in one of `states` that ended since `before`, or lasts.
    private static func longest(
        _ states: Set<VCPUState>, _ before: Snapshot.VCPU?, _ now: Snapshot.VCPU, in current: Snapshot
    ) -> Int64 {
        var longest: Int64 = 0
        if states.contains(now.state.state) {
            longest = max(0, current.window.endNanoseconds &- now.sinceNanoseconds)
        }
        // Stretches that began and ended between two looks are known where their maximum and histogram are kept.
        if states.contains(.preempted), states.contains(.waking) {
            longest = max(longest, longestNew(before?.ready, now.ready))
        } else if states.contains(.waking) {
            longest = max(longest, longestNew(before?.wakeUpLatency, now.wakeUpLatency))
        } else if states.contains(.preempted),
            now.worstPreemptionNanoseconds > before?.worstPreemptionNanoseconds ?? 0
        {
            longest = max(longest, now.worstPreemptionNanoseconds)
        }
        return longest
    }

    /// The longest of those that came since: exactly when it is the longest ever, otherwise the lower end of its step.
    private static func longestNew(_ before: Snapshot.Durations?, _ now: Snapshot.Durations?) -> Int64 {
        guard let now else { return 0 }
        if now.maximumNanoseconds > before?.maximumNanoseconds ?? 0 { return now.maximumNanoseconds }
        let steps = now.countsByPowerOfTwo.indices.reversed()
        let step = steps.first { step in
            let earlier = before?.countsByPowerOfTwo ?? []
            return now.countsByPowerOfTwo[step] > (step < earlier.count ? earlier[step] : 0)
        }
        return step.map { $0 < 62 ? 1 << Int64($0) : .max } ?? 0
    }

    private static func text(nanoseconds: Int64) -> String {
        nanoseconds >= 1_000_000
            ? "\((Double(nanoseconds) / 1e4).rounded() / 100) ms" : "\((Double(nanoseconds) / 10).rounded() / 100) us"
    }
}

extension Substring {
    fileprivate var trimmed: Substring {
        var rest = drop { $0 == " " }
        while rest.last == " " { rest.removeLast() }
        return rest
    }
}
