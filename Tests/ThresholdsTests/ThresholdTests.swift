import Testing
import Thresholds
import TraceModel

struct ThresholdTests {
    /// One machine `web1` with a vCPU 0 (thread 10), and `db` with a vCPU 1 (thread 20).
    private func snapshot(at end: Int64, _ change: (inout Snapshot) -> Void = { _ in }) -> Snapshot {
        var snapshot = Snapshot(window: Snapshot.Window(startNanoseconds: 0, endNanoseconds: end))
        for (name, number, tid) in [("web1", 0, Int32(10)), ("db", 1, 20)] {
            var vcpu = Snapshot.VCPU(vcpu: number, hostTID: tid, state: .running, sinceNanoseconds: 0)
            vcpu.times[.running] = end
            snapshot.guests.append(Snapshot.Guest(name: name, vcpus: [vcpu]))
        }
        change(&snapshot)
        return snapshot
    }

    private func durations(maximum: Int64, _ counts: [UInt64]) -> Snapshot.Durations {
        Snapshot.Durations(
            count: counts.reduce(0, +), totalNanoseconds: 0, p50Nanoseconds: 0, p99Nanoseconds: 0, p999Nanoseconds: 0,
            maximumNanoseconds: maximum, maximumAtNanoseconds: 0, countsByPowerOfTwo: counts)
    }

    private func check(
        _ text: String, _ before: Snapshot?, _ after: Snapshot, exceeds: [String],
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let found = try Threshold(text).violations(from: before, to: after)
        #expect(found == exceeds.map { "\(text): \($0)" }, sourceLocation: sourceLocation)
    }

    @Test(arguments: [
        ("ready>500us", Threshold.Bound.nanoseconds(500_000)), ("web1/0:preempted>2ms", .nanoseconds(2_000_000)),
        ("ready>=20%", .percent(20)), ("lost>0", .count(0)), ("a:b/3:halted > 1s", .nanoseconds(1_000_000_000)),
    ])
    func `a threshold is read as it was meant`(text: String, bound: Threshold.Bound) throws {
        let threshold = try Threshold(text)
        #expect(threshold.bound == bound && threshold.description == text)
        #expect(threshold.isInclusive == text.contains(">="))
    }

    @Test func `a scope is a guest, or one vCPU of it`() throws {
        #expect(try Threshold("a:b/3:halted>1s").guest == "a:b")
        #expect(try Threshold("a:b/3:halted>1s").vcpu == 3)
        #expect(try Threshold("db:ready>1s").vcpu == nil)
        #expect(try Threshold("ready>1s").guest == nil)
    }

    @Test(arguments: [
        "", "ready", "ready<5ms", "redy>5ms", "ready>", "ready>5", "ready>5parsec", "ready>120%", "lost>5%", "lost>-1",
        "web1:lost>3", "web1/x:ready>1ms", "web1/-1:ready>1ms", ":ready>1ms", "lag>5", "ready>99999999999h",
    ])
    func `what is no threshold is refused with an example`(text: String) {
        let problem = #expect(throws: Threshold.Problem.self) { try Threshold(text) }
        #expect(problem?.description.contains("'\(text)'") == true && problem?.description.contains("500us") == true)
    }

    @Test func `a stretch that lasts is measured up to now`() throws {
        let now = snapshot(at: 10_000_000) {
            $0.guests[1].vcpus[0].state = Snapshot.VCPUStateLabel(.preempted)
            $0.guests[1].vcpus[0].sinceNanoseconds = 7_000_000
        }
        try check("ready>2ms", nil, now, exceeds: ["db/1 3.0 ms"])
        try check("db/1:preempted>2ms", nil, now, exceeds: ["db/1 3.0 ms"])
        try check("web1:ready>2ms", nil, now, exceeds: [])
        try check("ready>3ms", nil, now, exceeds: [])
        try check("ready>=3ms", nil, now, exceeds: ["db/1 3.0 ms"])
        try check("running>5ms", nil, now, exceeds: ["web1/0 10.0 ms"])
    }

