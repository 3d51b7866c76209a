import SessionLog
import Timeline
import TraceDat
import TraceModel

/// Where the files do not say exactly how a guest's clock lies to the host's: what the events themselves prove of it, and of
/// the threads that ran the guest's CPUs.
///
/// A guest's events can only have happened between `kvm_entry` and `kvm_exit` of its vCPU's thread. What the files say, or
/// that all were recorded at the same time, tells where to look; the entries and exits decide. It costs another reading of
/// the files.
struct TraceDatProof {
    struct Finding {
        /// One of all CPUs, or of each.
        var clocks: [GivenClock] = []
        var threads: [VMFacts.Thread] = []
    }

    /// How far maps of unknown error are taken to be off at most. (ptp over a TCP connection with Nagle's delays was seen to
    /// be off by 21 ms.) Beyond it nothing is proved.
    private static let estimateReach: Int64 = 50_000_000
    /// Recordings of one command begin and end nearly together.
    private static let mostReach: Int64 = 5_000_000_000
    private static let method = "kvm_entry/kvm_exit"

    private let host: TraceDatSession.Member
    private let clocks: TraceDatClocks
    private var free: [Int32: ClockSurvey.VCPUThread] = [:]
    private var hostSpan: ClosedRange<Int64>?

    /// Reads the host's file.
    init(_ session: TraceDatSession, _ clocks: TraceDatClocks) throws(TraceDatError) {
        host = session.host
        self.clocks = clocks
        free = try survey()
    }

    // MARK: Host

    private mutating func survey() throws(TraceDatError) -> [Int32: ClockSurvey.VCPUThread] {
        let formats = host.source.file.formats
        guard let entry = formats.typeIndex(system: "kvm", name: "kvm_entry"),
            let exit = formats.typeIndex(system: "kvm", name: "kvm_exit")
        else { return [:] }
        let number = IntegerField("vcpu_id", of: formats.formats[exit], byteOrder: formats.byteOrder)
        var survey = ClockSurvey()
        var events = try host.source.events(of: host.buffers)
        var batch = EventBatch(cpu: 0)
        while try host.source.read(&events, into: &batch) {
            survey.addLosses(of: batch) { hostNanoseconds($0) }
            let records = batch.records.span.bytes
            for header in batch.headers {
                if header.typeIndex == entry {
                    survey.entered(header.pid, at: hostNanoseconds(header.ticks))
                } else if header.typeIndex == exit {
                    let number = number?.value(in: records, of: header)
                    survey.left(header.pid, at: hostNanoseconds(header.ticks), number: number)
                }
            }
            guard let first = batch.headers.first, let last = batch.headers.last else { continue }
            let (begin, end) = (clocks.hostTime(first.ticks.rawValue), clocks.hostTime(last.ticks.rawValue))
            let known = hostSpan ?? begin.nanoseconds...max(begin, end).nanoseconds
            hostSpan = min(known.lowerBound, begin.nanoseconds)...max(known.upperBound, end.nanoseconds)
        }
        return survey.threads
    }

    private func hostNanoseconds(_ ticks: TraceTicks) -> UInt64 {
        UInt64(clamping: clocks.hostTime(ticks.rawValue).nanoseconds)
    }

    // MARK: Guests

    /// What is proved of a guest; nothing where the host's file has no entries and exits. Threads that others are known to run
    /// on are not this one's.
    mutating func find(
        _ guest: TraceDatSession.Member, notOn taken: Set<Int32>
    ) throws(TraceDatError) -> Finding {
        let linked = Set(guest.threads)
        var candidates = free.filter { linked.isEmpty ? !taken.contains($0.key) : linked.contains($0.key) }
        guard !candidates.isEmpty, guest.clock.countsNanoseconds || clocks.scale != nil else { return Finding() }
        let times = try times(of: guest)
        let scaled = times.mapValues { $0.map { nanoseconds($0, guest.clock) } }
        guard let (guess, reach) = place(guest, scaled) else { return Finding() }
        // CPUs that have clocks of their own say nothing about each other.
        let groups = guest.clock.isOfEachCPU ? scaled.map { [$0.key: $0.value] } : [scaled]
        var finding = Finding()
        for group in groups {
            let matches = ThreadMatch.all(group, among: &candidates, guess: guess, reach: reach)
            finding.threads += matches.map { VMFacts.Thread(tid: $0.tid, vcpu: $0.cpu) }
            guard var clock = clock(of: guest, matches, times, scaled) else { continue }
            if guest.clock.isOfEachCPU { clock.cpu = matches.first?.cpu }
            finding.clocks.append(clock)
        }
        for thread in finding.threads { free[thread.tid] = nil }
        finding.threads.sort { ($0.vcpu ?? 0) < ($1.vcpu ?? 0) }
        return finding
    }

