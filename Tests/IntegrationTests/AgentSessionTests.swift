import Decoding
import Glibc
import Testing
import TraceModel
import Transport
import Wire

extension RealTracingTests {
    /// The agent and a collector that is only Wire and Transport.
    struct AgentSessions {
        /// Everything that came in one session.
        private struct Received {
            var table: FormatTable
            var decoder: BatchDecoder
            var batches: [EventBatch] = []
            var final: SourceStatistics?
            var isDrained = false
        }

        private func start(_ collector: RawCollector, _ request: SessionRequest) throws -> Received {
            let (prepared, formats) = try collector.prepare(request)
            var table = FormatTable(byteOrder: prepared.byteOrder, longSize: prepared.longSize)
            for format in formats { table.append(try EventFormatParser.parse(format.text, system: format.system)) }
            try collector.send(.start)
            var received = Received(table: table, decoder: BatchDecoder(formats: table))
            // Tracing is on when the first round has been; what a test did before would be missed.
            while true {
                let message = try #require(try collector.next(), "the agent closed before its first round")
                try take(message, from: collector, into: &received)
                if case .watermark = message { return received }
            }
        }

        /// Starts as soon as the agent lets us: a collector that went away may only now be found out.
        private func startWhenFree(
            _ agent: TestAgent, _ request: SessionRequest
        ) throws -> (collector: RawCollector, received: Received) {
            var started: (collector: RawCollector, received: Received)?
            let isStarted = eventually(seconds: 5) {
                guard let collector = try? RawCollector(agent), let received = try? start(collector, request) else {
                    return false
                }
                started = (collector, received)
                return true
            }
            #expect(isStarted, "the agent stayed busy")
            return try #require(started)
        }

        /// Takes all until the agent has drained, giving the credit back as it comes. Not until the connection ends: whether it
        /// ends or is reset depends on whether the agent had read the last credit.
        private func drain(_ collector: RawCollector, _ received: inout Received) throws {
            try collector.send(.drain)
            while !received.isDrained, let message = try collector.next(timeoutMilliseconds: 10_000) {
                try take(message, from: collector, into: &received)
            }
        }

        private func take(_ message: Message, from collector: RawCollector, into received: inout Received) throws {
            switch message {
            case .batch(let body):
                received.batches.append(try received.decoder.decode(body))
                // Refused when the agent has sent its last.
                try? collector.send(.credit(body.count + Frame.headerBytes))
            case .statistics(let statistics): if statistics.isFinal { received.final = statistics }
            case .drained: received.isDrained = true
            case .error(let error): throw error
            default: break
            }
        }

        /// The agent's books, the kernel's and what arrived: all of it, to the last event, for each CPU.
        private func checkBooks(_ received: Received, sourceLocation: SourceLocation = #_sourceLocation) throws {
            #expect(received.isDrained, sourceLocation: sourceLocation)
            let final = try #require(received.final, sourceLocation: sourceLocation)
            #expect(final.anomalies == [:], sourceLocation: sourceLocation)
            for cpu in final.cpus {
                let batches = received.batches.filter { $0.cpu == cpu.cpu }
                let arrived = batches.reduce(0) { $0 + UInt64($1.headers.count) }
                func lost(_ place: LossMark.Place) -> UInt64 {
                    batches.flatMap(\.losses).filter { $0.place == place }.reduce(0) { $0 + ($1.count ?? 0) }
                }
                #expect(cpu.read == cpu.delivered + cpu.shed, "CPU \(cpu.cpu)", sourceLocation: sourceLocation)
                #expect(arrived == cpu.delivered, "CPU \(cpu.cpu)", sourceLocation: sourceLocation)
                #expect(lost(.agent) == cpu.shed, "CPU \(cpu.cpu)", sourceLocation: sourceLocation)
                #expect(lost(.ringBuffer) == cpu.overrun, "CPU \(cpu.cpu)", sourceLocation: sourceLocation)
                #expect(lost(.malformed) == 0, sourceLocation: sourceLocation)
                let uncounted = batches.flatMap(\.losses).filter { $0.count == nil }
                #expect(uncounted.isEmpty, sourceLocation: sourceLocation)
            }
        }

        private func isFree(_ agent: TestAgent) throws -> Bool {
            let query = try RawCollector(agent)
            try query.greet(Hello(role: .query, program: "test"))
            return try query.next() == nil
        }

