/// Virtual CPUs.
extension Snapshot {
    package struct VCPU: Codable, Hashable, Sendable {
        /// Number inside the guest; nil until an event or a thread name told.
        package var vcpu: Int?
        package var hostTID: Int32?
        package var state: VCPUStateLabel
        package var sinceNanoseconds: Int64
        /// Exit reason in hypervisor/userspace/halted, the culprit when ready.
        package var detail: String?
        /// Host CPU on which it is, or waits.
        package var hostCPU: Int?
        /// The guest task current on it, from the guest's own events.
        package var guestTask: String?
        package var guestTID: Int32?
        /// Time per state; their sum is the time since this vCPU is known.
        package var times: StateTimes
        package var preemptions: UInt64 = 0
        package var wakeups: UInt64 = 0
        /// The longest single ready interval that began with a preemption.
        package var worstPreemptionNanoseconds: Int64 = 0
        package var worstPreemptionAtNanoseconds: Int64 = 0
        package var migrations: UInt64 = 0
        package var exitCount: UInt64 = 0
        /// By time taken, largest first; at most `Limits.culpritsPerVCPU`, the rest summed up as `other`.
        package var culprits: [Culprit] = []
        /// By time, largest first.
        package var exits: [Exit] = []
        /// The exit that is handled or slept on; absent in guest mode, and while none is known.
        package var exitReason: String?
        /// Events were lost while this vCPU was followed: its counters are lower bounds, and the time of the gaps is in
        /// `times.unknown`.
        package var isLowerBound = false
        /// Ready intervals, preempted and waking alike: from runnable to running on a host CPU.
        package var ready: Durations?
        /// Of these, the ones that began with a wake-up.
        package var wakeUpLatency: Durations?
        /// Most frequent first; only reasons that occurred.
        package var wakeUpReasons: [WakeUpReason] = []
        package var halts = Halts()
        /// What the guest did with `times.running`; absent without its own `sched_switch` events.
        package var guestRunning: GuestRunning?
        /// Absent without an agent that samples the guest's /proc/stat, and before its second sample.
        package var steal: Steal?

        package init(
            vcpu: Int?, hostTID: Int32?, state: VCPUState, sinceNanoseconds: Int64, times: StateTimes = StateTimes()
        ) {
            self.vcpu = vcpu
            self.hostTID = hostTID
            self.state = VCPUStateLabel(state)
            self.sinceNanoseconds = sinceNanoseconds
            self.times = times
        }

        enum CodingKeys: String, CodingKey {
            case vcpu, state, detail, preemptions, wakeups, migrations, culprits, exits
            case hostTID = "host_tid"
            case sinceNanoseconds = "since_ns"
            case hostCPU = "host_cpu"
            case guestTask = "guest_task"
            case guestTID = "guest_tid"
            case times = "time_ns"
            case worstPreemptionNanoseconds = "worst_preemption_ns"
            case worstPreemptionAtNanoseconds = "worst_preemption_at_ns"
            case exitCount = "exit_count"
            case exitReason = "exit"
            case isLowerBound = "lower_bounds"
            case ready
            case wakeUpLatency = "wakeup_latency"
            case wakeUpReasons = "wakeup_reasons"
            case halts
            case guestRunning = "guest_running"
            case steal
        }
    }

    /// A `VCPUState` that is written as its label.
    package struct VCPUStateLabel: Codable, Hashable, Sendable {
        package var state: VCPUState

        package init(_ state: VCPUState) { self.state = state }

        package init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            let label = try container.decode(String.self)
            guard let state = VCPUState(label: label) else {
                throw DecodingError.dataCorruptedError(in: container, debugDescription: "unknown vCPU state '\(label)'")
            }
            self.state = state
        }

        package func encode(to encoder: any Encoder) throws {
            var container = encoder.singleValueContainer()
            try container.encode(state.label)
        }
    }

    /// Time in guest mode, by what the guest's scheduler said.
    package struct GuestRunning: Codable, Hashable, Sendable {
        /// With a task other than the idle one.
        package var busyNanoseconds: Int64
        /// The idle task: the guest had nothing to do and yet held the CPU (`idle=poll`, ticks, housekeeping).
        package var idleNanoseconds: Int64
        /// No switch told yet, or the guest's events were lost.
        package var unknownNanoseconds: Int64
        /// Part of the two first in which the clock's error may have put a guest's switch on the wrong side of an entry or
        /// exit: the events that decide are closer to each other than the bound.
        package var uncertainNanoseconds: Int64
        /// The guest's last switch is closer to the present than the clock's error: the task before it may still be current.
        package var isUncertainNow: Bool

        package init(
            busyNanoseconds: Int64, idleNanoseconds: Int64, unknownNanoseconds: Int64, uncertainNanoseconds: Int64 = 0,
            isUncertainNow: Bool = false
        ) {
            self.busyNanoseconds = busyNanoseconds
            self.idleNanoseconds = idleNanoseconds
            self.unknownNanoseconds = unknownNanoseconds
            self.uncertainNanoseconds = uncertainNanoseconds
            self.isUncertainNow = isUncertainNow
        }

        enum CodingKeys: String, CodingKey {
            case busyNanoseconds = "busy_ns"
            case idleNanoseconds = "idle_ns"
            case unknownNanoseconds = "unknown_ns"
            case uncertainNanoseconds = "uncertain_ns"
            case isUncertainNow = "uncertain_now"
        }
    }

    /// Steal time three ways, between the agent's first and its last sample.
    package struct Steal: Codable, Hashable, Sendable {
        /// What the guest was told: `steal` of its /proc/stat, in steps of a clock tick (10 ms with USER_HZ = 100).
        package var toldNanoseconds: Int64
        /// What the host measured in the same stretch: ready time, preempted and waking; nil without `sched_switch`. A lower
        /// bound when some of the stretch is unknown.
        package var readyNanoseconds: Int64?
        /// Of the stretch, time in which the host's events do not tell what the vCPU did.
        package var unknownNanoseconds: Int64
        package var fromNanoseconds: Int64
        package var untilNanoseconds: Int64

        package init(
            toldNanoseconds: Int64, readyNanoseconds: Int64?, unknownNanoseconds: Int64 = 0, fromNanoseconds: Int64,
            untilNanoseconds: Int64
        ) {
            self.toldNanoseconds = toldNanoseconds
            self.readyNanoseconds = readyNanoseconds
            self.unknownNanoseconds = unknownNanoseconds
            self.fromNanoseconds = fromNanoseconds
            self.untilNanoseconds = untilNanoseconds
        }

        /// Measured minus told, at least and at most: above zero the guest was told too little.
        package var difference: (least: Int64, most: Int64)? {
            readyNanoseconds.map {
                let least = $0 &- toldNanoseconds
                let (most, isTooLarge) = least.addingReportingOverflow(max(0, unknownNanoseconds))
                return (least, isTooLarge ? .max : most)
            }
        }

        enum CodingKeys: String, CodingKey {
            case toldNanoseconds = "told_ns"
            case readyNanoseconds = "ready_ns"
            case unknownNanoseconds = "unknown_ns"
            case fromNanoseconds = "from_ns"
            case untilNanoseconds = "until_ns"
        }
    }
}
