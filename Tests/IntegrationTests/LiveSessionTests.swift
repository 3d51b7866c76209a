import Collector
import Foundation
import Glibc
import SessionLog
import Testing
import TraceModel
import Transport
import Wire

extension RealTracingTests {
    /// A whole collector against real agents on this machine: host and guest are the same kernel.
    struct LiveSessions {
        private func options(_ agent: TestAgent) -> SessionOptions {
            var options = SessionOptions()
            options.hostEvents = [.init(pattern: "sched:sched_switch"), .init(pattern: "sched:sched_waking")]
            var guest = SessionOptions.Guest(name: "guest", endpoint: agent.endpoint)
            guest.events = [.init(pattern: "sched:sched_switch"), .init(pattern: "sched:sched_process_exit")]
            options.guests = [guest]
            return options
        }

        private func json(_ snapshot: Snapshot) throws -> String {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            return String(decoding: try encoder.encode(snapshot), as: UTF8.self)
        }

        /// The last books of each source in the recording.
        private func books(_ directory: String) throws -> [SourceID: SourceStatistics] {
            let reader = try LogReader(opening: directory)
            var books: [SourceID: SourceStatistics] = [:]
            while let record = try reader.next() {
                if case .message(let source, .statistics(let statistics)) = record { books[source] = statistics }
            }
            #expect(reader.tornTail == nil)
            return books
        }