        @Test func `every process that ends is seen once`() throws {
            let agent = try TestAgent()
            let collector = try RawCollector(agent)
            var received = try start(collector, RawCollector.request([.init(pattern: "sched:sched_process_exit")]))
            // A name that nobody else has; the kernel keeps 15 bytes of it.
            let name = "t\(UInt32.random(in: 0 ... .max))"
            let script =
                "cp /bin/true \(agent.folder.path)/\(name); for i in $(seq 200); do "
                + "\(agent.folder.path)/\(name); done"
            #expect(try Program("/bin/sh", ["-c", script], in: agent.folder).wait() == 0)
            try drain(collector, &received)
            try checkBooks(received)
            let field = try #require(received.table.formats.first.flatMap { CommField("comm", of: $0) })
            let count = received.batches.reduce(0) { sum, batch in
                sum
                    + batch.headers.filter { field.value(in: batch.records.span.bytes, of: $0)?.text == name }.count
            }
            #expect(count == 200)
            #expect(agent.instances == [], "told 'drained' before tracefs is clean")
            agent.stop()
        }

        @Test func `an agent whose collector is too slow counts what it drops to the last event`() throws {
            let agent = try TestAgent()
            let collector = try RawCollector(agent)
            var received = try start(
                collector,
                RawCollector.request([.init(pattern: "raw_syscalls")], creditBytes: 4096, bufferKiB: 512))
            // Millions of events, while nobody reads.
            let load = try Program(
                "/bin/dd", ["if=/dev/zero", "of=/dev/null", "bs=1", "count=1600000"], in: agent.folder)
            #expect(load.wait(seconds: 30) == 0)
            try collector.send(.credit(1 << 30))
            try drain(collector, &received)
            try checkBooks(received)
            let final = try #require(received.final)
            let produced = final.cpus.reduce(0) { $0 + $1.read + $1.overrun }
            let shed = final.cpus.reduce(0) { $0 + $1.shed }
            #expect(produced >= 6_400_000, "each of the 3,200,000 calls is two events")
            // On a machine that is busy elsewhere the agent may itself be too slow, and the kernel drops them all.
            let overrun = final.cpus.reduce(0) { $0 + $1.overrun }
            #expect(shed + overrun > 0, "the collector was not too slow: \(final.cpus)")
            #expect(agent.instances == [])
            agent.stop()
        }

        @Test func `an agent whose collector goes away cleans up and serves the next one`() throws {
            let agent = try TestAgent()
            let before = TracefsState.topLevel
            for _ in 0..<3 {
                let collector = try RawCollector(agent)
                _ = try start(collector, RawCollector.request([.init(pattern: "sched"), .init(pattern: "irq")]))
                _ = try collector.next()
                #expect(agent.instances.count == 1)
                collector.connection.close()
                #expect(eventually(seconds: 5) { agent.instances.isEmpty && (try? isFree(agent)) == true })
            }
            // Also before tracing began, and in the middle of being set up.
            let request = RawCollector.request([.init(pattern: "sched")])
            for messages in [[], [Message.request(request)]] {
                let collector = try RawCollector(agent)
                try collector.greet()
                for message in messages { try collector.send(message) }
                collector.connection.close()
            }
            // The agent finds out at its own pace, the last one only when it has set that session up.
            var (collector, received) = try startWhenFree(
                agent, RawCollector.request([.init(pattern: "sched:sched_switch")]))
            try drain(collector, &received)
            try checkBooks(received)
            #expect(TracefsState.topLevel == before)
            agent.stop()
        }

        @Test func `an agent that is told to end says so to its collector, and leaves nothing`() throws {
            let agent = try TestAgent()
            let collector = try RawCollector(agent)
            _ = try start(collector, RawCollector.request([.init(pattern: "sched")]))
            kill(agent.program.pid, SIGTERM)
            try collector.expectError(.shuttingDown, "shutting down")
            agent.stop()
            #expect(access(agent.socket, F_OK) != 0, "its socket is still there")
        }

        @Test func `an agent that is told to end does so though its collector reads nothing`() throws {
            let agent = try TestAgent()
            let collector = try RawCollector(agent)
            _ = try start(collector, RawCollector.request([.init(pattern: "raw_syscalls")]))
            let load = try Program(
                "/bin/dd", ["if=/dev/zero", "of=/dev/null", "bs=1", "count=300000"], in: agent.folder)
            #expect(load.wait() == 0)
            kill(agent.program.pid, SIGTERM)
            #expect(agent.program.wait(seconds: 4) == 0)
            #expect(agent.instances == [])
            collector.connection.close()
        }

        @Test func `an agent that was killed leaves an instance, and the next one removes it`() throws {
            let agent = try TestAgent()
            let collector = try RawCollector(agent)
            _ = try start(collector, RawCollector.request([.init(pattern: "sched:sched_switch")]))
            #expect(agent.instances.count == 1)
            #expect(agent.program.end(SIGKILL) == -SIGKILL)
            #expect(agent.instances.count == 1, "nobody can have removed it")
            let next = try TestAgent(in: agent.folder)
            #expect(agent.instances == [])
            #expect(next.program.errorText.contains("of an agent that died"))
            next.stop()
        }
    }
}
