/// The host's own CPUs.
extension Snapshot {
    package struct Host: Codable, Hashable, Sendable {
        package var cpus: [CPU] = []
        package var sees = Sight()

        package init() {}

        package init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            cpus = try container.decode([CPU].self, forKey: .cpus)
            // Snapshots of an earlier collector do not have it.
            sees = try container.decodeIfPresent(Sight.self, forKey: .sees) ?? Sight()
        }
    }

    /// What the events that the host sends can tell at all. What they cannot is unknown, and not zero.
    package struct Sight: Codable, Hashable, Sendable {
        /// `kvm_entry` and `kvm_exit`: guest code is told from the hypervisor.
        package var guestMode = true
        /// `sched_switch`: who has a CPU, and who waits for it.
        package var scheduling = true

        package init() {}

        /// Whether a vCPU's time in a state is a figure. A state that cannot be told has no time, which does not mean that
        /// the vCPU never was in it: its time is counted in another one.
        package func tells(_ state: VCPUState) -> Bool {
            switch state {
            case .running, .hypervisor, .userspace, .polling, .halted: guestMode
            case .preempted, .waking, .blocked: scheduling
            case .onCPU, .unknown: true
            }
        }

        enum CodingKeys: String, CodingKey {
            case guestMode = "guest_mode"
            case scheduling
        }
    }

    /// One CPU of the host.
    package struct CPU: Codable, Hashable, Sendable {
        package var cpu: Int
        /// Name of the task on it; empty when not yet seen.
        package var task: String
        package var tid: Int32
        /// Time with a task other than the idle task.
        package var busyNanoseconds: Int64
        /// Time in which it was not known what ran.
        package var unknownNanoseconds: Int64
        /// Context switches seen.
        package var switches: UInt64
        /// When the task on it is a vCPU's thread: index in `guests`, and the vCPU's number. Whether guest code executes
        /// says that vCPU's state.
        package var guest: Int?
        package var vcpu: Int?

        package init(
            cpu: Int, task: String, tid: Int32, busyNanoseconds: Int64, unknownNanoseconds: Int64, switches: UInt64
        ) {
            self.cpu = cpu
            self.task = task
            self.tid = tid
            self.busyNanoseconds = busyNanoseconds
            self.unknownNanoseconds = unknownNanoseconds
            self.switches = switches
        }

        enum CodingKeys: String, CodingKey {
            case cpu, task, tid, switches, guest, vcpu
            case busyNanoseconds = "busy_ns"
            case unknownNanoseconds = "unknown_ns"
        }
    }
}
