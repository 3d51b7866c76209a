/// What a virtual CPU is doing. The states exclude each other, and their times add up to wall time.
package enum VCPUState: UInt8, CaseIterable, Sendable, Hashable, Codable {
    /// Guest code executes. Enters on `kvm_entry`.
    case running = 0
    /// On a host CPU; the host kernel handles an exit.
    case hypervisor
    /// On a host CPU, in the VMM process's own code (device emulation).
    case userspace
    /// On a host CPU after an HLT exit, spinning for a wake-up before it sleeps (KVM halt polling).
    case polling
    /// Ready and not running: another thread took the CPU (`sched_switch` with `prev_state` R or R+).
    case preempted
    /// Ready and not running: woken, waits for a host CPU.
    case waking
    /// Sleeps because the guest asked for it (HLT, MWAIT, WFI).
    case halted
    /// Sleeps for another reason: host I/O, a page fault, a lock.
    case blocked
    /// On a host CPU, and no `kvm` events tell guest code from hypervisor.
    case onCPU
    /// Events were lost, or none has told yet.
    case unknown

    /// The key in JSON, CSV and metrics.
    package var label: String {
        switch self {
        case .running: "running"
        case .hypervisor: "hypervisor"
        case .userspace: "userspace"
        case .polling: "polling"
        case .preempted: "preempted"
        case .waking: "waking"
        case .halted: "halted"
        case .blocked: "blocked"
        case .onCPU: "on_cpu"
        case .unknown: "unknown"
        }
    }

    package init?(label: String) {
        guard let state = VCPUState.allCases.first(where: { $0.label == label }) else { return nil }
        self = state
    }

    /// Runnable without a host CPU: what esxtop calls RDY and a guest sees as steal.
    package var isReady: Bool { self == .preempted || self == .waking }

    /// The vCPU's thread occupies a host CPU.
    package var occupiesCPU: Bool {
        switch self {
        case .running, .hypervisor, .userspace, .polling, .onCPU: true
        case .preempted, .waking, .halted, .blocked, .unknown: false
        }
    }
}

/// Nanoseconds per state. Sums wrap: a snapshot can come from a file.
package struct StateTimes: Hashable, Sendable, Codable {
    @usableFromInline var nanoseconds: [Int64]

    package init() { nanoseconds = [Int64](repeating: 0, count: VCPUState.allCases.count) }

    @inlinable
    package subscript(_ state: VCPUState) -> Int64 {
        get { nanoseconds[Int(state.rawValue)] }
        set { nanoseconds[Int(state.rawValue)] = newValue }
    }

    /// Wall time, by the law that the states sum to it.
    package var total: Int64 { nanoseconds.reduce(0, &+) }

    package static func - (a: StateTimes, b: StateTimes) -> StateTimes {
        var result = a
        for index in result.nanoseconds.indices { result.nanoseconds[index] &-= b.nanoseconds[index] }
        return result
    }

    private struct Key: CodingKey {
        var stringValue: String
        var intValue: Int? { nil }
        init(_ state: VCPUState) { stringValue = state.label }
        init?(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    package init(from decoder: any Decoder) throws {
        self.init()
        let container = try decoder.container(keyedBy: Key.self)
        for state in VCPUState.allCases {
            self[state] = try container.decodeIfPresent(Int64.self, forKey: Key(state)) ?? 0
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        for state in VCPUState.allCases { try container.encode(self[state], forKey: Key(state)) }
    }
}
