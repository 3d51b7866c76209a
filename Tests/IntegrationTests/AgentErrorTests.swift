import Glibc
import Testing
import TraceModel
import Transport
import Wire

extension RealTracingTests {
    /// What an agent answers to whom it cannot serve, and that it goes on serving.
    struct AgentErrors {
        /// After whatever it was told, the agent still sets a session up, as soon as the one before is cleared away, and
        /// leaves nothing of it.
        private func checkServes(_ agent: TestAgent, sourceLocation: SourceLocation = #_sourceLocation) throws {
            var served: (collector: RawCollector, formats: [FormatMessage])?
            let isServed = eventually(seconds: 5) {
                guard let collector = try? RawCollector(agent),
                    let prepared = try? collector.prepare(
                        RawCollector.request([.init(pattern: "sched:sched_switch")]))
                else { return false }
                served = (collector, prepared.formats)
                return true
            }
            #expect(isServed, sourceLocation: sourceLocation)
            let (collector, formats) = try #require(served, sourceLocation: sourceLocation)
            #expect(formats.count == 1, sourceLocation: sourceLocation)
            #expect(agent.instances.count == 1, sourceLocation: sourceLocation)
            collector.connection.close()
            #expect(eventually(seconds: 5) { agent.instances.isEmpty }, sourceLocation: sourceLocation)
        }

        private func checkRefused(
            _ agent: TestAgent, _ request: SessionRequest, _ code: PeerError.Code, _ words: String...,
            sourceLocation: SourceLocation = #_sourceLocation
        ) throws {
            let collector = try RawCollector(agent)
            try collector.greet()
            try collector.send(.request(request))
            let error = try collector.expectError(code, sourceLocation: sourceLocation)
            for word in words {
                #expect(
                    error?.description.contains(word) == true, "\(error?.description ?? "")",
                    sourceLocation: sourceLocation)
            }
            #expect(eventually(seconds: 5) { agent.instances.isEmpty }, sourceLocation: sourceLocation)
        }

        @Test func `what a kernel does not have is refused by name`() throws {
            let agent = try TestAgent()
            try checkRefused(
                agent, RawCollector.request([.init(pattern: "sched:sched_swich")]), .badRequest, "sched_swich")
            try checkRefused(agent, RawCollector.request([.init(pattern: "nonsense")]), .badRequest, "nonsense")
            try checkRefused(
                agent, RawCollector.request([.init(pattern: "sched:sched_switch", filter: "no_such_field == 1")]),
                .tracingUnavailable, "sched_switch")
            try checkServes(agent)
            agent.stop()
        }

        @Test func `a clock that programs cannot read is refused by name`() throws {
            let agent = try TestAgent()
            let collector = try RawCollector(agent)
            try collector.greet()
            var body = BodyWriter()
            body.put("local")
            try collector.send(Frame(type: 3, body: body.bytes).bytes)
            try collector.expectError(.protocolViolation, "'local'")
            try checkServes(agent)
            agent.stop()
        }

        @Test func `a second collector is told who holds the agent`() throws {
            let agent = try TestAgent()
            let first = try RawCollector(agent)
            _ = try first.prepare(RawCollector.request([.init(pattern: "sched:sched_switch")]))
            let second = try RawCollector(agent)
            try second.greet()
            try second.expectError(.busy, "busy, held by test host")
            // Whoever only asks is told too.
            let query = try RawCollector(agent)
            try query.greet(Hello(role: .query, program: "test"))
            try query.expectError(.busy, "busy, held by test host")
            first.connection.close()
            #expect(eventually(seconds: 5) { agent.instances.isEmpty })
            try checkServes(agent)
            agent.stop()
        }

        @Test func `a collector of the future is told both versions`() throws {
            let agent = try TestAgent()
            let collector = try RawCollector(agent)
            var hello = RawCollector.hello
            hello.major = 2
            try collector.send(.hello(hello))
            try collector.expectError(.versionMismatch, "2.0", "1.0", "install the same release on both sides")
            try checkServes(agent)
            agent.stop()
        }

        @Test func `a stranger is told that this is no web server`() throws {
            let agent = try TestAgent()
            for greeting in ["GET / HTTP/1.1\r\nHost: x\r\n\r\n", "SSH-2.0-OpenSSH_9.9\r\n"] {
                let collector = try RawCollector(agent)
                try collector.send(Array(greeting.utf8))
                try collector.expectError(
                    .protocolViolation, String(greeting.prefix(8)), "another program on this port?")
            }
            try checkServes(agent)
            agent.stop()
        }

        @Test func `damaged, cut and absurd frames end their connection only`() throws {
            let agent = try TestAgent()
            let good = Message.hello(RawCollector.hello).frame.bytes
            // Each behind a good hello.
            let damaged: [[UInt8]] = [
                // A length beyond all limits.
                [0xff, 0xff, 0xff, 0x7f, 3, 0, 0, 0, 0, 0, 0, 0],
                // A checksum that does not fit.
                [1, 0, 0, 0, 8, 0, 0, 0, 1, 2, 3, 4, 5],
                // Reserved bits.
                [0, 0, 0, 0, 8, 0, 1, 1, 0, 0, 0, 0],
                Frame(type: 77, body: []).bytes,
                // A request that ends early, and a message that has no place here.
                Frame(type: 3, body: [200]).bytes, Message.start.frame.bytes,
                Message.hello(RawCollector.hello).frame.bytes,
            ]
            for bytes in damaged {
                let collector = try RawCollector(agent)
                try collector.send(good + bytes)
                try collector.expectError(.protocolViolation)
            }
            // Cut in the middle, at every place of the hello.
            for length in stride(from: 0, to: good.count, by: 7) {
                let collector = try RawCollector(agent)
                try collector.send(Array(good[..<length]))
                collector.connection.close()
            }
            try checkServes(agent)
            agent.stop()
        }

        @Test func `a probe without the session's token is refused`() throws {
            let agent = try TestAgent()
            let collector = try RawCollector(agent)
            var hello = Hello(role: .probe, program: "test")
            hello.token = 1
            try collector.send(.hello(hello))
            try collector.expectError(.notPermitted, "no session with this probe token")
            agent.stop()
        }
    }
}
