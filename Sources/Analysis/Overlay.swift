import TraceModel

/// What one vCPU really did while one task of its guest was current on it: Trace Compass's overlay, as numbers.
///
/// The vCPU's own transitions and the guest's switches cut its time into pieces of one state and one task. Pieces follow
/// one another without a gap, so that the times of all tasks of a guest, the idle ones included, add up to wall time. A
/// guest cannot change a state or its time: it only decides to whom the time is given.
struct Overlay: Sendable, Codable {
    /// Up to here everything is given to a task.
    private(set) var since: Int64
    private(set) var times: [10 of Int64] = .init(repeating: 0)
    var exits = TaskExits()
    /// The stretch outside of guest mode that goes on, and the longest that is over.
    private var robbedSince: Int64 = 0
    private var robbed: Int64 = 0
    private(set) var worst: Int64 = 0
    private(set) var worstAt: Int64 = 0
    /// Time on one side of the border of guest mode, between a switch that the guest told and that border, and shorter than the
    /// clock's error: it may be the other task's. Inside of guest mode, and outside.
    private(set) var uncertainInside: Int64 = 0
    private(set) var uncertainOutside: Int64 = 0
    private var side = Side.unknown
    /// Time on this side since the border, or since the switch behind it.
    private var stretch: Int64 = 0
    private var beginsWithSwitch = false
    /// Of the last switch.
    private(set) var bound: Int64 = 0

    private enum Side: UInt8, Codable {
        case inside, outside, unknown
    }

    init(since: Int64) { self.since = since }

    /// The vCPU leaves `state` at `time`, or a look is taken at what goes on.
    mutating func left(_ state: VCPUState, at time: Int64, exit: ExitCode?) { book(state, until: time, exit: exit) }

    /// The guest switches tasks at `time` ± `bound`: what was gathered is the former task's, until `begin`.
    mutating func switched(in state: VCPUState, at time: Int64, exit: ExitCode?, bound: Int64) {
        book(state, until: time, exit: exit)
        endStretch(withSwitch: true, bound: bound)
        closeRobbery()
        self.bound = bound
    }

    /// The next task's piece.
    mutating func begin() {
        for state in 0..<10 { times[state] = 0 }
        exits.removeAll()
        worst = 0
        worstAt = 0
        uncertainInside = 0
        uncertainOutside = 0
        beginsWithSwitch = true
    }

    /// Time on a CPU, as far as that can be told from the guest's own time.
    @inline(__always)
    var inside: Int64 { times[Int(VCPUState.running.rawValue)] &+ times[Int(VCPUState.onCPU.rawValue)] }

    /// As it would be if the present task left now.
    func closed(in state: VCPUState, at time: Int64, exit: ExitCode?) -> Overlay {
        var copy = self
        copy.left(state, at: time, exit: exit)
        copy.endStretch(withSwitch: false, bound: bound)
        copy.closeRobbery()
        return copy
    }

    private mutating func book(_ state: VCPUState, until time: Int64, exit: ExitCode?) {
        let elapsed = time &- since
        guard elapsed > 0 else { return }
        times[Int(state.rawValue)] &+= elapsed
        let side: Side
        switch state {
        case .hypervisor, .userspace, .polling, .halted, .blocked:
            if let exit { exits.add(elapsed, exit) }
            rob(elapsed)
            side = .outside
        case .preempted, .waking:
            rob(elapsed)
            side = .outside
        case .running, .onCPU:
            if robbed > 0 { closeRobbery() }
            side = .inside
        case .unknown:
            if robbed > 0 { closeRobbery() }
            side = .unknown
        }
        if side != self.side {
            endStretch(withSwitch: false, bound: bound)
            self.side = side
        }
        stretch &+= elapsed
        since = time
    }

    /// Borders of one stretch that both sides told, one each, are as far from each other as it says, give or take the bound.
    private mutating func endStretch(withSwitch isSwitch: Bool, bound: Int64) {
        if stretch > 0 {
            if isSwitch != beginsWithSwitch, stretch < bound {
                switch side {
                case .inside: uncertainInside &+= stretch
                case .outside: uncertainOutside &+= stretch
                case .unknown: break
                }
            }
            beginsWithSwitch = false
        }
        stretch = 0
    }

    private mutating func rob(_ elapsed: Int64) {
        if robbed == 0 { robbedSince = since }
        robbed &+= elapsed
    }

    private mutating func closeRobbery() {
        if robbed > worst {
            worst = robbed
            worstAt = robbedSince
        }
        robbed = 0
    }
}

/// Time by exit reason, for the few reasons that one task meets.
struct TaskExits: Sendable, Codable {
    struct Row: Sendable, Codable {
        var exit = ExitCode(reason: 0, isa: .none)
        var nanoseconds: Int64 = 0
    }

    /// `Limits.exitReasonsPerTask`.
    private var rows: [8 of Row] = .init(repeating: Row())
    private(set) var count = 0
    private(set) var otherNanoseconds: Int64 = 0

    subscript(_ index: Int) -> Row { rows[index] }

    mutating func add(_ nanoseconds: Int64, _ exit: ExitCode) {
        for index in 0..<count where rows[index].exit == exit {
            rows[index].nanoseconds &+= nanoseconds
            return
        }
        guard count < rows.count else {
            otherNanoseconds &+= nanoseconds
            return
        }
        rows[count] = Row(exit: exit, nanoseconds: nanoseconds)
        count += 1
    }

    mutating func removeAll() {
        count = 0
        otherNanoseconds = 0
    }

    mutating func add(_ more: inout TaskExits) {
        for index in 0..<more.count { add(more[index].nanoseconds, more[index].exit) }
        otherNanoseconds &+= more.otherNanoseconds
    }
}
