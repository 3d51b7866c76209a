import TraceModel

/// Time that one vCPU spent in guest mode, by what its guest had current.
struct GuestRunning: Sendable, Codable {
    enum Kind: Sendable, Codable {
        case busy, idle, unknown
    }

    private(set) var busy: Int64 = 0
    private(set) var idle: Int64 = 0
    private(set) var unknown: Int64 = 0
    private(set) var uncertain: Int64 = 0
    var isUncertainNow = false

    mutating func add(_ piece: Overlay, of kind: Kind) {
        let time = piece.times[Int(VCPUState.running.rawValue)] &+ piece.times[Int(VCPUState.onCPU.rawValue)]
        switch kind {
        case .busy: busy &+= time
        case .idle: idle &+= time
        case .unknown: unknown &+= time
        }
        if kind != .unknown { uncertain &+= piece.uncertain }
    }
}
