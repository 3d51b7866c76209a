/// How a source's clock facts are written in a log: a kind, then its numbers.
import TraceModel
import Wire

extension ClockFacts {
    private enum Kind: UInt8 {
        case scale = 0
        case kvm = 1
        case given = 2
        case partialEntries = 3
    }

    func write(to body: inout BodyWriter) {
        switch self {
        case .scale(let scale):
            body.put(byte: Kind.scale.rawValue)
            scale.write(to: &body)
        case .kvm(let clock):
            body.put(byte: Kind.kvm.rawValue)
            clock.scale.write(to: &body)
            body.put(clock.vcpus, limit: Limits.vcpus) { body, vcpu in
                body.put(vcpu.vcpu)
                body.put(signed: vcpu.offset)
                body.put(vcpu.ratio)
                body.put(byte: vcpu.fractionBits)
            }
            body.put(optional: clock.since) { $0.put(signed: $1.nanoseconds) }
        case .given(let clock):
            body.put(byte: Kind.given.rawValue)
            body.put(optional: clock.cpu) { $0.put($1) }
            // Differences to the knot before: a few bytes instead of twenty.
            var before = GivenClock.Knot(ticks: TraceTicks(0), host: HostTime(nanoseconds: 0), boundNanoseconds: 0)
            body.put(clock.knots, limit: Limits.clockKnots) { body, knot in
                body.put(knot.ticks.rawValue &- before.ticks.rawValue)
                body.put(signed: knot.host.nanoseconds &- before.host.nanoseconds)
                body.put(signed: knot.boundNanoseconds)
                before = knot
            }
            body.put(clock.nanosecondsPerTick.bitPattern)
            body.put(clock.method)
        case .partialEntries: body.put(byte: Kind.partialEntries.rawValue)
        }
    }

    init(from body: inout BodyReader) throws(MessageError) {
        guard let kind = Kind(rawValue: try body.byte()) else { throw body.error("the kind of clock is unknown") }
        switch kind {
        case .scale: self = .scale(try TSCScale(from: &body))
        case .kvm:
            self = .kvm(
                KVMClock(
                    scale: try TSCScale(from: &body),
                    vcpus: try body.array(limit: Limits.vcpus) { (body) throws(MessageError) in
                        KVMClock.VCPU(
                            vcpu: try body.integer(in: 0...Limits.cpus), offset: try body.signed(),
                            ratio: try body.unsigned(), fractionBits: try body.byte())
                    },
                    since: try body.optional { (body) throws(MessageError) in
                        HostTime(nanoseconds: try body.signed())
                    }))
        case .given:
            let cpu = try body.optional { (body) throws(MessageError) in try body.integer(in: 0...Limits.cpus) }
            var before = GivenClock.Knot(ticks: TraceTicks(0), host: HostTime(nanoseconds: 0), boundNanoseconds: 0)
            let knots = try body.array(limit: Limits.clockKnots) { (body) throws(MessageError) in
                before = GivenClock.Knot(
                    ticks: TraceTicks(before.ticks.rawValue &+ (try body.unsigned())),
                    host: HostTime(nanoseconds: before.host.nanoseconds &+ (try body.signed())),
                    boundNanoseconds: try body.signed())
                return before
            }
            self = .given(
                GivenClock(
                    cpu: cpu, knots: knots, nanosecondsPerTick: Double(bitPattern: try body.unsigned()),
                    method: try body.label()))
        case .partialEntries: self = .partialEntries
        }
    }
}

extension TSCScale {
    fileprivate func write(to body: inout BodyWriter) {
        body.put(UInt64(multiplier))
        body.put(byte: shift)
        body.put(signed: zero)
    }

    fileprivate init(from body: inout BodyReader) throws(MessageError) {
        self.init(
            multiplier: UInt32(try body.integer(in: 0...Int(UInt32.max))), shift: try body.byte(),
            zero: try body.signed())
    }
}
