/// Two clocks from messages between their machines: the narrowest straight lines that no message contradicts.
///
/// For machines of which nothing is known but that their clocks run evenly: traces that were recorded elsewhere, matched
/// by their TCP segments or by vmsync's hypercalls. A message *received* by the reference at x, sent at y on the other
/// clock, says that the other had passed y by then: the point (x, y) lies below the line. One *sent* by the reference lies
/// above it. The points that matter are the hulls of both clouds; between them run the line of least and the line of
/// greatest slope. This is the incremental method of Duda (1987) and Jabbarifar (2013) as Trace Compass has it, with its
/// published vectors as tests; there is no other state than the hulls, a few dozen points for any number of messages.
///
/// Coordinates are differences to the first message, their products 128 bits long: at any uptime, for 292 years.
///
/// What it adds is the bound: at and after the newest points the true line runs between the two. Unlike `ClockConstraints`
/// it knows no wander: over minutes, even a good oscillator leaves the lines, and then the state is `failed`, for good.
/// Who can be told begins a new hull there.
import TraceModel

package struct ConvexHull: Sendable, Codable {
    package enum Quality: String, Hashable, Sendable, Codable {
        case absent, incomplete, approximate, accurate, failed
    }

    /// `other = slope * reference + intercept`, in the coordinates given, as of the last message that agreed.
    package struct Line: Hashable, Sendable, Codable {
        package var slope: Double
        package var intercept: Double
    }

    private struct Point: Codable, Hashable {
        var x: Int64
        var y: Int64
    }

    /// The line of one class of messages: from a point of the other hull to the newest useful one of its own.
    private struct Side: Codable {
        /// Below the line, received by the reference; or above it, sent by it.
        let isBelow: Bool
        var hull: [Point] = []
        var origin: Point?
        var target: Point?

        /// Whether `b` lies to the outer side of `a`, as seen from `p`.
        func turnsOut(_ p: Point, _ a: Point, _ b: Point) -> Bool {
            let area =
                (Int128(a.x) - Int128(p.x)) * (Int128(b.y) - Int128(p.y))
                - (Int128(a.y) - Int128(p.y)) * (Int128(b.x) - Int128(p.x))
            return isBelow ? area > 0 : area < 0
        }

        /// False when the line to the present target says more than the point does.
        mutating func take(_ point: Point) -> Bool {
            if let origin, let target, !turnsOut(point, origin, target) { return false }
            while hull.count >= 2, turnsOut(point, hull[hull.count - 2], hull[hull.count - 1]) { hull.removeLast() }
            hull.append(point)
            target = point
            return true
        }

        /// Moves the origin along the other hull, forwards only, while the line becomes steeper or flatter by it. The
        /// newest point of that hull is no origin before another has followed it: the published vectors say so.
        mutating func findOrigin(on other: [Point]) {
            guard let target else { return }
            var place = origin.flatMap { other.firstIndex(of: $0) } ?? 0
            var last: Point?
            while place + 1 < other.count {
                last = other[place]
                guard turnsOut(other[place], other[place + 1], target), other[place + 1].x < target.x else {
                    origin = other[place]
                    break
                }
                place += 1
            }
            origin = origin ?? last
            if let origin, origin.x > target.x { self.origin = nil }
        }

        /// Slope 1 where there is none; nil before the first point.
        var line: Line? {
            guard let target else { return nil }
            guard let origin, origin.x != target.x else {
                return Line(slope: 1, intercept: Double(target.y) - Double(target.x))
            }
            let slope = Double(target.y - origin.y) / Double(target.x - origin.x)
            return Line(slope: slope, intercept: Double(target.y) - slope * Double(target.x))
        }
    }

    private var zero: Point?
    private var below = Side(isBelow: true)
    private var above = Side(isBelow: false)
    package private(set) var quality = Quality.absent
    private var kept = Line(slope: 1, intercept: 0)

    package init() {}

    /// Points held.
    package var count: Int { below.hull.count + above.hull.count }

    /// The reference received at `reference` what the other sent at `other`.
    package mutating func received(at reference: Int64, sentAt other: Int64) {
        guard let point = point(reference, other) else { return }
        let isUseful = below.take(point)
        below.findOrigin(on: above.hull)
        if above.target != nil, !below.hull.contains(where: { $0 == above.origin }) { above.findOrigin(on: below.hull) }
        if isUseful { estimate() }
    }

    /// The reference sent at `reference` what the other received at `other`.
    package mutating func sent(at reference: Int64, receivedAt other: Int64) {
        guard let point = point(reference, other) else { return }
        let isUseful = above.take(point)
        above.findOrigin(on: below.hull)
        if below.target != nil, !above.hull.contains(where: { $0 == below.origin }) { below.findOrigin(on: above.hull) }
        if isUseful { estimate() }
    }

    /// Nil when it is farther from the first than 64 bits reach.
    private mutating func point(_ reference: Int64, _ other: Int64) -> Point? {
        let origin = zero ?? Point(x: reference, y: other)
        zero = origin
        let (x, xOverflow) = reference.subtractingReportingOverflow(origin.x)
        let (y, yOverflow) = other.subtractingReportingOverflow(origin.y)
        let reach = Int64(1) << 62
        guard !xOverflow, !yOverflow, abs(x) < reach, abs(y) < reach else { return nil }
        return Point(x: x, y: y)
    }

    private mutating func estimate() {
        guard below.origin != nil || above.origin != nil, let least = below.line, let greatest = above.line else {
            quality = .incomplete
            return
        }
        let isWhole = below.origin != nil && above.origin != nil
        guard !isWhole || greatest.slope > least.slope else {
            quality = .failed
            return
        }
        quality = isWhole ? .accurate : .approximate
        kept = Line(
            slope: (least.slope + greatest.slope) / 2, intercept: (least.intercept + greatest.intercept) / 2)
    }

    // MARK: Answers

    /// The line in the coordinates given; slope 1 and intercept 0 before both directions were seen.
    package var line: Line {
        guard let zero, quality != .absent, quality != .incomplete || kept != Line(slope: 1, intercept: 0) else {
            return kept
        }
        return Line(slope: kept.slope, intercept: kept.intercept + Double(zero.y) - kept.slope * Double(zero.x))
    }

    /// The reference's time when the other clock reads `other`, and how far off it can be if both run evenly; nil while
    /// only an estimate is there.
    package func reference(at other: Int64) -> (time: Int64, boundNanoseconds: Int64)? {
        guard quality == .accurate || quality == .failed, let zero, kept.slope > 0,
            let least = below.line, let greatest = above.line, least.slope > 0
        else { return nil }
        let y = Double(other - zero.y)
        let time = (y - kept.intercept) / kept.slope
        let ends = [(y - least.intercept) / least.slope, (y - greatest.intercept) / greatest.slope]
        let bound = ends.reduce(0) { max($0, abs($1 - time)) }
        return (
            HostTime(nanoseconds: zero.x).advanced(by: Int64(saturating: time.rounded())).nanoseconds,
            Int64(saturating: bound.rounded(.up)) &+ 1
        )
    }
}
