/// The fixed part of a ring-buffer sub-buffer, read and checked.
///
/// Layout (kernel/trace/ring_buffer.c, `struct buffer_data_page`; published in tracefs as `events/header_page`): a 64-bit
/// time stamp, then a `long` called commit, then the data. The low 27 bits of commit are the bytes of data; bit 31 says
/// that events were lost just before this sub-buffer, bit 30 that their number, a `long`, follows the data. On a 64-bit
/// kernel the flags arrive sign-extended through the upper half, so only the low half is looked at.
struct SubBufferHeader {
    /// The time on which the first record's delta counts.
    let ticks: UInt64
    /// Where the data lie; inside of the sub-buffer, whatever commit claims.
    let data: Range<Int>
    /// Commit claims more data than the sub-buffer has.
    let isCommitPastEnd: Bool
    /// Events were overwritten just before this sub-buffer.
    let hasLoss: Bool
    /// How many; nil when the kernel found no room to say.
    let lost: UInt64?

    private static let sizeMask: UInt32 = (1 << 27) - 1
    private static let missedFlag: UInt32 = 1 << 31
    private static let missedCountStored: UInt32 = 1 << 30

    /// Nil when `page` is shorter than the header.
    init?<Order: WordOrder>(_ page: borrowing RawSpan, longSize: Int, _ order: Order.Type) {
        let long = longSize == 4 ? 4 : 8
        let start = 8 + long
        guard page.byteCount >= start else { return nil }
        ticks = page.word64(at: 0, order)
        // The low half of a wide commit comes second when the most significant byte comes first.
        let commit = page.word32(at: long == 8 && Order.isBigEndian ? 12 : 8, order)
        let claimed = Int(commit & Self.sizeMask)
        let room = page.byteCount - start
        isCommitPastEnd = claimed > room
        let end = start + min(claimed, room)
        data = start..<end
        hasLoss = commit & Self.missedFlag != 0
        guard hasLoss, commit & Self.missedCountStored != 0, !isCommitPastEnd, page.byteCount - end >= long else {
            lost = nil
            return
        }
        lost = long == 8 ? page.word64(at: end, order) : UInt64(page.word32(at: end, order))
    }
}
