import Testing
import Timeline
import TraceModel

/// The published vectors of Trace Compass's synchronisation, restated: sender, time of sending, time of receiving.
struct ConvexHullTests {
    enum Sender { case reference, other }

    struct Step {
        var sender: Sender
        var sent: Int64
        var received: Int64
        var quality: ConvexHull.Quality
        var slope: Double
        var intercept: Double

        init(
            _ sender: Sender, _ sent: Int64, _ received: Int64, _ quality: ConvexHull.Quality, _ slope: Double,
            _ intercept: Double
        ) {
            (self.sender, self.sent, self.received) = (sender, sent, received)
            (self.quality, self.slope, self.intercept) = (quality, slope, intercept)
        }
    }

    /// `base` is added to all times of the reference, and as much to the other clock's.
    func check(_ steps: [Step], base: Int64 = 0, line: Int = #line) {
        var hull = ConvexHull()
        #expect(hull.quality == .absent)
        for (number, step) in steps.enumerated() {
            switch step.sender {
            case .reference: hull.sent(at: base + step.sent, receivedAt: base + step.received)
            case .other: hull.received(at: base + step.received, sentAt: base + step.sent)
            }
            #expect(hull.quality == step.quality, "step \(number) of line \(line)")
            guard base == 0 else { continue }
            #expect(abs(hull.line.slope - step.slope) < 1e-12, "step \(number) of line \(line)")
            #expect(abs(hull.line.intercept - step.intercept) < 1e-12, "step \(number) of line \(line)")
        }
    }

    static let mixed = [
        Step(.other, 1, 1, .incomplete, 1, 0), Step(.reference, 1, 3, .incomplete, 1, 0),
        Step(.other, 2, 3, .approximate, 1, 0.5), Step(.reference, 3, 5, .accurate, 0.75, 1.25),
        Step(.reference, 4, 8, .accurate, 0.75, 1.25), Step(.other, 4, 5, .accurate, 1.125, 0.875),
        Step(.other, 4, 6, .accurate, 1.125, 0.875), Step(.reference, 6, 7, .accurate, 0.725, 1.275),
        Step(.reference, 7, 4, .accurate, 0.375, 1.625), Step(.other, 7, 3, .failed, 0.375, 1.625),
    ]

    static let oneWay = [
        Step(.reference, 1, 3, .incomplete, 1, 0), Step(.reference, 2, 5, .incomplete, 1, 0),
        Step(.reference, 3, 5, .incomplete, 1, 0), Step(.reference, 4, 7, .incomplete, 1, 0),
    ]

    @Test
    func `messages both ways narrow the line until they contradict`() { check(Self.mixed) }

    @Test
    func `years of uptime change nothing`() { check(Self.mixed, base: 20 * 365 * 86_400_000_000_000) }

    @Test
    func `one direction says nothing, and two that never overlap little`() {
        check(Self.oneWay)
        var hull = ConvexHull()
        for step in Self.oneWay { hull.sent(at: step.sent, receivedAt: step.received) }
        for (sent, received): (Int64, Int64) in [(7, 6), (8, 6), (10, 8)] { hull.received(at: received, sentAt: sent) }
        #expect(hull.quality == .approximate)
        #expect(abs(hull.line.slope - 1) < 1e-12)
        #expect(abs(hull.line.intercept - 2.5) < 1e-12)
    }

    @Test(arguments: 0..<50 as Range<UInt64>)
    func `steady clocks stay within the lines, and a few points are enough`(seed: UInt64) {
        var random = Random(seed: seed)
        var clock = SimulatedClock()
        clock.hostStart = Int64.random(in: 0...(20 * 365 * 86_400_000_000_000), using: &random)
        clock.guestStart = UInt64.random(in: 0...(20 * 365 * 86_400_000_000_000), using: &random)
        clock.driftPPM = Double.random(in: -200...200, using: &random)
        var hull = ConvexHull()
        var most = 0
        var now = 0.0
        for index in 0..<3_000 {
            now += Double.random(in: 1e5...1e7, using: &random)
            let later = now + Double.random(in: 1_000...20_000, using: &random)
            if index.isMultiple(of: 2) {
                hull.sent(at: clock.host(now).nanoseconds, receivedAt: Int64(clock.ticks(later).rawValue))
            } else {
                hull.received(at: clock.host(later).nanoseconds, sentAt: Int64(clock.ticks(now).rawValue))
            }
            most = max(most, hull.count)
            guard index > 10, let placed = hull.reference(at: Int64(clock.ticks(later).rawValue)) else { continue }
            #expect(abs(placed.time - clock.host(later).nanoseconds) <= placed.boundNanoseconds, "seed \(seed)")
        }
        #expect(hull.quality == .accurate)
        #expect(most <= 64)
    }
}
