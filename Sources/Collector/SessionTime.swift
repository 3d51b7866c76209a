package import SessionLog
import Thresholds
package import TraceModel

/// An instant of a session as people say it: `12.5` or `500ms` after its start, or `@8131.000204112`, a time of the host's
/// trace clock as lists of events show it.
package enum SessionTime: Hashable, Sendable {
    case sinceStart(nanoseconds: Int64)
    case clock(HostTime)

    /// Nil when the text is neither.
    package init?(_ text: String) {
        if text.hasPrefix("@") {
            guard let time = Quantities.nanoseconds(String(text.dropFirst()), unit: "s") else { return nil }
            self = .clock(HostTime(nanoseconds: time))
        } else {
            guard let time = Quantities.nanoseconds(text, unit: "s") else { return nil }
            self = .sinceStart(nanoseconds: time)
        }
    }

    package func instant(in facts: SessionFacts) -> HostTime {
        switch self {
        case .sinceStart(let nanoseconds): facts.start.advanced(by: nanoseconds)
        case .clock(let time): time
        }
    }
}
