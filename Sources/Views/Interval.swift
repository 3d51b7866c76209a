package import TraceModel

/// What happened between two snapshots of one session: every rate and percentage of the views.
///
/// Counters of a snapshot are totals, so a rate is a difference. Without an earlier snapshot, or with one of another
/// session, the interval is the whole window. A vCPU is recognized by its host thread, because its number and its
/// machine's name may be learned later; one that is new since the earlier snapshot did everything in between. Snapshots
/// can come from a file, so nothing here traps on their numbers.
struct Interval {
    let nanoseconds: Int64
    /// The interval begins with the window.
    let isWholeWindow: Bool
    let previous: Snapshot?
    private var vcpus: [VCPUKey: Snapshot.VCPU] = [:]
    private var cpus: [Int: Snapshot.CPU] = [:]
    private var guests: [GuestKey: Snapshot.Guest] = [:]

    init(from previous: Snapshot?, to current: Snapshot) {
        let usable =
            previous.flatMap {
                $0.window.startNanoseconds == current.window.startNanoseconds
                    && $0.window.endNanoseconds <= current.window.endNanoseconds ? $0 : nil
            }
        self.previous = usable
        isWholeWindow = usable == nil
        nanoseconds = Interval.difference(
            current.window.endNanoseconds, usable?.window.endNanoseconds ?? current.window.startNanoseconds)
        for guest in usable?.guests ?? [] {
            guests[GuestKey(guest)] = guest
            for vcpu in guest.vcpus { vcpus[VCPUKey(vcpu, of: guest)] = vcpu }
        }
        for cpu in usable?.host.cpus ?? [] { cpus[cpu.cpu] = cpu }
    }

    /// Never negative: what goes back was counted anew.
    static func difference(_ later: Int64, _ earlier: Int64) -> Int64 {
        let (difference, overflow) = later.subtractingReportingOverflow(earlier)
        if overflow { return later < earlier ? 0 : .max }
        return max(0, difference)
    }

    func before(_ vcpu: Snapshot.VCPU, of guest: Snapshot.Guest) -> Snapshot.VCPU? { vcpus[VCPUKey(vcpu, of: guest)] }

    func before(_ guest: Snapshot.Guest) -> Snapshot.Guest? { guests[GuestKey(guest)] }

    func before(_ cpu: Snapshot.CPU) -> Snapshot.CPU? { cpus[cpu.cpu] }

    /// The earlier state of `sources[index]`. Names alone do not tell clones apart, so its place is asked first.
    func before(_ source: Snapshot.Source, at index: Int) -> Snapshot.Source? {
        guard let previous else { return nil }
        func isSame(_ other: Snapshot.Source) -> Bool {
            other.name == source.name && other.kind == source.kind && other.endpoint == source.endpoint
        }
        if previous.sources.indices.contains(index), isSame(previous.sources[index]) { return previous.sources[index] }
        return previous.sources.first(where: isSame)
    }

    /// Per second; nil when no time passed or the counter went back.
    func rate(_ count: UInt64, since earlier: UInt64) -> Double? {
        guard nanoseconds > 0, count >= earlier else { return nil }
        return Double(count - earlier) / Double(nanoseconds) * 1e9
    }

    /// Events per second of one source.
    func eventRate(_ source: Snapshot.Source, at index: Int) -> Double? {
        rate(source.events, since: before(source, at: index)?.events ?? 0)
    }
}

/// What a vCPU is recognized by in the next snapshot.
package enum VCPUKey: Hashable, Sendable {
    case thread(Int32)
    /// A vCPU of which only guest events came.
    case named(guest: String, vmmPID: Int32?, vcpu: Int?)

    package init(_ vcpu: Snapshot.VCPU, of guest: Snapshot.Guest) {
        if let tid = vcpu.hostTID {
            self = .thread(tid)
        } else {
            self = .named(guest: guest.name, vmmPID: guest.vmmPID, vcpu: vcpu.vcpu)
        }
    }
}

/// What a machine is recognized by in the next snapshot.
package enum GuestKey: Hashable, Sendable {
    case process(Int32)
    /// A machine of which only its agent told.
    case named(String)

    package init(_ guest: Snapshot.Guest) { self = guest.vmmPID.map { .process($0) } ?? .named(guest.name) }
}

/// Time of one vCPU per group of states in an interval. The shares of the groups add up to all of its time.
struct StateShares {
    private var nanoseconds = StateTimes()
    /// Wall time, by the law that the states sum to it.
    private(set) var total: Int64 = 0

    init(from earlier: StateTimes?, to later: StateTimes) {
        for state in VCPUState.allCases {
            let difference = Interval.difference(later[state], earlier?[state] ?? 0)
            nanoseconds[state] = difference
            total = StateShares.sum(total, difference)
        }
    }

    /// All of them together.
    init(sum parts: [StateShares]) {
        for part in parts {
            for state in VCPUState.allCases {
                nanoseconds[state] = StateShares.sum(nanoseconds[state], part.nanoseconds[state])
            }
            total = StateShares.sum(total, part.total)
        }
    }

    func time(_ states: VCPUState...) -> Int64 {
        var time: Int64 = 0
        for state in states { time = StateShares.sum(time, nanoseconds[state]) }
        return time
    }

    private static func sum(_ a: Int64, _ b: Int64) -> Int64 {
        let (sum, overflow) = a.addingReportingOverflow(b)
        return overflow ? .max : sum
    }

    func share(of time: Int64) -> Share? { Share(time, of: total) }

    var running: Int64 { time(.running) }
    /// On a host CPU for the guest's sake, outside of guest code.
    var hypervisor: Int64 { time(.hypervisor, .userspace, .polling) }
    /// On a host CPU; nothing told guest code from hypervisor.
    var onCPU: Int64 { time(.onCPU) }
    var ready: Int64 { time(.preempted, .waking) }
    var halted: Int64 { time(.halted) }
    var blocked: Int64 { time(.blocked) }
    var unknown: Int64 { time(.unknown) }
}

/// What the kernel events of a session can tell at all. Where an event class is missing its figures are not zero but
/// unknown.
struct Evidence: Hashable {
    /// Guest code was told from hypervisor for some vCPU.
    var hasKVMEvents = false
    /// Exits were counted for some vCPU; how long they took is known only with `hasKVMEvents`.
    var hasExits = false
    /// Context switches are seen.
    var hasSchedulerEvents = false
    /// Some machine has an agent inside.
    var hasAgents = false

    init(_ snapshot: Snapshot) {
        let vcpus = snapshot.guests.lazy.flatMap(\.vcpus)
        let split: [VCPUState] = [.running, .hypervisor, .userspace, .polling]
        hasKVMEvents =
            snapshot.host.sees.guestMode
            && vcpus.contains { vcpu in
                vcpu.exitCount > 0 || split.contains { vcpu.times[$0] > 0 || vcpu.state.state == $0 }
            }
        hasExits = hasKVMEvents || vcpus.contains { $0.exitCount > 0 }
        hasSchedulerEvents = snapshot.host.sees.scheduling
        hasAgents = snapshot.guests.contains { $0.source != nil }
    }
}
