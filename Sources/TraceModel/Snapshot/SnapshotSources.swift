/// Where the events come from, what was lost on the way, and how their clocks are put on the host's.
extension Snapshot {
    /// One producer of events: the host or a guest's agent.
    package struct Source: Codable, Hashable, Sendable {
        package var name: String
        /// `host` or `guest`.
        package var kind: String
        /// `connecting`, `live`, `late`, `silent`, `drained`, `gone`.
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

        package mutating func add(_ other: Lost) {
            ringBuffer &+= other.ringBuffer
            agent &+= other.agent
            malformed &+= other.malformed
            ofUnknownSize &+= other.ofUnknownSize
        }

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
        /// `absent`, `one-sided`, `estimated` (placed, but nobody knows how well), `bounded`, `exact`.
        package var quality: String
        /// Host time minus guest time, now.
        package var offsetNanoseconds: Int64
        /// How much faster the guest's clock runs, parts per million.
        package var driftPPM: Double
        /// The true time lies within ± this; negative when that is not known.
        package var boundNanoseconds: Int64
        package var epoch: Int
        /// Share of guest events inside `kvm_entry`..`kvm_exit` of their vCPU, 0…1; nil when it cannot be told.
        package var containment: Double?
        /// What the map rests on: `kvm`, `probes`, `entries`, or the name of a given map.
        package var estimators: [String] = []

        package static let unknownBoundNanoseconds: Int64 = -1

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
            case clock, quality, epoch, containment, estimators
            case offsetNanoseconds = "offset_ns"
            case driftPPM = "drift_ppm"
            case boundNanoseconds = "bound_ns"
        }
    }
}
