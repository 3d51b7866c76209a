import TraceModel

/// A column of the live table: its title, its room, and how long it is kept when the terminal is narrow.
///
/// The words are those of esxtop, top and htop, because that is what administrators have in their fingers. The time
/// columns (%RUN … %UNK) exclude each other and add up to 100.
package enum TopColumn: String, CaseIterable, Hashable, Sendable {
    case machine
    case vcpu
    case tid
    case cpu
    case state
    case duration
    case detail
    case task
    case running
    case hypervisor
    case onCPU
    case ready
    case halted
    case blocked
    case unknown
    case preemptionRate
    case preemptions
    case worst
    case culprit
    case exitRate
    case strip

    /// Those by which rows can be ordered.
    package static let sortable = allCases.filter { $0 != .strip }

    package var title: String {
        switch self {
        case .machine: "VM"
        case .vcpu: "VCPU"
        case .tid: "TID"
        case .cpu: "CPU"
        case .state: "STATE"
        case .duration: "FOR"
        case .detail: "DETAIL"
        case .task: "TASK"
        case .running: "%RUN"
        case .hypervisor: "%HYP"
        case .onCPU: "%CPU"
        case .ready: "%RDY"
        case .halted: "%HALT"
        case .blocked: "%BLK"
        case .unknown: "%UNK"
        case .preemptionRate: "PREEMPT/s"
        case .preemptions: "PREEMPTIONS"
        case .worst: "WORST"
        case .culprit: "TOP CULPRIT"
        case .exitRate: "EXITS/s"
        case .strip: "WHERE TIME GOES"
        }
    }

    /// Some columns say of a machine what they cannot say of a vCPU.
    func title(_ grouping: TopOptions.Grouping) -> String {
        guard grouping == .machines else { return title }
        switch self {
        case .vcpu: return "CPUS"
        case .tid: return "PID"
        case .state: return "STATES"
        case .detail: return "CLOCK"
        default: return title
        }
    }

    /// For the help: what the figure says and where it comes from.
    func meaning(_ grouping: TopOptions.Grouping) -> String {
        guard grouping == .machines else { return meaning }
        switch self {
        case .vcpu: return "how many virtual CPUs it has"
        case .tid: return "the process that is its monitor (QEMU, Firecracker)"
        case .state: return "how many of its vCPUs are in which state now"
        case .detail: return "how far its events may be from their true time"
        case .worst: return "the longest single wait of one of its vCPUs since the start"
        default: return meaning
        }
    }

    private var meaning: String {
        switch self {
        case .machine: "the virtual machine"
        case .vcpu: "number of the virtual CPU inside its machine"
        case .tid: "the host thread that is this vCPU"
        case .cpu: "the host CPU on which it is, or waits"
        case .state: "what it does now"
        case .duration: "for how long"
        case .detail: "the exit reason; who has the CPU while it is ready"
        case .task: "the task inside the guest (its agent tells)"
        case .running: "guest code executes"
        case .hypervisor: "on a host CPU in KVM, in the VMM, or polling for a wake-up"
        case .onCPU: "on a host CPU; no kvm event tells guest code from hypervisor"
        case .ready: "could run and has no host CPU: preempted, or woken and waiting"
        case .halted: "idle: the guest asked to sleep"
        case .blocked: "asleep for another reason: host I/O, a page fault, a lock"
        case .unknown: "events were lost, or none has told yet"
        case .preemptionRate: "how often another thread took its CPU, per second"
        case .preemptions: "the same since the start"
        case .worst: "the longest single wait after a preemption since the start"
        case .culprit: "who had its CPU longest while it waited; (in brackets) not in this interval"
        case .exitRate: "exits from guest code, per second"
        case .strip: "%RUN ▓, %HYP ▒, %RDY █, %HALT ░, %BLK │, %UNK ? as a strip"
        }
    }

    var alignment: Line.Alignment {
        switch self {
        case .machine, .state, .detail, .task, .culprit, .strip: .left
        default: .right
        }
    }

    /// Numbers are of interest from the top, names from the bottom.
    var descendsFirst: Bool {
        switch self {
        case .machine, .vcpu, .tid, .cpu, .state, .detail, .task, .culprit: false
        default: true
        }
    }

    /// A width holds the title with its sort arrow. Of a grouped table everything up to TASK fits into 80 columns, up to
    /// %UNK into 120, all figures into 161, and the strip into 177.
    var layout: TableLayout.Column {
        switch self {
        case .machine: .init(minimum: 8, maximum: 20, rank: 0)
        case .vcpu: .init(minimum: 5, maximum: 5, rank: 0)
        case .state: .init(minimum: 12, maximum: 12, rank: 0)
        case .running, .hypervisor, .onCPU, .ready: .init(minimum: 5, maximum: 5, rank: 1)
        case .halted: .init(minimum: 6, maximum: 6, rank: 2)
        case .worst: .init(minimum: 7, maximum: 7, rank: 3)
        case .culprit: .init(minimum: 14, maximum: 26, rank: 3)
        case .task: .init(minimum: 11, maximum: 16, rank: 4)
        case .preemptionRate: .init(minimum: 10, maximum: 10, rank: 5)
        case .duration: .init(minimum: 7, maximum: 7, rank: 6)
        case .detail: .init(minimum: 14, maximum: 26, rank: 7)
        case .unknown: .init(minimum: 5, maximum: 5, rank: 8)
        case .cpu: .init(minimum: 4, maximum: 4, rank: 9)
        case .blocked: .init(minimum: 5, maximum: 5, rank: 10)
        case .exitRate: .init(minimum: 8, maximum: 8, rank: 11)
        case .preemptions: .init(minimum: 12, maximum: 12, rank: 12)
        case .tid: .init(minimum: 7, maximum: 7, rank: 13)
        case .strip: .init(minimum: 15, maximum: 40, rank: 14)
        }
    }

    /// The columns that make sense for what was seen, from left to right. A column of which every figure would be
    /// unknown is left out; `health.limits` says why.
    static func columns(for evidence: Evidence, _ grouping: TopOptions.Grouping, showsOnCPU: Bool) -> [TopColumn] {
        allCases.filter { column in
            switch column {
            case .machine: grouping != .grouped
            case .task: evidence.hasAgents && grouping != .machines
            case .cpu, .duration: grouping != .machines
            case .detail: grouping != .machines || evidence.hasAgents
            case .running, .hypervisor: evidence.hasKVMEvents
            case .exitRate: evidence.hasExits
            case .onCPU: !evidence.hasKVMEvents || showsOnCPU
            default: true
            }
        }
    }
}
