package import TraceModel

/// Steal three ways: what a guest's kernel was told, beside what the host measured in the same stretch.
extension Analyzer {
    /// `steal` of a guest's /proc/stat by CPU, nanoseconds since its boot, sampled at the time analyzed now.
    ///
    /// The stretch is counted from the first sample after the vCPU was known, at the instants at which the analysis had
    /// come to the samples: up to a round of the agent late at either end, 20 ms with the standard settings, beside the
    /// 10 ms in which the guest counts.
    package mutating func sampleSteal(_ source: SourceID, _ samples: [(cpu: Int, nanoseconds: UInt64)]) {
        let guest = guestIndex(of: source)
        for sample in samples {
            guard prepare(guest: guest, cpu: sample.cpu) else {
                anomalies.add(.tableFull)
                continue
            }
            let slot = Int(guests[guest].cpus[sample.cpu].vcpu)
            guard slot >= 0, vcpus[slot].phase == .live else { continue }
            let told = Int64(clamping: sample.nanoseconds)
            let ready = vcpus[slot].readyTime(until: now)
            if vcpus[slot].steal == nil {
                vcpus[slot].steal = StealAccount(told: told, ready: ready, at: now)
            } else {
                vcpus[slot].steal?.sample(told: told, ready: ready, at: now)
            }
        }
    }
}

/// The first sample of one vCPU and the last.
struct StealAccount: Sendable {
    private var first: (told: Int64, ready: Int64, at: Int64)
    private var last: (told: Int64, ready: Int64, at: Int64)

    init(told: Int64, ready: Int64, at time: Int64) {
        first = (told, ready, time)
        last = first
    }

    /// A counter that went back belongs to another boot, and ready time that shrank was taken back by a loss: the account
    /// begins anew.
    mutating func sample(told: Int64, ready: Int64, at time: Int64) {
        if told < last.told || ready < last.ready { first = (told, ready, time) }
        last = (told, ready, time)
    }

    /// Nil before the second sample.
    var row: Snapshot.Steal? {
        guard last.at > first.at else { return nil }
        return Snapshot.Steal(
            toldNanoseconds: last.told - first.told, readyNanoseconds: last.ready - first.ready,
            fromNanoseconds: first.at, untilNanoseconds: last.at)
    }
}
