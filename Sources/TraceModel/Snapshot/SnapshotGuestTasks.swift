/// The victims: threads inside a guest, as their own scheduler sees them and as the host knows better.
extension Snapshot {
    /// One thread of a guest.
    ///
    /// The guest believes that it ran for `believedNanoseconds`. In truth only `times.running` of that was spent in guest
    /// mode; of the rest it was robbed, and `times` says by what.
    package struct GuestTask: Codable, Hashable, Sendable {
        /// Thread id inside the guest.
        package var tid: Int32
        package var name: String
        /// The vCPU on which it is, or was last.
        package var vcpu: Int?
        /// It is current there now.
        package var isCurrent: Bool
        /// Time in which the guest had it on a vCPU, by what that vCPU really did.
        package var times: StateTimes
        /// Parts of `times` in hypervisor, userspace, polling, halted and blocked by exit reason, largest first; at most
        /// `Limits.exitReasonsPerTask`, the rest summed up as `other`.
        package var robbedBy: [TaskExit]
        /// Times that it came onto a vCPU.
        package var switches: UInt64
        package var migrations: UInt64
        /// The longest stretch in which it was current and its vCPU outside of guest mode, and when that began.
        package var worstRobbedNanoseconds: Int64
        package var worstRobbedAtNanoseconds: Int64
        /// Part of `times` that may be another task's: the guest's switch and what its vCPU did lie closer to each other than
        /// the clock's bound.
        package var uncertainNanoseconds: Int64

        package init(
            tid: Int32, name: String, vcpu: Int? = nil, isCurrent: Bool = false, times: StateTimes = StateTimes(),
            robbedBy: [TaskExit] = [], switches: UInt64 = 0, migrations: UInt64 = 0, worstRobbedNanoseconds: Int64 = 0,
            worstRobbedAtNanoseconds: Int64 = 0, uncertainNanoseconds: Int64 = 0
        ) {
            self.tid = tid
            self.name = name
            self.vcpu = vcpu
            self.isCurrent = isCurrent
            self.times = times
            self.robbedBy = robbedBy
            self.switches = switches
            self.migrations = migrations
            self.worstRobbedNanoseconds = worstRobbedNanoseconds
            self.worstRobbedAtNanoseconds = worstRobbedAtNanoseconds
            self.uncertainNanoseconds = uncertainNanoseconds
        }

        /// On-CPU time as the guest believes it.
        package var believedNanoseconds: Int64 { times.total }

        /// Of that, the time in which its vCPU is known to have been outside of guest mode.
        package var robbedNanoseconds: Int64 {
            times.total &- times[.running] &- times[.onCPU] &- times[.unknown]
        }

        enum CodingKeys: String, CodingKey {
            case tid, name, vcpu, switches, migrations
            case isCurrent = "current"
            case times = "time_ns"
            case robbedBy = "robbed_by"
            case worstRobbedNanoseconds = "worst_robbed_ns"
            case worstRobbedAtNanoseconds = "worst_robbed_at_ns"
            case uncertainNanoseconds = "uncertain_ns"
        }
    }

    /// Time that exits of one reason took from a guest task.
    package struct TaskExit: Codable, Hashable, Sendable {
        package var reason: String
        package var nanoseconds: Int64

        package init(reason: String, nanoseconds: Int64) {
            self.reason = reason
            self.nanoseconds = nanoseconds
        }

        enum CodingKeys: String, CodingKey {
            case reason
            case nanoseconds = "time_ns"
        }
    }
}
