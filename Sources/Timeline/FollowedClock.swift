/// One vCPU's events, followed over a whole recording, in which their clock may have been set anew.
///
/// From a match the events are followed both ways, each as far as the clock can have stamped them: into what the clock before
/// or after has stamped, until an event has no window. So two clocks that follow each other overlap, and the step lies where
/// they do: before it only the first can be believed, behind it the second, and in it neither.
import TraceModel

struct FollowedClock {
    private struct Stretch {
        var match: ThreadMatch
        var messages: [GuestSync.Message]
        /// The first event each way that is not of this clock.
        var before: UInt64?
        var behind: UInt64?
    }

    private let thread: ClockSurvey.VCPUThread
    private let times: [UInt64]
    private var stretches: [Stretch] = []
    private var lost: [ClosedRange<UInt64>] = []

    /// How often a clock that was set anew is looked for, in a whole recording.
    private static let mostSteps = 16
    /// Where nothing tells when a step was, events of the new clock may have had a window by chance: so many are not believed.
    private static let doubtfulEvents = 64

    /// What the events of one CPU prove; `times` ascend.
    static func evidence(
        _ match: ThreadMatch, _ times: [UInt64], _ thread: ClockSurvey.VCPUThread
    ) -> GuestSync.Evidence {
        var clock = FollowedClock(thread: thread, times: times)
        clock.follow(from: match)
        return clock.evidence()
    }

    private init(thread: ClockSurvey.VCPUThread, times: [UInt64]) {
        self.thread = thread
        self.times = times
    }

    private mutating func follow(from match: ThreadMatch) {
        var open = [(match, times.indices)]
        while let (match, range) = open.popLast() {
            let middle = times.partitionPoint { $0 < match.guestTicks }
            var forward = EventFollower(match, thread, isBackward: false)
            var backward = EventFollower(match, thread, isBackward: true)
            let behind = forward.follow(times[middle...])
            let before = backward.follow(times[..<middle].reversed())
            stretches.append(
                Stretch(match: match, messages: backward.messages + forward.messages, before: before, behind: behind))
            let begins = behind.map { time in times.partitionPoint { $0 < time } } ?? range.upperBound
            let ends = before.map { time in times.partitionPoint { $0 <= time } } ?? range.lowerBound
            for rest in [
                range.lowerBound..<max(range.lowerBound, ends), min(begins, range.upperBound)..<range.upperBound,
            ]
            where !rest.isEmpty {
                let again = stretches.count > Self.mostSteps ? nil : match.again(in: Array(times[rest]), thread)
                if let again { open.append((again, rest)) } else { lose(rest) }
            }
        }
    }

    /// No clock was found that has stamped these.
    private mutating func lose(_ range: Range<Int>) {
        let first = max(range.lowerBound - Self.doubtfulEvents, 0)
        let last = min(range.upperBound + Self.doubtfulEvents, times.count) - 1
        lost.append(times[first]...times[last])
    }

    private func evidence() -> GuestSync.Evidence {
        var stretches = stretches.sorted { $0.match.guestTicks < $1.match.guestTicks }
        var lost = lost
        for index in stretches.indices.dropLast() {
            guard let behind = stretches[index].behind, let before = stretches[index + 1].before else { continue }
            let step = min(behind, before)...max(behind, before)
            stretches[index].messages.removeAll { $0.last >= step.lowerBound }
            stretches[index + 1].messages.removeAll { $0.first <= step.upperBound }
            lost.append(step)
        }
        var evidence = GuestSync.Evidence(messages: stretches.flatMap(\.messages))
        evidence.messages.removeAll { message in
            lost.contains { $0.contains(message.first) || $0.contains(message.last) }
        }
        evidence.lost = lost
        return evidence
    }
}
