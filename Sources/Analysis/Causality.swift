/// Pairs of events in which the guest does something and its host must see it do so: the clock checked by cause and effect.
///
/// A guest that starts a timer programs its local APIC, and one that goes idle halts: `hrtimer_start` is followed by an
/// exit for a write of an MSR or of the APIC, `cpu_idle` by one for HLT, within a microsecond or less on hardware. Not
/// every cause has its effect: a timer behind an earlier one programs nothing, and an interrupt can come before the halt.
/// But an effect without its cause before it is impossible. So what is counted is how far effects come after their causes,
/// and how often a cause is placed behind its effect: within the clock's bound that is excused, beyond it the map is wrong.
///
/// The events are those that trace-checker compares (De Venuto, Stoyanov); exit reasons from arch/x86/include/uapi/asm/vmx.h
/// and svm.h.
import TraceModel

struct Causality: Sendable, Codable {
    enum Pair: Int, Sendable, Codable, CaseIterable {
        case timer, halt

        func isEffect(_ exit: ExitCode) -> Bool {
            switch self {
            case .halt: exit.isHalt
            case .timer:
                switch exit.isa {
                // MSR_WRITE; APIC_ACCESS and APIC_WRITE of an APIC that is mapped into memory.
                case .vmx: exit.reason == 32 || exit.reason == 44 || exit.reason == 56
                // MSR; AVIC_UNACCELERATED_ACCESS.
                case .svm: exit.reason == 0x7c || exit.reason == 0x402
                case .arm64, .none: false
                }
            }
        }

        var cause: String { self == .timer ? "hrtimer_start" : "cpu_idle" }
        var effect: String { self == .timer ? "APIC" : "HLT" }
    }

    /// What a vCPU's last events leave open.
    struct Pending: Sendable, Codable {
        private var causes: [2 of Int64] = .init(repeating: .min)
        private var lastExit = ExitCode(reason: 0, isa: .none)
        private var exitTime = Int64.min

        /// When the cause came whose effect `exit` is.
        mutating func exited(_ exit: ExitCode, at time: Int64) -> (pair: Pair, cause: Int64)? {
            lastExit = exit
            exitTime = time
            var found: (Pair, Int64)?
            for pair in Pair.allCases {
                if causes[pair.rawValue] != .min, pair.isEffect(exit) { found = (pair, causes[pair.rawValue]) }
                causes[pair.rawValue] = .min
            }
            return found
        }

        /// How long before its cause, told now, the effect came; nil when it is still to come, or need not.
        mutating func caused(_ pair: Pair, at time: Int64, isInside: Bool) -> Int64? {
            guard isInside || exitTime == .min else {
                return pair.isEffect(lastExit) ? max(0, time &- exitTime) : nil
            }
            causes[pair.rawValue] = time
            return nil
        }

        /// Something else of the guest: what it started before programs nothing any more.
        mutating func wentOn() {
            causes[0] = .min
            causes[1] = .min
        }
    }

    private var early: [2 of UInt64] = .init(repeating: 0)
    private var excused: [2 of UInt64] = .init(repeating: 0)
    private var least: [2 of Int64] = .init(repeating: .max)
    private var distances: [Distribution] = [Distribution(.coarse), Distribution(.coarse)]

    mutating func add(_ pair: Pair, cause: Int64, effect: Int64) {
        let distance = effect &- cause
        least[pair.rawValue] = min(least[pair.rawValue], distance)
        distances[pair.rawValue].add(distance, since: cause)
    }

    mutating func addEarly(_ pair: Pair, isExcused: Bool) {
        if isExcused { excused[pair.rawValue] &+= 1 } else { early[pair.rawValue] &+= 1 }
    }

    /// Of the pairs whose events the guest sends.
    var rows: [Snapshot.CausalPair] {
        Pair.allCases.compactMap { pair in
            let place = pair.rawValue
            let summary = distances[place].summary
            guard summary != nil || early[place] > 0 || excused[place] > 0 else { return nil }
            return Snapshot.CausalPair(
                cause: pair.cause, effect: pair.effect, count: summary?.count ?? 0, violations: early[place],
                excused: excused[place], leastNanoseconds: least[place] == .max ? nil : least[place],
                p50Nanoseconds: summary?.p50Nanoseconds, p99Nanoseconds: summary?.p99Nanoseconds)
        }
    }
}

extension Analyzer {
    /// The guest did something that its host will see, or had to see before.
    mutating func caused(
        _ pair: Causality.Pair, by guest: Int, _ slot: Int, at time: Int64, boundNanoseconds: Int64
    ) {
        guard slot >= 0, vcpus[slot].knowsGuestMode else { return }
        let isInside = vcpus[slot].state == .running || vcpus[slot].state == .unknown
        guard let early = vcpus[slot].causes.caused(pair, at: time, isInside: isInside) else { return }
        let isExcused = early <= boundNanoseconds
        guests[guest].causality.addEarly(pair, isExcused: isExcused)
        checks.passed(.causeBeforeEffect)
        if isExcused { checks.excused(.causeBeforeEffect) } else { checks.violated(.causeBeforeEffect) }
    }

    /// A vCPU left guest mode: perhaps what its guest had just caused.
    mutating func effected(_ exit: ExitCode, on slot: Int, at time: Int64) {
        guard let (pair, cause) = vcpus[slot].causes.exited(exit, at: time) else { return }
        guard let guest = guests.lastIndex(where: { $0.machine == vcpus[slot].machine }) else { return }
        checks.passed(.causeBeforeEffect)
        guests[guest].causality.add(pair, cause: cause, effect: time)
    }
}