    private func clock(
        of guest: TraceDatSession.Member, _ matches: [ThreadMatch], _ times: [Int: [UInt64]], _ scaled: [Int: [UInt64]]
    ) -> GivenClock? {
        var evidence = GuestSync.Evidence()
        for match in matches {
            guard let thread = free[match.tid], let own = times[match.cpu], let scaled = scaled[match.cpu] else {
                continue
            }
            let found = GuestSync.evidence(match, scaled, thread)
            evidence = evidence + found.mapped { time in own[scaled.partitionPoint { $0 < time }] }
        }
        let tolerance = ClockTolerance.standard(for: guest.clock).union(.standard(for: host.clock))
        return GuestSync.clock(evidence, of: guest.clock, tolerance: tolerance, method: Self.method)
    }

    private func times(of guest: TraceDatSession.Member) throws(TraceDatError) -> [Int: [UInt64]] {
        var survey = ClockSurvey()
        var events = try guest.source.events(of: guest.buffers)
        var batch = EventBatch(cpu: 0)
        while try guest.source.read(&events, into: &batch) { survey.addTimes(of: batch) }
        return survey.times
    }

    /// A guest's cycles are taken to be as long as the host's.
    private func nanoseconds(_ ticks: UInt64, _ clock: TraceClock) -> UInt64 {
        clock.countsNanoseconds ? ticks : hostNanoseconds(TraceTicks(ticks))
    }

    /// Host time minus guest time, and how far from it the truth may be.
    private func place(_ guest: TraceDatSession.Member, _ times: [Int: [UInt64]]) -> (guess: Int64, reach: Int64)? {
        let ends = times.values.compactMap { times in times.first.flatMap { first in times.last.map { (first, $0) } } }
        guard let first = ends.map(\.0).min(), let last = ends.map(\.1).max(), let hostSpan else { return nil }
        var map = ClockMap(clock: guest.clock)
        for clock in clocks.estimates(of: guest) { map.learn(.given(clock)) }
        if !clocks.isMoved(guest), let events = try? guest.source.events(of: guest.buffers).watermark,
            let placed = map.hostTime(events)
        {
            let own = Int64(clamping: nanoseconds(events.rawValue, guest.clock))
            return (placed.time.nanoseconds &- own, Self.estimateReach)
        }
        let (begin, end) = (Int64(clamping: first), Int64(clamping: last))
        let difference = abs((hostSpan.upperBound - hostSpan.lowerBound) - (end - begin))
        return (
            hostSpan.lowerBound / 2 + hostSpan.upperBound / 2 - (begin / 2 + end / 2),
            min(Self.mostReach, ThreadMatch.reachNanoseconds + difference / 2)
        )
    }
}

extension TraceClock {
    /// What is proved of one CPU's need not hold for another's.
    fileprivate var isOfEachCPU: Bool {
        switch self {
        case .local, .perf, .x86TSC: true
        case .mono, .monoRaw, .boot, .tai, .global, .uptime: false
        }
    }
}

extension GuestSync.Evidence {
    /// The same by other readings of the guest's clock.
    fileprivate func mapped(_ reading: (UInt64) -> UInt64) -> GuestSync.Evidence {
        var mapped = GuestSync.Evidence(
            messages: messages.map {
                GuestSync.Message(
                    entry: $0.entry, first: reading($0.first), last: reading($0.last), exit: $0.exit)
            })
        mapped.lost = lost.map { reading($0.lowerBound)...reading($0.upperBound) }
        return mapped
    }
}
