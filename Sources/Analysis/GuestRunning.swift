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
    /// Before then, the last switch told may not have happened yet: it is closer than the clock's error.
    private var uncertainUntil = Int64.min

    mutating func switched(at time: Int64, boundNanoseconds: Int64) {
        let (until, isTooLate) = time.addingReportingOverflow(boundNanoseconds)
        uncertainUntil = isTooLate ? .max : until
    }

    func isUncertain(at time: Int64) -> Bool { time < uncertainUntil }

    mutating func add(_ time: Int64, uncertain: Int64, of kind: Kind) {
        switch kind {
        case .busy: busy &+= time
        case .idle: idle &+= time
        case .unknown: unknown &+= time
        }
        if kind != .unknown { self.uncertain &+= uncertain }
    }
}
