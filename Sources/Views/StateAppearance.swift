import TraceModel

/// How a state looks: always a word and a shape, so that it can be read without colours, and a style for the eye.
///
/// Filled shapes are on a CPU or stuck; open ones are on the way. The triangle means "look here", as everywhere else.
extension VCPUState {
    var word: String {
        switch self {
        case .running: "running"
        case .hypervisor: "hypervisor"
        case .userspace: "userspace"
        case .polling: "polling"
        case .preempted: "preempted"
        case .waking: "waking"
        case .halted: "halted"
        case .blocked: "blocked"
        case .onCPU: "on CPU"
        case .unknown: "unknown"
        }
    }

    var glyph: String {
        switch self {
        case .running, .onCPU: "●"
        case .hypervisor: "◆"
        case .userspace: "◇"
        case .polling: "○"
        case .preempted: "▲"
        case .waking: "△"
        case .halted: "·"
        case .blocked: "■"
        case .unknown: "?"
        }
    }

    var style: Style {
        switch self {
        case .running, .onCPU: .running
        case .hypervisor, .userspace, .polling: .hypervisor
        case .preempted, .waking: .ready
        case .halted: .halted
        case .blocked: .blocked
        case .unknown: .unknown
        }
    }
}

/// Where a figure begins to be trouble.
enum Threshold {
    /// Administrators read VMware's ready time per vCPU so: under 5 % is fine, up to 10 % deserves a look, above hurts.
    static let readyNoticePermille = 50
    static let readyAlarmPermille = 100

    static func ready(_ share: Share?) -> Style {
        guard let share else { return .unknown }
        if share.permille > readyAlarmPermille { return .alarm }
        if share.permille >= readyNoticePermille { return .notice }
        return share.isNothing ? .dim : .plain
    }

    /// Shares of guest events in guest mode below which the clock, or the completeness of the host's events, is in doubt.
    static let containmentNotice = 0.999
    static let containmentAlarm = 0.99

    /// A lag beyond which the merge leaves sources behind is trouble; half of it deserves a look.
    static func lag(_ nanoseconds: Int64) -> Style {
        if nanoseconds > Limits.mergeLagNanoseconds { return .alarm }
        return nanoseconds > Limits.mergeLagNanoseconds / 2 ? .notice : .plain
    }
}

/// The sign of trouble, for eyes and terminals without colours.
let alarmGlyph = "▲"

extension Snapshot.Culprit {
    /// `db2/0` for a vCPU, `[kworker/1:2]` for a kernel thread as in ps(1), otherwise the name.
    var label: String {
        switch kind {
        case .vcpu:
            guard let guest else { return name.isEmpty ? Format.unknown : name }
            return "\(guest)/\(vcpu.map(String.init) ?? Format.unknown)"
        case .task: return name.isEmpty ? "tid \(tid)" : name
        case .kernel: return name.hasPrefix("[") ? name : "[\(name)]"
        case .unknown: return name.isEmpty ? "unknown" : name
        }
    }

    func isSame(as other: Snapshot.Culprit) -> Bool {
        kind == other.kind && tid == other.tid && name == other.name && guest == other.guest && vcpu == other.vcpu
    }
}

extension [Snapshot.Culprit] {
    /// With the thread id behind a name that several have: every machine has a `qemu-system-x86`.
    var labels: [String] {
        let counts = Dictionary(map { ($0.label, 1) }, uniquingKeysWith: +)
        return map { culprit in
            let isShared = counts[culprit.label, default: 1] > 1 && culprit.tid > 0
            return isShared ? "\(culprit.label) \(culprit.tid)" : culprit.label
        }
    }
}

extension Snapshot.Guest {
    /// The machine as its vCPUs know it: the agent's own view of the clock when the merged one is missing.
    func clock(in snapshot: Snapshot) -> Snapshot.Clock? { clock ?? agent(in: snapshot)?.clock }

    func agent(in snapshot: Snapshot) -> Snapshot.Source? {
        guard let source, snapshot.sources.indices.contains(source) else { return nil }
        return snapshot.sources[source]
    }
}

extension Snapshot.Clock {
    /// `±83 ns`; for a clock that is not bounded, what is known of it.
    var boundText: String {
        switch quality {
        case "absent": "not mapped yet"
        case "one-sided": "one-sided"
        default: boundNanoseconds < 0 ? "± unknown" : "±" + Format.duration(boundNanoseconds)
        }
    }

    /// Whether times of the guest can be placed among the host's.
    var isBounded: Bool { quality != "absent" && quality != "one-sided" && boundNanoseconds >= 0 }
}
