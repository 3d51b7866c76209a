/// How much of a session a recording keeps, and in what pieces. Nothing set: all of it, in one file.
package struct LogRetention: Hashable, Sendable {
    /// A segment ends when it has so many bytes.
    package var segmentBytes: UInt64?
    /// A segment ends when so much of the session is in it.
    package var segmentNanoseconds: Int64?
    /// The oldest segments go when all together would have more.
    package var keptBytes: UInt64?
    /// The oldest segments go when those after them hold so much of the session.
    package var keptNanoseconds: Int64?

    package init() {}

    /// Pieces that a ring is made of: as many times less is removed at once than is kept.
    private static let pieces = 8
    /// Below it, what each segment repeats (formats, some hundred KB) would be most of it.
    package static let leastSegmentBytes: UInt64 = 1 << 20

    /// At most `bytes` on disk: the newest ones.
    package mutating func keep(bytes: UInt64) {
        keptBytes = bytes
        segmentBytes = min(
            segmentBytes ?? .max, max(LogRetention.leastSegmentBytes, bytes / UInt64(LogRetention.pieces)))
    }

    /// At least the last `nanoseconds`, and an eighth more at most.
    package mutating func keep(nanoseconds: Int64) {
        keptNanoseconds = nanoseconds
        segmentNanoseconds = max(1, nanoseconds / Int64(LogRetention.pieces))
    }

    /// Old segments are removed, so that the recording need not begin with the session.
    package var isRing: Bool { keptBytes != nil || keptNanoseconds != nil }
}
