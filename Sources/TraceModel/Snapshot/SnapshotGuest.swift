/// Virtual machines.
extension Snapshot {
    /// One virtual machine.
    package struct Guest: Codable, Hashable, Sendable {
        package var name: String
        package var vmmPID: Int32?
        package var vmm: String?
        /// Index in `sources` of the agent inside; nil when the machine is seen from the host only.
        package var source: Int?
        package var clock: Clock?
        package var vcpus: [VCPU]
        /// Translated in user space (QEMU TCG): it has no guest mode to be seen in, its vCPUs are `on_cpu`.
        package var isEmulated = false
        /// Who had the CPU while any of its vCPUs waited, by time, largest first; at most `Limits.culpritsPerGuest`, the
        /// rest summed up as `other`.
        package var culprits: [Culprit] = []
        /// The same time by machine: this guest's row of the matrix, largest first; the cells sum to the ready time.
        package var takenBy: [Taken] = []
        /// Its tasks by time on a vCPU, largest first; at most `Limits.tasksPerGuestShown`, the rest summed up in a row
        /// with thread id -1 and the name `others`. Without the idle tasks; empty without its own `sched_switch` events.
        package var tasks: [GuestTask] = []
        /// Events of the guest were lost: its tasks' times and counters are lower bounds.
        package var hasTaskGaps = false
        /// Moves of its tasks from one vCPU to another.
        package var taskMigrations: UInt64 = 0
        /// How its events and their effects on the host lie to each other; of the events that it sends.
        package var causality: [CausalPair] = []

        package init(
            name: String, vmmPID: Int32? = nil, vmm: String? = nil, source: Int? = nil, clock: Clock? = nil,
            vcpus: [VCPU] = []
        ) {
            self.name = name
            self.vmmPID = vmmPID
            self.vmm = vmm
            self.source = source
            self.clock = clock
            self.vcpus = vcpus
        }

        enum CodingKeys: String, CodingKey {
            case name, vmm, source, clock, vcpus
            case vmmPID = "vmm_pid"
            case isEmulated = "emulated"
            case culprits
            case takenBy = "taken_by"
            case tasks, causality
            case taskMigrations = "task_migrations"
            case hasTaskGaps = "task_lower_bounds"
        }
    }

    /// Something that a guest does, and the exit that shows it: a check of its clock that needs no clock.
    package struct CausalPair: Codable, Hashable, Sendable {
        package var cause: String
        package var effect: String
        /// Effects that came right after their causes.
        package var count: UInt64
        /// Causes that are placed behind their effects by more than the clock's bound: the map is wrong.
        package var violations: UInt64
        /// By less.
        package var excused: UInt64
        /// From cause to effect.
        package var leastNanoseconds: Int64?
        package var p50Nanoseconds: Int64?
        package var p99Nanoseconds: Int64?

        package init(
            cause: String, effect: String, count: UInt64, violations: UInt64, excused: UInt64,
            leastNanoseconds: Int64? = nil, p50Nanoseconds: Int64? = nil, p99Nanoseconds: Int64? = nil
        ) {
            self.cause = cause
            self.effect = effect
            self.count = count
            self.violations = violations
            self.excused = excused
            self.leastNanoseconds = leastNanoseconds
            self.p50Nanoseconds = p50Nanoseconds
            self.p99Nanoseconds = p99Nanoseconds
        }

        enum CodingKeys: String, CodingKey {
            case cause, effect, count, violations, excused
            case leastNanoseconds = "min_ns"
            case p50Nanoseconds = "p50_ns"
            case p99Nanoseconds = "p99_ns"
        }
    }
}
