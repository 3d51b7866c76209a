/// What the measurements of one epoch say about the guest's clock, and the narrowest line through all of it.
///
/// Let `g(x)` be the host time at which the guest's clock reads `x`. A message from host to guest, sent at host time `a`
/// and received at guest reading `x`, proves `g(x) ≥ a`: a *floor*. A message back, sent at `x` and received at `b`,
/// proves `g(x) ≤ b`: a *ceiling*. Nothing is assumed about delays, their symmetry or their distribution. Whatever
/// proves that a guest instant lies after or before a host instant enters by the same door; probes are one producer.
///
/// The rate `g'` is taken to stay within a fraction `h` of some unknown rate `r` (`ClockTolerance`; `h` is half the
/// wander). So a floor `(x₁, a)` and a ceiling `(x₂, b)` with `d = x₂ - x₁` leave those `r` for which
///
///     a + r·d - h·r·|d| ≤ b,   that is   r ≤ (b-a)/d / (1-h) when d > 0,   r ≥ (b-a)/d / (1+h) when d < 0.
///
/// The intersection over all pairs, and with what is possible at all, is `slowest...fastest`. If it is empty, no clock
/// that keeps the assumptions can have given these readings: it was stepped, migrated, suspended or steered, and the
/// caller opens a new epoch. From here on every rate is within `slow = slowest·(1-h)` and `fast = fastest·(1+h)`, and
///
///     g(t) ≥ a + slow·(t-x) for t ≥ x,   a + fast·(t-x) for t < x     (floors; ceilings the other way round).
///
/// For `t` at or after every measurement all floors grow alike, so that the best one at the newest measurement stays
/// the best, and no rate allowed by the pairs can go below it: the bound is exact there, which is where live events
/// lie. It is the convex-hull method (Duda 1987; Jabbarifar) with a stated wander in the place of "constant drift".
///
/// Forgetting a measurement only widens the bound. So a fixed number of them is kept: the best floor and the best
/// ceiling of each window of time. Windows start at 1 ms, so that the first burst already gives a rate, and double
/// whenever they are too many, up to 2.1 s; then the oldest go.
///
/// Readings are rounded down to whole ticks and nanoseconds, so every constraint is first widened by a nanosecond. All
/// arithmetic is on differences within the horizon (7·10¹⁰ ns, exact in a `Double` to 10⁻⁵ ns), at any uptime.
import TraceModel

struct ClockConstraints: Sendable, Codable {
    enum Side { case floor, ceiling }

    struct Point: Sendable, Codable {
        var ticks: TraceTicks
        var host: HostTime
    }

    private struct Window: Codable {
        var number: Int64
        var floor: Point?
        var ceiling: Point?
    }

    private static let firstShift: Int64 = 20
    private static let lastShift: Int64 = 31
    /// Age of the oldest measurement in use: half of the horizon, as long as the windows reach when they are longest.
    private static let retentionNanoseconds = ClockTolerance.horizonNanoseconds / 2

    private let possibleRates: ClosedRange<Double>
    /// `h`.
    private let wander: Double
    private let drift: Double
    private var windows: [Window] = []
    /// A window is 2^shift host nanoseconds.
    private var shift = firstShift
    private var slowest: Double
    private var fastest: Double
    private var newest: Point?

    init(clock: TraceClock, tolerance: ClockTolerance) {
        possibleRates = tolerance.rates(of: clock)
        wander = tolerance.wanderPPM * 0.5e-6
        drift = tolerance.driftPPM * 1e-6
        slowest = possibleRates.lowerBound
        fastest = possibleRates.upperBound
        windows.reserveCapacity(Limits.clockWindows + 1)
    }

    var isEmpty: Bool { windows.isEmpty }

    /// Floors and no ceiling, or the other way round.
    var isOneSided: Bool { windows.contains { $0.floor != nil } != windows.contains { $0.ceiling != nil } }

    /// Takes a measurement in; false when it contradicts the others, and then the set is of no more use.
    mutating func add(_ side: Side, _ measured: Point) -> Bool {
        var point = measured
        point.host = point.host.advanced(by: side == .floor ? -1 : 1)
        if let last = windows.last, start(last) - point.host >= Self.retentionNanoseconds { return true }
        if newest.map({ $0.ticks < point.ticks }) ?? true { newest = point }
        forget(before: point.host.advanced(by: -Self.retentionNanoseconds))
        for window in windows {
            if side == .floor, let ceiling = window.ceiling { narrow(floor: point, ceiling: ceiling) }
            if side == .ceiling, let floor = window.floor { narrow(floor: floor, ceiling: point) }
        }
        guard slowest <= fastest else { return false }
        keep(side, point)
        return true
    }

