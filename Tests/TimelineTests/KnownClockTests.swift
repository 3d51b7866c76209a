import Testing
import Timeline
import TraceModel

/// Clocks that need no measuring: KVM's own numbers, and maps that came with a trace.
struct KnownClockTests {
    /// 2.5 GHz: 0.4 ns a cycle, as perf's page gives it for such a processor.
    static let scale = TSCScale(multiplier: 858_993_459, shift: 31, zero: 1_000)

    /// What the processor makes of the host's counter (Intel SDM 3, §25.3 "TSC scaling").
    static func guestTSC(_ host: UInt64, _ vcpu: KVMClock.VCPU) -> TraceTicks {
        let scaled = (UInt128(host) * UInt128(vcpu.ratio)) >> UInt128(vcpu.fractionBits)
        return TraceTicks(UInt64(truncatingIfNeeded: scaled) &+ UInt64(bitPattern: vcpu.offset))
    }

    func map(_ vcpus: KVMClock.VCPU...) -> ClockMap {
        var map = ClockMap(clock: .x86TSC)
        map.learn(.kvm(KVMClock(scale: Self.scale, vcpus: vcpus)))
        return map
    }

    @Test
    func `cycles become nanoseconds as perf documents it, at any uptime`() {
        // quot = cycles >> shift, rem = the rest: zero + quot * mult + (rem * mult >> shift).
        for cycles: UInt64 in [0, 1, 12_345_678_901, 1 << 50, (1 << 55) + 987_654_321] {
            let quotient = cycles >> 31
            let rest = cycles & (1 << 31 - 1)
            let expected = 1_000 + quotient * 858_993_459 + (rest * 858_993_459) >> 31
            #expect(Self.scale.hostTime(cycles).nanoseconds == Int64(expected))
        }
        #expect(TSCScale(multiplier: 3, shift: 0, zero: 0).hostTime(5).nanoseconds == 15)
    }

    @Test
    func `a host that stamps with its TSC is mapped by the scale`() throws {
        var map = ClockMap(clock: .x86TSC, identity: true)
        map.learn(.scale(Self.scale))
        let placing = map.place(batch(ticks: [TraceTicks(10_000_000_000)]), from: .host)
        #expect(try #require(placing).times == [Self.scale.hostTime(10_000_000_000)])
        #expect(map.watermark(TraceTicks(10_000_000_000)) == Self.scale.hostTime(10_000_000_000))
    }

    @Test(arguments: 0..<200 as Range<UInt64>)
    func `KVM's offset and ratio lead back to the host's counter within the bound`(seed: UInt64) throws {
        var random = Random(seed: seed)
        let bits: UInt8 = [0, 32, 48].randomElement(using: &random) ?? 0
        let ratio =
            bits == 0 ? 1 : UInt64(Double(UInt64(1) << UInt64(bits)) * Double.random(in: 0.5...2, using: &random))
        let vcpu = KVMClock.VCPU(
            vcpu: 1, offset: Int64.random(in: -(1 << 60)...(1 << 50), using: &random), ratio: ratio, fractionBits: bits)
        var map = map(.init(vcpu: 0, offset: 77), vcpu)
        let start = UInt64.random(in: 0...(1 << 58), using: &random)
        for _ in 0..<20 {
            let host = start + UInt64.random(in: 0...(1 << 50), using: &random)
            let truth = Self.scale.hostTime(host)
            let placed = try #require(map.hostTime(Self.guestTSC(host, vcpu), cpu: 1))
            #expect(abs(placed.time - truth) <= placed.boundNanoseconds, "seed \(seed)")
            #expect(placed.boundNanoseconds <= 4)
        }
        let placing = map.place(batch(cpu: 1, ticks: [Self.guestTSC(start, vcpu)]), from: SourceID(1))
        let batch = try #require(placing)
        #expect(abs(batch.times[0] - Self.scale.hostTime(start)) <= batch.boundNanoseconds, "seed \(seed)")
        #expect(map.status.quality == "exact")
        #expect(map.status.estimators == ["kvm"])
    }

