import Glibc
import Threading

/// How far something is that takes long, in a line that is written over in place. What is done at once shows nothing.
final class WaitingLine {
    private let status = StatusLine(descriptor: STDERR_FILENO)
    private let what: String
    private let begin = MonotonicClock.nanoseconds()
    private var shownAt: Int64
    private var count = 0

    init(_ what: String) {
        self.what = what
        shownAt = begin
    }

    /// To be called with every input. True now and then, for whoever looks at something else too: a look at the clock with
    /// every input would cost more than some inputs.
    @discardableResult
    func step(_ progress: @autoclosure () -> Double) -> Bool {
        count += 1
        guard count % 16 == 0 else { return false }
        let now = MonotonicClock.nanoseconds()
        guard now - shownAt >= 200_000_000 else { return true }
        shownAt = now
        let share = progress()
        let seconds = Double(now - begin) / 1e9
        let left = share > 0.01 ? "  \(Int((seconds / share - seconds).rounded(.up))) s left" : ""
        status.show { String("\(what)  \(Int(share * 100)) %\(left)".prefix($0)) }
        return true
    }

    func clear() { status.clear() }
}