    /// Host nanoseconds per tick, from the least to the greatest that is possible; nil while the rate is known less well
    /// than a nanosecond clock's is beforehand.
    var rates: ClosedRange<Double>? {
        guard fastest - slowest <= 2 * drift * fastest * (1 + drift) else { return nil }
        return slowest * (1 - wander)...fastest * (1 + wander)
    }

    /// The middle line and its bound; nil while one side is missing or the rate is known less well than a nanosecond
    /// clock's is beforehand, because then the bound would be seconds after seconds.
    func line() -> ClockLine? {
        guard let newest, let rates else { return nil }
        var floor: Point?
        var ceiling: Point?
        for window in windows {
            floor = better(.floor, floor, window.floor)
            ceiling = better(.ceiling, ceiling, window.ceiling)
        }
        guard let floor, let ceiling else { return nil }
        return ClockLine(
            at: newest.ticks, floor: floor, ceiling: ceiling, slow: rates.lowerBound, fast: rates.upperBound,
            drift: drift)
    }

    // MARK: Rates

    private mutating func narrow(floor: Point, ceiling: Point) {
        let distance = Double(ceiling.ticks.distance(from: floor.ticks))
        let elapsed = Double(ceiling.host - floor.host)
        if distance > 0 {
            fastest = min(fastest, elapsed / distance / (1 - wander))
        } else if distance < 0 {
            slowest = max(slowest, elapsed / distance / (1 + wander))
        } else if elapsed < 0 {
            fastest = -.infinity
        }
    }

    /// Rates may be compared within the horizon only, so what older measurements said about the rate goes with them.
    private mutating func forget(before oldest: HostTime) {
        guard let first = windows.first, start(first) <= oldest else { return }
        let kept = windows.firstIndex { start($0) > oldest } ?? windows.count
        windows.removeSubrange(..<kept)
        slowest = possibleRates.lowerBound
        fastest = possibleRates.upperBound
        for earlier in windows {
            guard let floor = earlier.floor else { continue }
            for later in windows {
                if let ceiling = later.ceiling { narrow(floor: floor, ceiling: ceiling) }
            }
        }
    }

    // MARK: Windows

    private func start(_ window: Window) -> HostTime { HostTime(nanoseconds: window.number << shift) }

    private mutating func keep(_ side: Side, _ point: Point) {
        let number = point.host.nanoseconds >> shift
        let place = windows.lastIndex { $0.number <= number }
        if let place, windows[place].number == number {
            switch side {
            case .floor: windows[place].floor = better(.floor, windows[place].floor, point)
            case .ceiling: windows[place].ceiling = better(.ceiling, windows[place].ceiling, point)
            }
            return
        }
        let window = Window(
            number: number, floor: side == .floor ? point : nil, ceiling: side == .ceiling ? point : nil)
        windows.insert(window, at: place.map { $0 + 1 } ?? 0)
        while windows.count > Limits.clockWindows, shift < Self.lastShift { doubleWindows() }
        if windows.count > Limits.clockWindows { forget(before: start(windows[0])) }
    }

    private mutating func doubleWindows() {
        shift += 1
        var doubled: [Window] = []
        doubled.reserveCapacity(Limits.clockWindows + 1)
        for var window in windows {
            window.number >>= 1
            if let last = doubled.last, last.number == window.number {
                window.floor = better(.floor, last.floor, window.floor)
                window.ceiling = better(.ceiling, last.ceiling, window.ceiling)
                doubled[doubled.count - 1] = window
            } else {
                doubled.append(window)
            }
        }
        windows = doubled
    }

    /// Which of two says more about the newest instant; the later one when they say the same.
    private func better(_ side: Side, _ first: Point?, _ second: Point?) -> Point? {
        guard let first, let second else { return first ?? second }
        guard let now = newest?.ticks else { return second }
        let gap = Double(second.host - first.host)
        let ages = (Double(now.distance(from: first.ticks)), Double(now.distance(from: second.ticks)))
        switch side {
        case .floor: return gap + slowest * (1 - wander) * (ages.1 - ages.0) >= 0 ? second : first
        case .ceiling: return gap + fastest * (1 + wander) * (ages.1 - ages.0) <= 0 ? second : first
        }
    }
}