    @Test(arguments: [-40_000_000_000, -1_000, 1_000, 40_000_000_000])
    func `a changed offset counts from its moment on`(change: Int64) throws {
        let before = KVMClock.VCPU(vcpu: 0, offset: -5_000_000_000)
        let after = KVMClock.VCPU(vcpu: 0, offset: before.offset + change)
        var map = map(before)
        let changedAt: UInt64 = 100_000_000_000
        map.learn(.kvm(KVMClock(scale: Self.scale, vcpus: [after], since: Self.scale.hostTime(changedAt))))
        #expect(map.epoch == 1)
        let hosts = stride(from: changedAt - 50_000, to: changedAt + 50_000, by: 2_500).map { $0 }
        let ticks = hosts.map { Self.guestTSC($0, $0 < changedAt ? before : after) }
        let placing = map.place(batch(ticks: ticks), from: SourceID(1))
        let placed = try #require(placing)
        for (host, time) in zip(hosts, placed.times) {
            #expect(abs(time - Self.scale.hostTime(host)) <= placed.boundNanoseconds, "\(host)")
        }
        // Back by more than lies between two events: it is known which side each event is on.
        if abs(change) > 2_500 { #expect(placed.boundNanoseconds <= 1) }
        let later = Self.guestTSC(changedAt + 900_000_000_000, after)
        #expect(map.hostTime(later, cpu: 0)?.time == Self.scale.hostTime(changedAt + 900_000_000_000))
    }

    @Test
    func `a watermark holds for the vCPU that is farthest behind`() throws {
        var map = map(.init(vcpu: 0, offset: 0), .init(vcpu: 1, offset: 10_000))
        #expect(map.watermark(TraceTicks(1_000_000)) == Self.scale.hostTime(990_000))
    }

    @Test
    func `a probe that KVM's numbers make impossible ends their reign`() {
        var map = map(.init(vcpu: 0, offset: 0))
        func probe(at host: UInt64, wrong: UInt64) -> ClockProbe {
            ClockProbe(
                hostSent: Self.scale.hostTime(host), guestReceived: TraceTicks(host + wrong + 50_000),
                guestSent: TraceTicks(host + wrong + 60_000), hostReceived: Self.scale.hostTime(host + 100_000))
        }
        #expect(map.add(probe(at: 1 << 40, wrong: 0)) == .used)
        #expect(map.status.quality == "exact")
        #expect(map.add(probe(at: 2 << 40, wrong: 1 << 33)) == .newEpoch)
        #expect(map.status.quality != "exact")
        #expect(map.epoch == 1)
    }

    @Test
    func `numbers that KVM cannot have are not believed`() {
        let map = map(
            .init(vcpu: 0, offset: 0, ratio: 0, fractionBits: 48), .init(vcpu: 1, offset: 0, ratio: 1, fractionBits: 64)
        )
        #expect(map.hostTime(TraceTicks(1)) == nil)
        #expect(map.status.quality == "absent")
    }

    @Test
    func `a given map is straight between its knots, and widens outside`() throws {
        func knot(_ ticks: UInt64, _ host: Int64, _ bound: Int64) -> GivenClock.Knot {
            GivenClock.Knot(ticks: TraceTicks(ticks), host: HostTime(nanoseconds: host), boundNanoseconds: bound)
        }
        var map = ClockMap(clock: .monoRaw)
        map.learn(
            .given(
                GivenClock(
                    knots: [knot(1_000, 5_000, 10), knot(3_000, 9_000, 30), knot(3_001, 20_000, 40)],
                    nanosecondsPerTick: 2, method: "trace-cmd ptp")))
        map.learn(.given(GivenClock(cpu: 1, knots: [knot(0, 7, 1)], nanosecondsPerTick: 1, method: "trace-cmd ptp")))
        #expect(try #require(map.hostTime(TraceTicks(2_000), cpu: 0)) == (HostTime(nanoseconds: 7_000), 32))
        #expect(map.hostTime(TraceTicks(3_001), cpu: 0)?.time.nanoseconds == 20_000)
        #expect(map.hostTime(TraceTicks(0), cpu: 0)?.time.nanoseconds == 3_000)
        let beyond = try #require(map.hostTime(TraceTicks(3_001 + 5_000_000_000), cpu: 0))
        #expect(beyond == (HostTime(nanoseconds: 10_000_020_000), 10_042))
        #expect(map.hostTime(TraceTicks(5), cpu: 1)?.time.nanoseconds == 12)
        #expect(map.status.quality == "bounded")
        #expect(map.status.estimators == ["trace-cmd ptp"])
        map.learn(.given(GivenClock(cpu: 1, knots: [knot(2, 7, 1), knot(2, 8, 1)], nanosecondsPerTick: 1, method: "")))
        #expect(map.hostTime(TraceTicks(5), cpu: 1)?.time.nanoseconds == 3_010)
    }

    @Test
    func `a map without knots takes back what came before, and what is measured counts`() throws {
        var map = ClockMap(clock: .mono)
        let wallClock = GivenClock.Knot(
            ticks: TraceTicks(0), host: HostTime(nanoseconds: 900_000_000), boundNanoseconds: 2_000_000_000)
        map.learn(.given(GivenClock(knots: [wallClock], nanosecondsPerTick: 1, method: "wall clocks")))
        _ = map.place(batch(ticks: [TraceTicks(1_000)]), from: .host)
        _ = map.watermark(TraceTicks(1_000))
        map.learn(.given(GivenClock(knots: [], nanosecondsPerTick: 1, method: "")))
        #expect(map.hostTime(TraceTicks(2_000)) == nil)
        #expect(map.needsProbe)
        let probe = ClockProbe(
            hostSent: HostTime(nanoseconds: 2_990), guestReceived: TraceTicks(2_000), guestSent: TraceTicks(2_000),
            hostReceived: HostTime(nanoseconds: 3_010))
        #expect(map.add(probe) == .used)
        // Earlier than what was given out before: the wall clock was ahead.
        let placing = map.place(batch(ticks: [TraceTicks(2_100)]), from: .host)
        let placed = try #require(placing)
        #expect(abs(placed.times[0].nanoseconds - 3_100) <= placed.boundNanoseconds)
        #expect(placed.boundNanoseconds < 20)
        #expect(map.epoch == 1)
    }
}
