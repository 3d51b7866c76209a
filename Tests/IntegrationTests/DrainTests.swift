import Collector
import Glibc
import SessionLog
import Testing
import TraceModel
import Wire

extension RealTracingTests {
    /// The end of a session, with guests that take their time.
    struct Drains {
        /// The guest's state at the end, the notices, and how many milliseconds the end took.
        private func end(
            silence: Int, all: Int, _ atDrain: @escaping @Sendable (_ send: (Message) -> Bool) -> Void
        ) throws -> (state: String?, notices: [String], milliseconds: Int64) {
            let agent = try ScriptedAgent(atDrain: atDrain)
            var options = SessionOptions()
            options.hostEvents = [.init(pattern: "sched:sched_switch")]
            var guest = SessionOptions.Guest(name: "guest", endpoint: agent.endpoint)
            guest.clock = .monoRaw
            options.guests = [guest]
            options.drainSilenceMilliseconds = silence
            options.drainMilliseconds = all
            let session = LiveSession(options: options, writer: nil)
            try session.prepare()
            session.start()
            #expect(!session.wait(nanoseconds: 200_000_000))
            let begin = ContinuousClock.now
            session.stop()
            #expect(session.wait(nanoseconds: 20_000_000_000))
            let elapsed = (ContinuousClock.now - begin) / .milliseconds(1)
            agent.stop()
            return (session.snapshot.sources.last?.state, session.takeNotices(), Int64(elapsed))
        }

        /// Some of what an agent sends, with pauses.
        private static func drip(_ count: Int, _ send: (Message) -> Bool) {
            for step in 0..<count {
                guard send(.watermark(TraceTicks(UInt64(step + 1)))) else { return }
                usleep(100_000)
            }
        }

        @Test func `a guest that goes on sending is waited for beyond the limit on silence`() throws {
            let end = try end(silence: 500, all: 20_000) { send in
                Self.drip(20, send)
                _ = send(.drained)
            }
            #expect(end.state == "drained", "\(end.notices)")
            #expect(end.milliseconds >= 1_900)
        }

        @Test func `a guest that falls silent is left, and the reason says what was waited for`() throws {
            let end = try end(silence: 500, all: 20_000) { send in
                Self.drip(3, send)
                sleep(3)
            }
            #expect(end.state == "gone")
            #expect((700...2_900).contains(end.milliseconds), "\(end.milliseconds) ms")
            let notice = try #require(end.notices.first { $0.hasPrefix("guest is gone: ") }, "\(end.notices)")
            for words in ["asked for the events that it still had", "nothing came for 0.", "too busy", "lost"] {
                #expect(notice.contains(words), "\(notice)")
            }
        }

        @Test func `a guest that never comes to an end is left too`() throws {
            let end = try end(silence: 500, all: 1_500) { Self.drip(200, $0) }
            #expect(end.state == "gone")
            #expect((1_400...4_000).contains(end.milliseconds), "\(end.milliseconds) ms")
            let notice = try #require(end.notices.first { $0.hasPrefix("guest is gone: ") }, "\(end.notices)")
            #expect(notice.contains("it goes on sending"), "\(notice)")
        }
    }
}
