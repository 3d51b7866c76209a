package import SessionLog
import Threading
import Timeline
package import TraceModel
import Wire

/// How live sessions of a host and its guests belong together, found out from their first seconds.
///
/// Before a session begins, its feeds keep what they read: `note` looks at it as the survey of a trace on disk does. Which
/// host thread runs a guest's CPU comes out, and messages between the two clocks. They are told as probes; from there on
/// the pipeline itself narrows the map by the entries and exits of the threads that it now knows.
package final class LiveSync: @unchecked Sendable {
    // @unchecked: all state is only touched under `lock`.
    private struct Source {
        var survey = TraceSurvey()
        var fields = SurveyFields([])
    }

    /// A guest of which the wall clock is known.
    package struct Guest: Sendable {
        package let id: SourceID
        package let name: String
        package let wallClock: GivenClock

        package init(id: SourceID, name: String, wallClock: GivenClock) {
            self.id = id
            self.name = name
            self.wallClock = wallClock
        }
    }

    private let lock = ConditionLock()
    private var sources: [SourceID: Source] = [:]
    private var isOver = false

    /// Milliseconds between two looks, and in all: a live session tells its events every second or so.
    private static let pause = 500
    private static let patience = 5_000
    /// Messages told as probes at the beginning.
    private static let mostProbes = 512

    package init() {}

    /// What a feed has read; does nothing once the session has begun.
    package func note(_ batches: [EventBatch], formats: [EventFormat], of source: SourceID) {
        lock.withLock {
            guard !isOver else { return }
            var known = sources[source] ?? Source()
            sources[source] = nil
            if known.fields.formatCount != formats.count { known.fields = SurveyFields(formats) }
            for batch in batches { known.survey.add(batch, known.fields) }
            sources[source] = known
        }
    }

    /// What is to be told of these guests before their first event. Where the host is a live session too, waits until all
    /// are found, for some seconds.
    package func settle(_ guests: [Guest], hasHost: Bool) -> [LogRecord] {
        let deadline = MonotonicClock.deadline(after: Int64(Self.patience) * 1_000_000)
        return lock.withLock {
            defer {
                isOver = true
                sources = [:]
            }
            while true {
                let found = relations(guests)
                let now = MonotonicClock.nanoseconds()
                if found.count == guests.count || now >= deadline || !hasHost {
                    return guests.flatMap { found[$0.id] ?? [.clock($0.id, .given($0.wallClock))] }
                }
                _ = lock.wait(until: min(deadline, now + Int64(Self.pause) * 1_000_000))
            }
        }
    }

    private func relations(_ guests: [Guest]) -> [SourceID: [LogRecord]] {
        guard let host = sources[.host]?.survey else { return [:] }
        var free = host.threads
        var found: [SourceID: [LogRecord]] = [:]
        for guest in guests {
            guard let survey = sources[guest.id]?.survey else { continue }
            var map = ClockMap(clock: .mono)
            map.learn(.given(guest.wallClock))
            let matches = CTFRelations.match(survey, map, host: host, &free)
            let messages = CTFRelations.messages(survey, matches, host)
            // Something must be proved from both sides.
            guard !messages.isEmpty, GuestSync.clock(messages, method: "") != nil else { continue }
            let step = max(1, messages.count / Self.mostProbes)
            let told = stride(from: 0, to: messages.count, by: step).map { messages[$0].probe }
            found[guest.id] =
                CTFRelations.identify(guest.id, guest.name, matches, host)
                + told.map { LogRecord.probe(guest.id, $0) }
        }
        return found
    }
}
