import Glibc

/// A moment on the monotonic clock until which a call may wait; nil milliseconds: for ever.
///
/// A guest's clock can jump while we wait, by an hour when its machine was paused, and then nobody has kept us waiting. So
/// long waits are made of short ones, each of which counts for no more than it was meant to last.
struct Deadline {
    private let end: UInt64?
    private let span: Int
    private static let stepMilliseconds = 1_000

    init(afterMilliseconds milliseconds: Int?) {
        span = max(0, milliseconds ?? 0)
        guard let milliseconds else {
            end = nil
            return
        }
        let (span, tooLong) = UInt64(max(0, milliseconds)).multipliedReportingOverflow(by: 1_000_000)
        let (sum, pastEnd) = Deadline.now().addingReportingOverflow(span)
        end = tooLong || pastEnd ? .max : sum
    }

    var isOver: Bool { end.map { $0 <= Deadline.now() } ?? false }

    /// What poll(2) is given: rounded up, so that it does not return a moment too early and spin; -1: for ever.
    var pollMilliseconds: Int32 {
        guard let end else { return -1 }
        let now = Deadline.now()
        return now >= end ? 0 : Int32(clamping: (end - now) / 1_000_000 + 1)
    }

    /// The next short wait, when `waited` milliseconds of them are over; nil when it was long enough, -1: for ever.
    func nextWait(after waited: Int) -> Int32? {
        guard end != nil else { return -1 }
        let left = pollMilliseconds
        if left > 0 { return min(left, Int32(Self.stepMilliseconds)) }
        // Less than a step too short is not the clock, but how long it takes to be woken.
        return span - waited > Self.stepMilliseconds ? Int32(Self.stepMilliseconds) : nil
    }

    /// For a call that takes a span; nil: for ever.
    var remainingMilliseconds: Int? { end == nil ? nil : Int(pollMilliseconds) }

    private static func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
