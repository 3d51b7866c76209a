import Glibc

/// A moment on the monotonic clock until which a call may wait; nil milliseconds: for ever.
struct Deadline {
    private let end: UInt64?

    init(afterMilliseconds milliseconds: Int?) {
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

    /// For a call that takes a span; nil: for ever.
    var remainingMilliseconds: Int? { end == nil ? nil : Int(pollMilliseconds) }

    private static func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
