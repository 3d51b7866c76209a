import Collector
import Foundation
import Glibc
import SessionLog
import Testing
import TraceModel
import Transport
import Wire

extension RealTracingTests {
    /// Agents that end in the middle of a session, and others that take their places.
    struct Returns {
        private func options(_ endpoint: Endpoint) -> SessionOptions {
            var options = SessionOptions()
            options.hostEvents = [.init(pattern: "sched:sched_switch")]
            var guest = SessionOptions.Guest(name: "guest", endpoint: endpoint)
            guest.events = [.init(pattern: "sched:sched_switch"), .init(pattern: "sched:sched_process_exit")]
            options.guests = [guest]
            return options
        }

        private func json(_ snapshot: Snapshot) throws -> String {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            return String(decoding: try encoder.encode(snapshot), as: UTF8.self)
        }

        /// Events of each source in the recording, as its batches count them, and its last books.
        private func contents(
            _ directory: String
        ) throws -> (events: [SourceID: UInt64], books: [SourceID: SourceStatistics]) {
            let reader = try LogReader(opening: directory)
            var events: [SourceID: UInt64] = [:]
            var books: [SourceID: SourceStatistics] = [:]
            while let record = try reader.next() {
                switch record {
                case .message(let source, .batch(let body)):
                    var head = BodyReader(Array(body.dropFirst(4)), message: "batch")
                    _ = try head.unsigned()
                    events[source, default: 0] += try head.unsigned()
                case .message(let source, .statistics(let statistics)): books[source] = statistics
                default: break
                }
            }
            #expect(reader.tornTail == nil)
            return (events, books)
        }

        private func expectMoreEvents(
            _ session: LiveSession, _ what: Comment, sourceLocation: SourceLocation = #_sourceLocation
        ) {
            // Before the first snapshot there are no sources.
            func events() -> UInt64 { session.snapshot.sources.dropFirst().first?.events ?? 0 }
            let before = events()
            #expect(eventually(seconds: 5) { events() > before }, what, sourceLocation: sourceLocation)
        }

        /// Killed twice, started again twice: one session, of which each part is there and counted.
        private func checkReturns(
            _ address: String?, sourceLocation: SourceLocation = #_sourceLocation
        ) throws {
            var agent = try TestAgent(at: address)
            let folder = agent.folder
            let directory = "\(folder.path)/run"
            let session = LiveSession(options: options(agent.endpoint), writer: try LogWriter(creating: directory))
            try session.prepare()
            session.start()
            expectMoreEvents(session, "before", sourceLocation: sourceLocation)
            for round in 1...2 {
                #expect(agent.program.end(SIGKILL) == -SIGKILL)
                #expect(eventually(seconds: 5) { session.snapshot.sources.map(\.state) == ["live", "gone"] })
                agent = try TestAgent(in: folder, at: address)
                #expect(
                    eventually(seconds: 15) { session.snapshot.sources.map(\.state) == ["live", "live"] },
                    "\(session.takeNotices())", sourceLocation: sourceLocation)
                expectMoreEvents(session, "round \(round)", sourceLocation: sourceLocation)
                #expect(agent.instances.count == 1, "what the killed one left was cleared")
                let notices = session.takeNotices()
                #expect(notices.contains { $0.hasPrefix("guest is gone: ") }, "\(notices)")
                #expect(notices.contains { $0.hasPrefix("guest is back after ") }, "\(notices)")
            }
            session.stop()
            #expect(session.wait(nanoseconds: 10_000_000_000))
            #expect(session.failure == nil)
            let snapshot = session.snapshot
            #expect(snapshot.sources.map(\.state) == ["drained", "drained"], sourceLocation: sourceLocation)
            #expect(snapshot.sources[1].clock?.quality != "absent")
            #expect(snapshot.sources[1].clock?.epoch ?? 0 >= 2)
            #expect(snapshot.sources[1].lost.ofUnknownSize == 2)
            #expect(snapshot.health.anomalies.contains { $0.name == "agent_returned" && $0.count == 2 })
            #expect(snapshot.health.limits.contains { $0.hasPrefix("guest was without an agent for ") })

            let (events, books) = try contents(directory)
            let agents = events.keys.filter { $0 != .host }.sorted()
            #expect(agents.count == 3 && agents.allSatisfy { $0.isSameMachine(as: SourceID(1)) }, "\(agents)")
            #expect(agents.allSatisfy { events[$0, default: 0] > 0 }, "\(events)")
            #expect(
                snapshot.sources[1].events == agents.reduce(0) { $0 + events[$1, default: 0] },
                sourceLocation: sourceLocation)
            let last = try #require(agents.last)
            #expect(books[last]?.isFinal == true)
            #expect(books[last]?.cpus.reduce(0) { $0 + $1.delivered } == events[last])

            var replay = Replay(RecordedInput(try LogReader(opening: directory)))
            #expect(try !replay.advance(to: nil))
            #expect(try json(replay.snapshot) == json(snapshot), sourceLocation: sourceLocation)
            agent.stop()
            #expect(TracefsState.instances(of: getpid()) == [])
        }

        @Test func `an agent that is killed and started again goes on in the same session`() throws {
            try checkReturns(nil)
        }

        @Test func `the same over TCP`() throws {
            try checkReturns("tcp:127.0.0.1:19823")
        }

        @Test func `an agent that answers and cannot be had is told once, and taken when it can`() throws {
            let agent = try TestAgent()
            let session = LiveSession(options: options(agent.endpoint), writer: nil)
            try session.prepare()
            session.start()
            expectMoreEvents(session, "before")
            agent.program.end(SIGKILL)
            #expect(eventually(seconds: 5) { session.snapshot.sources.map(\.state) == ["live", "gone"] })
            let second = try TestAgent(in: agent.folder)
            let other = try RawCollector(second)
            _ = try other.prepare(RawCollector.request([.init(pattern: "sched:sched_process_exit")]))
            var notices: [String] = []
            #expect(
                eventually(seconds: 10) {
                    notices += session.takeNotices()
                    return notices.contains { $0.contains("busy, held by ") && $0.hasSuffix("; it is tried again") }
                }, "\(notices)")
            #expect(!session.wait(nanoseconds: 3_000_000_000))
            notices += session.takeNotices()
            #expect(notices.count { $0.contains("busy, held by ") } == 1, "\(notices)")
            other.connection.shutdown()
            #expect(eventually(seconds: 15) { session.snapshot.sources.map(\.state) == ["live", "live"] })
            session.stop()
            #expect(session.wait(nanoseconds: 5_000_000_000))
            #expect(session.snapshot.sources.map(\.state) == ["drained", "drained"])
            second.stop()
        }

        @Test func `a session that is stopped waits for nobody who is gone`() throws {
            let agent = try TestAgent()
            let session = LiveSession(options: options(agent.endpoint), writer: nil)
            try session.prepare()
            session.start()
            agent.program.end(SIGKILL)
            #expect(eventually(seconds: 5) { session.snapshot.sources.map(\.state) == ["live", "gone"] })
            session.stop()
            #expect(session.wait(nanoseconds: 1_500_000_000))
            #expect(session.snapshot.sources.map(\.state) == ["drained", "gone"])
            // The next agent clears what this one left, and nobody comes to it.
            let next = try TestAgent(in: agent.folder)
            #expect(!eventually(seconds: 2) { !next.instances.isEmpty })
            next.stop()
        }
    }
}
