/// How long things took: a distribution, boiled down to what a screen shows.
extension Snapshot {
    /// Durations of one kind, all since the start of the window; absent where none was measured.
    ///
    /// Only closed intervals are in it. Percentiles are the upper end of the histogram's step that holds them: at most
    /// 1/128 too high for ready intervals and wake-ups, 1/16 for exits. The maximum is exact.
    package struct Durations: Codable, Hashable, Sendable {
        package var count: UInt64
        /// Sum of all; the mean is this by `count`.
        package var totalNanoseconds: Int64
        package var p50Nanoseconds: Int64
        package var p99Nanoseconds: Int64
        package var p999Nanoseconds: Int64
        package var maximumNanoseconds: Int64
        /// When the longest one began, on the host's trace clock.
        package var maximumAtNanoseconds: Int64
        /// The histogram in steps of powers of two, for drawing: element `n` counts durations from 2ⁿ up to, not
        /// including, 2ⁿ⁺¹ ns (element 0 also those of 0). The last element is not 0; they sum to `count`.
        package var countsByPowerOfTwo: [UInt64]

        package init(
            count: UInt64, totalNanoseconds: Int64, p50Nanoseconds: Int64, p99Nanoseconds: Int64,
            p999Nanoseconds: Int64, maximumNanoseconds: Int64, maximumAtNanoseconds: Int64,
            countsByPowerOfTwo: [UInt64] = []
        ) {
            self.count = count
            self.totalNanoseconds = totalNanoseconds
            self.p50Nanoseconds = p50Nanoseconds
            self.p99Nanoseconds = p99Nanoseconds
            self.p999Nanoseconds = p999Nanoseconds
            self.maximumNanoseconds = maximumNanoseconds
            self.maximumAtNanoseconds = maximumAtNanoseconds
            self.countsByPowerOfTwo = countsByPowerOfTwo
        }

        package var meanNanoseconds: Int64 { count == 0 ? 0 : totalNanoseconds / Int64(clamping: count) }

        enum CodingKeys: String, CodingKey {
            case count
            case totalNanoseconds = "total_ns"
            case p50Nanoseconds = "p50_ns"
            case p99Nanoseconds = "p99_ns"
            case p999Nanoseconds = "p99_9_ns"
            case maximumNanoseconds = "max_ns"
            case maximumAtNanoseconds = "max_at_ns"
            case countsByPowerOfTwo = "log2_counts"
        }
    }
}
