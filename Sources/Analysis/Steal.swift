package import TraceModel

/// Steal three ways: what a guest's kernel was told, beside what the host measured in the same stretch.
extension Analyzer {
    /// `steal` of a guest's /proc/stat by CPU, nanoseconds since its boot, as it was at `time`. Counted when the analysis
    /// comes to that time, so that both figures are of the same instants; the guest counts in steps of 10 ms.
    package mutating func sampleSteal(_ source: SourceID, _ cpus: [StealSample.CPU], at time: HostTime) {
        note(GuestNote(time: bounded(time), source: source, kind: .steal(cpus)))
    }

    mutating func count(_ sample: StealSample.CPU, of guest: Int, at time: Int64) {
        guard prepare(guest: guest, cpu: sample.cpu) else {
            anomalies.add(.tableFull)
            return
        }
        let slot = Int(guests[guest].cpus[sample.cpu].vcpu)
        guard slot >= 0, vcpus[slot].phase == .live else { return }
        let figures = StealAccount.Figures(
            told: Int64(clamping: sample.nanoseconds), ready: vcpus[slot].readyTime(until: time), time: time)
        if vcpus[slot].steal == nil { vcpus[slot].steal = StealAccount(figures) }
        vcpus[slot].steal?.sample(figures)
    }
}

/// The first sample of one vCPU and the last.
struct StealAccount: Sendable, Codable {
    struct Figures: Sendable, Codable {
        let told: Int64
        let ready: Int64
        let time: Int64
    }

    private var first: Figures
    private var last: Figures

    init(_ figures: Figures) {
        first = figures
        last = figures
    }

    /// A counter that went back belongs to another boot, and ready time that shrank was taken back by a loss: the account
    /// begins anew.
    mutating func sample(_ figures: Figures) {
        if figures.told < last.told || figures.ready < last.ready { first = figures }
        last = figures
    }

    /// Nil before the second sample.
    var row: Snapshot.Steal? {
        guard last.time > first.time else { return nil }
        return Snapshot.Steal(
            toldNanoseconds: last.told - first.told, readyNanoseconds: last.ready - first.ready,
            fromNanoseconds: first.time, untilNanoseconds: last.time)
    }
}
