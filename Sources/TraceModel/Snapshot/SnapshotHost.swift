/// The host's own CPUs.
extension Snapshot {
    package struct Host: Codable, Hashable, Sendable {
        package var cpus: [CPU] = []

        package init() {}
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
