import Histogram
import TraceModel

/// How long things of one kind took: a histogram, and what it cannot tell (the exact longest one, and when).
///
/// HdrHistogram steps are a fixed share of the value, so that microseconds and minutes are told equally well. It is made
/// when the first value comes, because most vCPUs never see most exit reasons; from then on a value costs one addition to
/// one counter, without allocation. Counters have 64 bits: one of 32 would wrap after half a day of 100,000 exits a second.
struct Distribution: Sendable, Codable {
    enum Resolution: Sendable, Codable {
        /// Steps of 1/16: 2^42 ns in 39 octaves of 16 counters of 8 bytes, 5 KiB.
        case coarse
        /// Steps of 1/128: 35 octaves of 128 counters, 36 KiB.
        case fine
    }

    /// 2^42 ns, 73 minutes. What takes longer is counted there; the maximum stays exact.
    private static let longest: UInt64 = 1 << 42

    /// One, or none as long as nothing was added. An array, not an optional: its element is changed in place, where an
    /// optional of a generic type of another module is copied for every value (30 ns instead of 4).
    private var histogram: [Histogram<UInt64>] = []
    private let resolution: Resolution
    private var total: Int64 = 0
    private var maximum: Int64 = -1
    private var maximumAt: Int64 = 0
    /// What `seal` left of the histogram; one or none.
    private var sealed: [Snapshot.Durations] = []

    init(_ resolution: Resolution) { self.resolution = resolution }

    mutating func add(_ nanoseconds: Int64, since start: Int64) {
        if histogram.isEmpty { begin() }
        histogram[0].record(min(UInt64(max(0, nanoseconds)), Self.longest))
        total &+= nanoseconds
        if nanoseconds > maximum {
            maximum = nanoseconds
            maximumAt = start
        }
    }

    private mutating func begin() {
        histogram = [
            Histogram(
                highestTrackableValue: Self.longest, numberOfSignificantValueDigits: resolution == .coarse ? .one : .two
            )
        ]
    }

    /// Nothing will be added any more: the summary stays, the counters go.
    mutating func seal() {
        sealed = summary.map { [$0] } ?? []
        histogram = []
    }

    /// Nil as long as nothing was added.
    var summary: Snapshot.Durations? {
        guard let histogram = histogram.first else { return sealed.first }
        func percentile(_ share: Double) -> Int64 {
            min(Int64(clamping: histogram.valueAtPercentile(share)), maximum)
        }
        return Snapshot.Durations(
            count: histogram.totalCount, totalNanoseconds: total, p50Nanoseconds: percentile(50),
            p99Nanoseconds: percentile(99), p999Nanoseconds: percentile(99.9), maximumNanoseconds: maximum,
            maximumAtNanoseconds: maximumAt, countsByPowerOfTwo: Self.countsByPowerOfTwo(histogram))
    }

    /// The library's steps end at powers of two, so that these counts are exact.
    private static func countsByPowerOfTwo(_ histogram: Histogram<UInt64>) -> [UInt64] {
        var counts: [UInt64] = []
        var left = histogram.totalCount
        while left > 0, counts.count < 63 {
            let first: UInt64 = counts.isEmpty ? 0 : 1 << UInt64(counts.count)
            let count = histogram.count(within: first...(UInt64(2) << UInt64(counts.count)) - 1)
            counts.append(count)
            left -= min(left, count)
        }
        return counts
    }
}