    @Test func `a stretch that came and went between two looks is found, once`() throws {
        let before = snapshot(at: 1000) {
            $0.guests[0].vcpus[0].ready = durations(maximum: 300, [0, 0, 0, 0, 0, 0, 0, 0, 1])
        }
        let after = snapshot(at: 9000) {
            $0.guests[0].vcpus[0].ready = durations(maximum: 5000, [0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1])
        }
        try check("ready>4us", before, after, exceeds: ["web1/0 5.0 us"])
        try check("ready>4us", after, after, exceeds: [])
        // Shorter than one before: at least the power of two below it.
        let again = snapshot(at: 12_000) {
            $0.guests[0].vcpus[0].ready = durations(maximum: 5000, [0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2])
        }
        try check("ready>4us", after, again, exceeds: ["web1/0 4.1 us"])
    }

    @Test func `a share is that of the time between two looks`() throws {
        let before = snapshot(at: 1_000_000)
        let after = snapshot(at: 2_000_000) {
            $0.guests[0].vcpus[0].times[.running] = 1_700_000
            $0.guests[0].vcpus[0].times[.waking] = 300_000
        }
        try check("ready>20%", before, after, exceeds: ["web1/0 30.0 %"])
        try check("ready>20%", nil, after, exceeds: [])
        try check("ready>30%", before, after, exceeds: [])
    }

    @Test func `a threshold that the session's events cannot tell says so`() throws {
        let blind = snapshot(at: 1) { $0.host.sees.scheduling = false }
        let seeing = snapshot(at: 1)
        for text in ["ready>500us", "blocked>1s"] {
            let threshold = try Threshold(text)
            #expect(threshold.blindness(in: blind)?.contains("without sched:sched_switch") == true)
            #expect(threshold.blindness(in: seeing) == nil)
        }
        for text in ["running>1s", "lost>0", "lag>1ms"] { #expect(try Threshold(text).blindness(in: blind) == nil) }
        let mute = snapshot(at: 1) { $0.host.sees.guestMode = false }
        #expect(try Threshold("halted>1s").blindness(in: mute)?.contains("kvm:kvm_entry") == true)
        #expect(try Threshold("ready>1ms").blindness(in: mute) == nil)
    }

    @Test func `losses and lag are the session's`() throws {
        let before = snapshot(at: 1) { $0.health.eventsLost = 5 }
        let after = snapshot(at: 2) {
            $0.health.eventsLost = 8
            $0.health.lagNanoseconds = 150_000_000
        }
        try check("lost>0", before, after, exceeds: ["3 events"])
        try check("lost>0", after, after, exceeds: [])
        try check("lag>100ms", nil, after, exceeds: ["150.0 ms"])
    }

    @Test(arguments: [
        ("0", Int64(0)), ("12.5", 12_500_000_000), ("500ms", 500_000_000), ("1.5us", 1500), ("2m", 120_000_000_000),
    ])
    func `a duration without a unit counts in the given one`(text: String, nanoseconds: Int64) {
        #expect(Quantities.nanoseconds(text, unit: "s") == nanoseconds)
        #expect(text.contains { $0.isLetter } || Quantities.nanoseconds(text) == nil)
    }

    @Test(arguments: [
        ("512M", UInt64(512) << 20), ("2G", 2 << 30), ("1.5k", 1536), ("7", 7), ("10KiB", 10_240), ("3MB", 3 << 20),
        ("5B", 5),
    ])
    func `a size counts in powers of 1024`(text: String, bytes: UInt64) { #expect(Quantities.bytes(text) == bytes) }

    @Test(arguments: ["", "x", "-5M", "5X", "1e99G", "M", ".."])
    func `what is no size or duration is none`(text: String) {
        #expect(Quantities.bytes(text) == nil)
        #expect(Quantities.nanoseconds(text, unit: "s") == nil)
    }
}
