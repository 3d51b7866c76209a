package import TraceModel

/// Steal three ways: what a guest's kernel was told, beside what the host measured in the same stretch.
///
/// Without `sched_switch` the host measures nothing. Where events of the host are missing, it measured at least the ready time
/// that it saw, and at most that and all the time of which it knows nothing.
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
            told: Int64(clamping: sample.nanoseconds),
            ready: host.knowledge.scheduling ? vcpus[slot].readyTime(until: time) : nil,
            unknown: vcpus[slot].times(until: time)[.unknown], time: time)
        if vcpus[slot].steal == nil { vcpus[slot].steal = StealAccount(figures) }
        vcpus[slot].steal?.sample(figures)
    }
}

/// The first sample of one vCPU and the last.
struct StealAccount: Sendable, Codable {
    struct Figures: Sendable, Codable {
        let told: Int64
        /// Nil when nothing can measure it.
        let ready: Int64?
        let unknown: Int64
        let time: Int64
    }

    private var first: Figures
    private var last: Figures

    init(_ figures: Figures) {
        first = figures
        last = figures
    }

    /// A counter that went back belongs to another boot, and ready time that shrank was taken back by a loss: the account
    /// begins anew. So it does when measuring begins or ends.
    mutating func sample(_ figures: Figures) {
        if figures.told < last.told || figures.ready ?? 0 < last.ready ?? 0
            || (figures.ready == nil) != (last.ready == nil)
        {
            first = figures
        }
        last = figures
    }

    /// Nil before the second sample.
    var row: Snapshot.Steal? {
        guard last.time > first.time else { return nil }
        return Snapshot.Steal(
            toldNanoseconds: last.told - first.told,
            readyNanoseconds: last.ready.map { $0 - (first.ready ?? 0) },
            unknownNanoseconds: max(0, last.unknown - first.unknown),
            fromNanoseconds: first.time, untilNanoseconds: last.time)
    }
}
