/// Everything that was ever measured of one clock, thinned out to what bounds it best: for a map made afterwards.
///
/// Live, an event is placed by what was known then. Afterwards, the next probe and the next exit bound it from the other
/// side as well, and the first events of a session are as well known as the last. So floors and ceilings (see
/// `ClockConstraints`) are carried over the whole log in both directions, at the rates that are possible there: the upper
/// and the lower edge of all lines that no measurement contradicts. Half-way between them are the knots of a `GivenClock`.
package import TraceModel

package struct ClockJournal: Sendable, Codable {
    private struct Stretch: Codable {
        var number: Int64
        var floor: ClockConstraints.Point?
        var ceiling: ClockConstraints.Point?

        /// Keeps the point that says more, for clocks of about this rate; without one, the later.
        mutating func take(_ side: ClockConstraints.Side, _ point: ClockConstraints.Point, rate: Double?) {
            let present = side == .floor ? floor : ceiling
            if let present, let rate {
                let gain = Double(point.host - present.host) - rate * Double(point.ticks.distance(from: present.ticks))
                if side == .floor ? gain < 0 : gain > 0 { return }
            }
            if side == .floor { floor = point } else { ceiling = point }
        }
    }

    /// Rates are compared within a block. As long as measurements live in `ClockConstraints`, and a little less.
    private static let blockNanoseconds = ClockTolerance.horizonNanoseconds / 2 - 5_000_000_000

    /// By epoch, ascending.
    private var epochs: [[Stretch]] = []
    /// A stretch is 2^shift ticks; it doubles whenever they are too many.
    private var shift: Int64 = 22
    private var count = 0

    init() {}

    mutating func note(_ side: ClockConstraints.Side, _ ticks: TraceTicks, _ host: HostTime, epoch: Int, rate: Double?)
    {
        guard epoch < Limits.clockKnots else { return }
        while epochs.count <= epoch { epochs.append([]) }
        let number = Int64(bitPattern: ticks.rawValue) >> shift
        // What comes is nearly in order: the place is near the end.
        var place = epochs[epoch].count
        while place > 0, epochs[epoch][place - 1].number > number { place -= 1 }
        if place == 0 || epochs[epoch][place - 1].number != number {
            epochs[epoch].insert(Stretch(number: number), at: place)
            place += 1
            count += 1
        }
        epochs[epoch][place - 1].take(side, ClockConstraints.Point(ticks: ticks, host: host), rate: rate)
        if count > Limits.clockKnots / 2 { double(rate: rate) }
    }

    private mutating func double(rate: Double?) {
        shift += 1
        count = 0
        for epoch in epochs.indices {
            var doubled: [Stretch] = []
            for var stretch in epochs[epoch] {
                stretch.number >>= 1
                if doubled.last?.number == stretch.number {
                    let last = doubled.count - 1
                    if let floor = stretch.floor { doubled[last].take(.floor, floor, rate: rate) }
                    if let ceiling = stretch.ceiling { doubled[last].take(.ceiling, ceiling, rate: rate) }
                } else {
                    doubled.append(stretch)
                }
            }
            epochs[epoch] = doubled
            count += doubled.count
        }
    }

    // MARK: The map

    private struct Node {
        var ticks: TraceTicks
        /// Host time above the block's middle line, nanoseconds.
        var low = -Double.infinity
        var high = Double.infinity
    }

    /// Nil where too little was measured, or where one reading stands for two instants because the clock was set back.
    func map(of clock: TraceClock, tolerance: ClockTolerance) -> GivenClock? {
        var knots: [GivenClock.Knot] = []
        var rate: Double?
        for (epoch, stretches) in epochs.enumerated() {
            var isNewEpoch = true
            var rest = stretches[...]
            while let first = rest.first {
                let start = (first.floor ?? first.ceiling)?.host ?? HostTime(nanoseconds: 0)
                let end = start.advanced(by: Self.blockNanoseconds)
                let block = rest.prefix { (($0.floor ?? $0.ceiling)?.host ?? start) < end }
                rest = rest.dropFirst(block.count)
                let ends = (isFirst: knots.isEmpty, isLast: rest.isEmpty && epoch == epochs.count - 1)
                guard let (more, middle) = Self.knots(of: block, clock, tolerance, ends), let next = more.first else {
                    continue
                }
                if let last = knots.last {
                    guard last.ticks < next.ticks else { return nil }
                    if isNewEpoch { knots += Self.step(from: last, to: next) }
                }
                knots += more
                isNewEpoch = false
                rate = middle
            }
        }
        guard let rate, !knots.isEmpty, knots.count <= Limits.clockKnots else { return nil }
        return GivenClock(knots: knots, nanosecondsPerTick: rate, method: "resync")
    }

    /// Between two epochs the clock was set anew, nobody knows when.
    private static func step(from last: GivenClock.Knot, to next: GivenClock.Knot) -> [GivenClock.Knot] {
        guard next.ticks.distance(from: last.ticks) > 2 else { return [] }
        let doubt = Int64(saturating: Double((next.host - last.host).magnitude))
            .addingReportingOverflow(max(last.boundNanoseconds, next.boundNanoseconds)).partialValue
        return [
            GivenClock.Knot(ticks: TraceTicks(last.ticks.rawValue + 1), host: last.host, boundNanoseconds: doubt),
            GivenClock.Knot(ticks: TraceTicks(next.ticks.rawValue - 1), host: next.host, boundNanoseconds: doubt),
        ]
    }

    /// One block's knots, and its rate.
    private static func knots(
        of block: ArraySlice<Stretch>, _ clock: TraceClock, _ tolerance: ClockTolerance,
        _ ends: (isFirst: Bool, isLast: Bool)
    ) -> ([GivenClock.Knot], Double)? {
        var constraints = ClockConstraints(clock: clock, tolerance: tolerance)
        for stretch in block {
            if let floor = stretch.floor, !constraints.add(.floor, floor) { return nil }
            if let ceiling = stretch.ceiling, !constraints.add(.ceiling, ceiling) { return nil }
        }
        guard let rates = constraints.rates, let zero = (block.first?.floor ?? block.first?.ceiling) else { return nil }
        let middle = (rates.lowerBound + rates.upperBound) / 2
        let slack = (rates.upperBound - rates.lowerBound) / 2
        func above(_ point: ClockConstraints.Point) -> Double {
            Double(point.host - zero.host) - middle * Double(point.ticks.distance(from: zero.ticks))
        }
        var nodes: [Node] = []
        for stretch in block {
            if let floor = stretch.floor { nodes.append(Node(ticks: floor.ticks, low: above(floor) - 1)) }
            if let ceiling = stretch.ceiling { nodes.append(Node(ticks: ceiling.ticks, high: above(ceiling) + 1)) }
        }
        nodes.sort { $0.ticks < $1.ticks }
        nodes += extensions(of: nodes, nanosecondsPerTick: middle, ends)
        nodes.sort { $0.ticks < $1.ticks }
        carry(&nodes, slack)
        var knots: [GivenClock.Knot] = []
        for (index, node) in nodes.enumerated() where node.low <= node.high {
            if let last = knots.last, last.ticks >= node.ticks { continue }
            // Between two knots the edges sag below the straight line: by 2·slack·λ(1-λ)·distance at the share λ of the way.
            let before = index > 0 ? node.ticks.distance(from: nodes[index - 1].ticks) : 0
            let after = index + 1 < nodes.count ? nodes[index + 1].ticks.distance(from: node.ticks) : 0
            let sway = slack * Double(max(before, after)) / 2
            let time = (node.low + node.high) / 2 + middle * Double(node.ticks.distance(from: zero.ticks))
            knots.append(
                GivenClock.Knot(
                    ticks: node.ticks, host: zero.host.advanced(by: Int64(saturating: time.rounded())),
                    boundNanoseconds: Int64(saturating: ((node.high - node.low) / 2 + sway).rounded(.up)) &+ 2))
        }
        return knots.isEmpty ? nil : (knots, middle)
    }

    /// Both edges at all nodes, from both sides. A rate may be off by `slack` either way.
    private static func carry(_ nodes: inout [Node], _ slack: Double) {
        for index in nodes.indices.dropFirst() {
            let reach = slack * Double(nodes[index].ticks.distance(from: nodes[index - 1].ticks))
            nodes[index].low = max(nodes[index].low, nodes[index - 1].low - reach)
            nodes[index].high = min(nodes[index].high, nodes[index - 1].high + reach)
        }
        for index in nodes.indices.dropLast().reversed() {
            let reach = slack * Double(nodes[index + 1].ticks.distance(from: nodes[index].ticks))
            nodes[index].low = max(nodes[index].low, nodes[index + 1].low - reach)
            nodes[index].high = min(nodes[index].high, nodes[index + 1].high + reach)
        }
    }

    /// Events lie a little before the first measurement and behind the last: there the bound grows, in steps.
    private static func extensions(
        of nodes: [Node], nanosecondsPerTick: Double, _ ends: (isFirst: Bool, isLast: Bool)
    ) -> [Node] {
        guard let first = nodes.first?.ticks.rawValue, let last = nodes.last?.ticks.rawValue else { return [] }
        var more: [Node] = []
        for nanoseconds in [1e6, 1e7, 1e8, 1e9, 3e9, 1e10] {
            let ticks = UInt64(nanoseconds / nanosecondsPerTick)
            if ends.isFirst, first > ticks { more.append(Node(ticks: TraceTicks(first - ticks))) }
            if ends.isLast, last < .max - ticks { more.append(Node(ticks: TraceTicks(last + ticks))) }
        }
        return more
    }
}

extension ClockMap {
    /// From now on remembers what is measured, for `resynced`.
    package mutating func keepJournal() { journal = ClockJournal() }

    /// The best map of the whole time, now that it is over; nil where nothing was measured or nothing had to be.
    package var resynced: GivenClock? {
        guard !isIdentity, given.isEmpty, !isKnownByKVM else { return nil }
        return journal?.map(of: clock, tolerance: tolerance)
    }
}
