/// Why vCPUs leave guest mode, and why they wake up.
extension Snapshot {
    /// Exits of one reason.
    package struct Exit: Codable, Hashable, Sendable {
        package var reason: String
        package var count: UInt64
        /// Time on a host CPU from the exit until the next entry; not the time in which the thread was switched out.
        package var nanoseconds: Int64
        /// The same time, one value for every exit that was handled to its end; absent for the row `other`.
        package var handling: Durations?

        package init(reason: String, count: UInt64, nanoseconds: Int64, handling: Durations? = nil) {
            self.reason = reason
            self.count = count
            self.nanoseconds = nanoseconds
            self.handling = handling
        }

        enum CodingKeys: String, CodingKey {
            case reason, count, handling
            case nanoseconds = "time_ns"
        }
    }

    /// Ends of halts (sleeps that the guest asked for, and polls) for one reason.
    package struct WakeUpReason: Codable, Hashable, Sendable {
        package enum Reason: String, Codable, Hashable, Sendable, CaseIterable {
            /// The guest's own clock event device.
            case timer
            /// Another vCPU of the same machine.
            case ipi
            case disk
            case net
            case unknown
        }

        package var reason: Reason
        package var count: UInt64
        /// Time halted or polling that these wake-ups ended.
        package var haltedNanoseconds: Int64

        package init(reason: Reason, count: UInt64, haltedNanoseconds: Int64) {
            self.reason = reason
            self.count = count
            self.haltedNanoseconds = haltedNanoseconds
        }

        enum CodingKeys: String, CodingKey {
            case reason, count
            case haltedNanoseconds = "halted_ns"
        }
    }

    /// How halts ended, and how long KVM polls before it lets the thread sleep.
    package struct Halts: Codable, Hashable, Sendable {
        /// Ended while the thread still polled: the host's CPU was busy all along.
        package var polled: UInt64
        /// The thread slept.
        package var slept: UInt64
        /// The polling limit now, from `kvm_halt_poll_ns`; absent until it changed once.
        package var pollLimitNanoseconds: Int64?

        package init(polled: UInt64 = 0, slept: UInt64 = 0, pollLimitNanoseconds: Int64? = nil) {
            self.polled = polled
            self.slept = slept
            self.pollLimitNanoseconds = pollLimitNanoseconds
        }

        enum CodingKeys: String, CodingKey {
            case polled, slept
            case pollLimitNanoseconds = "poll_limit_ns"
        }
    }
}
