package import SessionLog
import Threading
import Timeline
package import TraceModel
import Wire

/// How live sessions of a host and its guests belong together, found out from their events.
///
/// Before a session begins, its feeds keep what they read: `note` looks at it as the survey of a trace on disk does. Which
/// host thread runs a guest's CPU comes out, and messages between the two clocks. They are told as probes; from there on
/// the pipeline itself narrows the map by the entries and exits of the threads that it now knows.
///
/// A guest that was idle, or of which too little had come, is placed by the wall clocks at first, and looked for further
/// while the session runs. No look holds the feeds up: it works on a copy of what they have noted.
package final class LiveSync: @unchecked Sendable {
    // @unchecked: all state is only touched under `lock`.
    private struct Source {
        var survey = TraceSurvey()
        var fields = SurveyFields([])
        /// Host's monotonic time at which its times and windows were begun anew.
        var since = MonotonicClock.nanoseconds()
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

    /// What a look found of one guest.
    private struct Finding {
        let records: [LogRecord]
        /// Which threads run it, and not only how its clock goes.
        let isWhole: Bool
    }

    private let lock = ConditionLock()
    private var sources: [SourceID: Source] = [:]
    private var isOver = false

    /// How long the session waits for looks before it begins.
    private let patienceMilliseconds: Int
    /// Milliseconds between two looks before the session begins.
    private static let pause = 500
    /// Between two looks at a session that runs: twice as long each time, up to the longest.
    private static let firstPause = 1_000
    private static let longestPause = 30_000
    /// What is looked at of a session that runs: drift is small in it.
    private static let memoryNanoseconds: Int64 = 60_000_000_000
    /// Messages told as probes at the beginning.
    private static let mostProbes = 512

    /// Which machine a thread of the host belongs to, where that can be asked.
    private let machine: @Sendable (Int32) -> VMFacts?

    package init(
        patienceMilliseconds: Int = 5_000, machine: @escaping @Sendable (Int32) -> VMFacts? = { _ in nil }
    ) {
        self.patienceMilliseconds = patienceMilliseconds
        self.machine = machine
    }

    package var isLooking: Bool { lock.withLock { !isOver } }

    /// What a feed has read; does nothing once nobody is looked for.
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

    /// What is to be told of these guests before their first event. Where the host's entries and exits are seen (`hasHost`),
    /// waits until all are found, for some seconds; `later` is told of those that are found when the session runs.
    package func settle(
        _ guests: [Guest], hasHost: Bool, later: @escaping @Sendable (SourceID, [LogRecord]) -> Void = { _, _ in }
    ) -> [LogRecord] {
        let deadline = MonotonicClock.deadline(after: Int64(patienceMilliseconds) * 1_000_000)
        while true {
            // What comes while this looks is for the next look; the last one sees all that came in time.
            let isLast = !hasHost || MonotonicClock.nanoseconds() >= deadline
            let found = relations(guests, surveys)
            guard isLast || found.count == guests.count && found.values.allSatisfy(\.isWhole) else {
                pause(until: min(deadline, MonotonicClock.deadline(after: Int64(Self.pause) * 1_000_000)))
                continue
            }
            let missing = guests.filter { found[$0.id] == nil }
            if missing.isEmpty || !hasHost {
                stop()
            } else {
                Thread.start("lttng guests") { [self] in look(for: missing, later) }
            }
            return guests.flatMap { found[$0.id]?.records ?? [.clock($0.id, .given($0.wallClock))] }
        }
    }

    /// Nobody is looked for any more.
    package func stop() {
        lock.withLock {
            isOver = true
            sources = [:]
            lock.broadcast()
        }
    }

    /// The thread of its own that goes on looking when the session has begun.
    private func look(for guests: [Guest], _ tell: (SourceID, [LogRecord]) -> Void) {
        var missing = guests
        var milliseconds = Self.firstPause
        while !missing.isEmpty {
            pause(until: MonotonicClock.deadline(after: Int64(milliseconds) * 1_000_000))
            milliseconds = min(milliseconds * 2, Self.longestPause)
            guard !lock.withLock({ isOver }) else { return }
            let found = relations(missing, surveys)
            for guest in missing {
                guard let finding = found[guest.id] else { continue }
                // The wall clocks' map is taken back: what is measured counts from here on.
                let none = GivenClock(knots: [], nanosecondsPerTick: 1, method: "")
                tell(guest.id, [.clock(guest.id, .given(none))] + finding.records)
            }
            missing.removeAll { found[$0.id] != nil }
            forget()
        }
        stop()
    }

    private func pause(until deadline: Int64) {
        lock.withLock { while !isOver { guard lock.wait(until: deadline) else { break } } }
    }

    private var surveys: [SourceID: TraceSurvey] { lock.withLock { sources.mapValues(\.survey) } }

    private func forget() {
        let now = MonotonicClock.nanoseconds()
        lock.withLock {
            for id in sources.keys where now - (sources[id]?.since ?? now) > Self.memoryNanoseconds {
                sources[id]?.survey.forgetTimes()
                sources[id]?.since = now
            }
        }
    }

    private func relations(_ guests: [Guest], _ surveys: [SourceID: TraceSurvey]) -> [SourceID: Finding] {
        guard let host = surveys[.host] else { return [:] }
        let threads = host.clocks.threads
        var free = threads
        var found: [SourceID: Finding] = [:]
        for guest in guests {
            guard let survey = surveys[guest.id] else { continue }
            var map = ClockMap(clock: .mono)
            map.learn(.given(guest.wallClock))
            let matches = CTFRelations.match(survey, map, host: host, &free)
            // Something must be proved from both sides.
            let proof = CTFRelations.proof(survey, matches, host: host, threads)
            guard let messages = proof?.evidence.messages else { continue }
            let step = max(1, messages.count / Self.mostProbes)
            let told = stride(from: 0, to: messages.count, by: step).map { messages[$0].probe }
            let known = matches.lazy.compactMap { self.machine($0.tid) }.first
            let identity =
                matches.isEmpty
                ? [] : CTFRelations.identify(guest.id, guest.name, matches, host, known: known)
            found[guest.id] = Finding(
                records: identity + told.map { .probe(guest.id, $0) }, isWhole: !matches.isEmpty)
        }
        return found
    }
}