        @Test func `a recorded session is whole, leaves nothing behind and is replayed byte for byte`() throws {
            let agent = try TestAgent()
            let before = TracefsState.topLevel
            let directory = "\(agent.folder.path)/run"
            let session = LiveSession(options: options(agent), writer: try LogWriter(creating: directory))
            try session.prepare()
            #expect(TracefsState.instances(of: getpid()).count == 1)
            #expect(agent.instances.count == 1)
            session.start()
            let load = try Program("/bin/sh", ["-c", "for i in $(seq 100); do /bin/true; done"], in: agent.folder)
            #expect(load.wait() == 0)
            #expect(!session.wait(nanoseconds: 600_000_000))
            session.stop()
            #expect(session.wait(nanoseconds: 10_000_000_000))
            #expect(session.failure == nil)

            let snapshot = session.snapshot
            #expect(snapshot.sources.map(\.state) == ["drained", "drained"])
            #expect(snapshot.sources[1].clock?.quality != "absent")
            #expect(snapshot.window.endNanoseconds - snapshot.window.startNanoseconds > 500_000_000)
            for (source, statistics) in try books(directory) {
                #expect(statistics.isFinal)
                for cpu in statistics.cpus { #expect(cpu.read == cpu.delivered + cpu.shed) }
                let delivered = statistics.cpus.reduce(0) { $0 + $1.delivered }
                #expect(snapshot.sources[Int(source.rawValue)].events == delivered)
                #expect(delivered > 100)
                let lost = snapshot.sources[Int(source.rawValue)].lost
                #expect(lost.agent == statistics.cpus.reduce(0) { $0 + $1.shed })
                #expect(lost.ringBuffer == statistics.cpus.reduce(0) { $0 + $1.overrun })
            }
            #expect(TracefsState.instances(of: getpid()) == [])
            #expect(agent.instances == [])
            #expect(TracefsState.topLevel == before)

            var replay = Replay(RecordedInput(try LogReader(opening: directory)))
            #expect(try !replay.advance(to: nil))
            #expect(try json(replay.snapshot) == json(snapshot))
            agent.stop()
        }

        @Test func `a guest whose agent is killed is reported gone, and the session goes on`() throws {
            let agent = try TestAgent()
            let session = LiveSession(options: options(agent), writer: nil)
            try session.prepare()
            session.start()
            #expect(!session.wait(nanoseconds: 200_000_000))
            #expect(agent.program.end(SIGKILL) == -SIGKILL)
            #expect(eventually(seconds: 3) { session.snapshot.sources.map(\.state) == ["live", "gone"] })
            #expect(session.takeNotices().contains { $0.hasPrefix("guest is gone: ") })
            let events = session.snapshot.sources[0].events
            #expect(!session.isFinished)
            #expect(eventually(seconds: 3) { session.snapshot.sources[0].events > events }, "the host stands still")
            session.stop()
            #expect(session.wait(nanoseconds: 5_000_000_000))
            #expect(session.failure == nil)
            #expect(session.snapshot.health.limits.contains { $0.hasPrefix("guest is gone (") })
            #expect(TracefsState.instances(of: getpid()) == [])
            try TestAgent(in: agent.folder).stop()
            #expect(agent.instances == [])
        }

        @Test func `a guest that is silent is unknown, and comes back when it answers`() throws {
            let agent = try TestAgent()
            let session = LiveSession(options: options(agent), writer: nil)
            try session.prepare()
            session.start()
            #expect(eventually(seconds: 3) { session.snapshot.sources.map(\.state) == ["live", "live"] })
            let clock = session.snapshot.sources[1].clock
            #expect(kill(agent.program.pid, SIGSTOP) == 0)
            #expect(eventually(seconds: 20) { session.snapshot.sources.map(\.state) == ["live", "silent"] })
            #expect(eventually(seconds: 5) { session.takeNotices().contains { $0.hasPrefix("guest is silent for ") } })
            #expect(session.snapshot.health.limits.contains { $0.hasPrefix("guest is silent: ") })
            #expect(kill(agent.program.pid, SIGCONT) == 0)
            #expect(eventually(seconds: 5) { session.snapshot.sources.map(\.state) == ["live", "live"] })
            #expect(session.takeNotices().contains("guest answers again"))
            #expect(session.snapshot.health.limits.allSatisfy { !$0.contains("silent") })
            let events = session.snapshot.sources[1].events
            #expect(eventually(seconds: 3) { session.snapshot.sources[1].events > events }, "the guest stands still")
            #expect(session.snapshot.sources[1].clock?.epoch == clock?.epoch)
            session.stop()
            #expect(session.wait(nanoseconds: 5_000_000_000))
            #expect(session.snapshot.sources.map(\.state) == ["drained", "drained"])
            agent.stop()
        }

        @Test func `an agent that is told to end is reported with its own words`() throws {
            let agent = try TestAgent()
            let session = LiveSession(options: options(agent), writer: nil)
            try session.prepare()
            session.start()
            #expect(!session.wait(nanoseconds: 100_000_000))
            agent.stop()
            #expect(eventually(seconds: 3) { session.snapshot.sources.map(\.state) == ["live", "gone"] })
            #expect(session.takeNotices().contains("guest is gone: the agent is shutting down"))
            session.stop()
            #expect(session.wait(nanoseconds: 5_000_000_000))
        }

        @Test func `an aborted session ends at once and leaves nothing`() throws {
            let agent = try TestAgent()
            let session = LiveSession(options: options(agent), writer: nil)
            try session.prepare()
            session.start()
            #expect(!session.wait(nanoseconds: 100_000_000))
            session.abort()
            #expect(session.wait(nanoseconds: 2_000_000_000))
            #expect(TracefsState.instances(of: getpid()) == [])
            #expect(eventually(seconds: 5) { agent.instances.isEmpty })
            agent.stop()
        }

        /// Preparing fails with those words, and nothing is left anywhere.
        private func checkRefusal(
            _ options: SessionOptions, _ words: String..., sourceLocation: SourceLocation = #_sourceLocation
        ) {
            let session = LiveSession(options: options, writer: nil)
            do {
                try session.prepare()
                Issue.record("it was prepared", sourceLocation: sourceLocation)
                session.abort()
            } catch {
                for word in words { #expect("\(error)".contains(word), "\(error)", sourceLocation: sourceLocation) }
            }
            #expect(TracefsState.instances(of: getpid()) == [], sourceLocation: sourceLocation)
        }

        @Test func `a session that cannot begin says which guest and why`() throws {
            let agent = try TestAgent()
            var wrong = options(agent)
            wrong.guests[0].events = [.init(pattern: "sched:sched_swich")]
            checkRefusal(wrong, "guest 'guest' at unix:", "sched_swich")
            var absent = options(agent)
            absent.guests.append(
                SessionOptions.Guest(name: "absent", endpoint: .unix(path: "\(agent.folder.path)/no", hybridPort: nil)))
            checkRefusal(absent, "guest 'absent' at unix:", "no such socket")
            // The agent let go of the guest that had been set up already.
            #expect(eventually(seconds: 5) { agent.instances.isEmpty })
            var twice = options(agent)
            twice.guests.append(twice.guests[0])
            twice.guests[1].name = "again"
            #expect(eventually(seconds: 5) { (try? RawCollector(agent).greet()) != nil })
            checkRefusal(twice, "guest 'again' at unix:", "busy, held by ")
            #expect(eventually(seconds: 5) { agent.instances.isEmpty })
            var host = options(agent)
            host.hostEvents = [.init(pattern: "nonsense:nothing")]
            checkRefusal(host, "nonsense:nothing")
            agent.stop()
        }
    }
}
