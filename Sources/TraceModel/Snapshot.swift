/// The state of everything at one instant, as values: what every view renders, and exactly what `--format json` prints.
///
/// All counters and times are totals since the start of the window; rates are differences of two snapshots. Field names
/// are stable: they may be added to, never renamed. `schema` changes only when a reader would have to.
package struct Snapshot: Codable, Hashable, Sendable {
    package var schema = 1
    package var window: Window
    package var health: Health
    package var sources: [Source]
    package var host: Host
    package var guests: [Guest]

    package init(
        window: Window, health: Health = Health(), sources: [Source] = [], host: Host = Host(), guests: [Guest] = []
    ) {
        self.window = window
        self.health = health
        self.sources = sources
        self.host = host
        self.guests = guests
    }

    /// The analyzed stretch of host trace-clock time.
    package struct Window: Codable, Hashable, Sendable {
        package var startNanoseconds: Int64
        package var endNanoseconds: Int64

        package init(startNanoseconds: Int64, endNanoseconds: Int64) {
            self.startNanoseconds = startNanoseconds
            self.endNanoseconds = endNanoseconds
        }

        enum CodingKeys: String, CodingKey {
            case startNanoseconds = "start_ns"
            case endNanoseconds = "end_ns"
        }
    }

    /// What may not scroll away.
    package struct Health: Codable, Hashable, Sendable {
        /// How far the analyzed time lies behind the host's trace clock.
        package var lagNanoseconds: Int64 = 0
        package var eventsLost: UInt64 = 0
        /// Losses whose size the kernel did not tell: then `eventsLost` is a lower bound.
        package var lossesOfUnknownSize: UInt64 = 0
        package var anomalies: [AnomalyCount] = []
        /// Plain sentences on what this session cannot know and why ("no kvm events: …").
        package var limits: [String] = []

        package init() {}

        enum CodingKeys: String, CodingKey {
            case lagNanoseconds = "lag_ns"
            case eventsLost = "events_lost"
            case lossesOfUnknownSize = "losses_of_unknown_size"
            case anomalies, limits
        }
    }

    package struct AnomalyCount: Codable, Hashable, Sendable {
        package var name: String
        package var count: UInt64

        package init(name: String, count: UInt64) {
            self.name = name
            self.count = count
        }
    }

    /// One producer of events: the host or a guest's agent.
    package struct Source: Codable, Hashable, Sendable {
        package var name: String
        /// `host` or `guest`.
        package var kind: String
        /// `connecting`, `live`, `late`, `drained`, `gone`.
        package var state: String
        package var endpoint: String?
        package var events: UInt64 = 0
        /// Bytes received on the wire (0 for the host).
        package var bytes: UInt64 = 0
        package var lost: Lost = Lost()
        package var lateEvents: UInt64 = 0
        /// CPU time the producer itself used, nanoseconds.
        package var producerCPUNanoseconds: UInt64 = 0
        package var cpus: Int = 0
        package var clock: Clock?

        package init(name: String, kind: String, state: String) {
            self.name = name
            self.kind = kind
            self.state = state
        }

        enum CodingKeys: String, CodingKey {
            case name, kind, state, endpoint, events, bytes, lost
            case lateEvents = "late_events"
            case producerCPUNanoseconds = "producer_cpu_ns"
            case cpus, clock
        }
    }

    /// Events lost, by where they were lost.
    package struct Lost: Codable, Hashable, Sendable {
        package var ringBuffer: UInt64 = 0
        package var agent: UInt64 = 0
        package var malformed: UInt64 = 0
        /// Losses whose size the kernel did not tell.
        package var ofUnknownSize: UInt64 = 0

        package init() {}

        package var total: UInt64 { ringBuffer &+ agent &+ malformed }

        enum CodingKeys: String, CodingKey {
            case ringBuffer = "ring_buffer"
            case agent, malformed
            case ofUnknownSize = "of_unknown_size"
        }
    }

    /// How a source's ticks are mapped to host time now: `host = ticks * rate + offset ± bound`.
    package struct Clock: Codable, Hashable, Sendable {
        /// The trace clock of the source.
        package var clock: String
        /// `absent`, `one-sided`, `bounded`, `exact`.
        package var quality: String
        /// Host time minus guest time, now.
        package var offsetNanoseconds: Int64
        /// How much faster the guest's clock runs, parts per million.
        package var driftPPM: Double
        /// The true time lies within ± this.
        package var boundNanoseconds: Int64
        package var epoch: Int
        /// Share of guest events inside `kvm_entry`..`kvm_exit` of their vCPU, 0…1; nil when it cannot be told.
        package var containment: Double?

        package init(
            clock: String, quality: String, offsetNanoseconds: Int64, driftPPM: Double, boundNanoseconds: Int64,
            epoch: Int, containment: Double? = nil
        ) {
            self.clock = clock
            self.quality = quality
            self.offsetNanoseconds = offsetNanoseconds
            self.driftPPM = driftPPM
            self.boundNanoseconds = boundNanoseconds
            self.epoch = epoch
            self.containment = containment
        }

        enum CodingKeys: String, CodingKey {
            case clock, quality, epoch, containment
            case offsetNanoseconds = "offset_ns"
            case driftPPM = "drift_ppm"
            case boundNanoseconds = "bound_ns"
        }
    }

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
            case cpu, task, tid, switches
            case busyNanoseconds = "busy_ns"
            case unknownNanoseconds = "unknown_ns"
        }
    }

    /// One virtual machine.
    package struct Guest: Codable, Hashable, Sendable {
        package var name: String
        package var vmmPID: Int32?
        package var vmm: String?
        /// Index in `sources` of the agent inside; nil when the machine is seen from the host only.
        package var source: Int?
        package var clock: Clock?
        package var vcpus: [VCPU]

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
        }
    }

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

    /// Who had the CPU while a ready vCPU waited for it.
    package struct Culprit: Codable, Hashable, Sendable {
        package enum Kind: String, Codable, Hashable, Sendable {
            /// A vCPU of this or another machine.
            case vcpu
            /// A user-space thread of the host.
            case task
            /// A kernel thread, or the idle task (the wake-up's own latency).
            case kernel
            /// Not known: events were lost, or the list was full.
            case unknown
        }

        package var kind: Kind
        package var name: String
        package var tid: Int32
        /// The machine, when `kind` is `vcpu`.
        package var guest: String?
        package var vcpu: Int?
        /// Ready intervals in which it had the CPU at some time.
        package var count: UInt64
        package var nanoseconds: Int64

        package init(
            kind: Kind, name: String, tid: Int32, guest: String? = nil, vcpu: Int? = nil, count: UInt64,
            nanoseconds: Int64
        ) {
            self.kind = kind
            self.name = name
            self.tid = tid
            self.guest = guest
            self.vcpu = vcpu
            self.count = count
            self.nanoseconds = nanoseconds
        }

        enum CodingKeys: String, CodingKey {
            case kind, name, tid, guest, vcpu, count
            case nanoseconds = "time_ns"
        }
    }

    /// Exits of one reason.
    package struct Exit: Codable, Hashable, Sendable {
        package var reason: String
        package var count: UInt64
        /// Time on a host CPU from the exit until the next entry; not the time in which the thread was switched out.
        package var nanoseconds: Int64

        package init(reason: String, count: UInt64, nanoseconds: Int64) {
            self.reason = reason
            self.count = count
            self.nanoseconds = nanoseconds
        }

        enum CodingKeys: String, CodingKey {
            case reason, count
            case nanoseconds = "time_ns"
        }
    }
}
