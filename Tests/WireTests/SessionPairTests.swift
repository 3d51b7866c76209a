import Testing
import TraceModel
import Wire

/// Both machines back to back, over bytes that arrive in pieces of any size.
struct SessionPairTests {
    /// One direction of a connection.
    private struct Pipe {
        private var bytes: [UInt8] = []
        private var reader = FrameReader()

        mutating func write(_ message: Message) { message.frame.append(to: &bytes) }

        /// The frames that arrive when between one byte and all of them are let through.
        mutating func arrive(_ random: inout SeededRandom) throws -> [Frame] {
            guard !bytes.isEmpty else { return [] }
            let count = random.chance(20) ? bytes.count : 1 + random.below(bytes.count)
            reader.append(Array(bytes[..<count]))
            bytes.removeFirst(count)
            var frames: [Frame] = []
            while let frame = try reader.next() { frames.append(frame) }
            return frames
        }

        var isIdle: Bool { bytes.isEmpty }
    }

    @Test(arguments: 0..<40)
    func `a whole session delivers every event, and credit is accounted for to the byte`(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let formats = KernelFormats.table()
        var request = SampleMessages.request
        request.creditBytes = 4096
        var agent = AgentSession(hello: SampleMessages.hello)
        var collector = CollectorSession(request: request)
        var toAgent = Pipe()
        var toCollector = Pipe()
        var encoder = BatchEncoder(formats: formats)
        var decoder = BatchDecoder(formats: formats)

        var batches = (0..<30).map { _ in random.batch(formats, events: random.below(40)) }
        let produced = batches.map { $0.withoutPadding(formats: formats) }
        var delivered: [EventBatch] = []
        var log: [String] = []
        var credit = 0
        var isTracing = false
        var isDraining = false

        toAgent.write(.hello(Hello(role: .collector, program: "tandem", hostname: "host1")))
        while !(agent.isEnded && collector.isEnded && toCollector.isIdle) {
            for frame in try toAgent.arrive(&random) {
                guard let message = try Message(frame) else { continue }
                for action in agent.received(message, occupation: .free) {
                    switch action {
                    case .send(let message): toCollector.write(message)
                    case .prepare(let request):
                        credit = request.creditBytes
                        let actions = agent.prepared(
                            SampleMessages.prepared,
                            formats: formats.formats.map { FormatMessage(system: $0.system, text: $0.text) },
                            names: TaskNamesMessage(tasks: []))
                        for case .send(let message) in actions { toCollector.write(message) }
                    case .startTracing: isTracing = true
                    case .addCredit(let bytes): credit += bytes
                    case .drain: isDraining = true
                    case .answerProbe, .close: Issue.record("\(action)")
                    }
                }
            }
            // Batches go out while there is credit; it may go below zero by one frame.
            if isTracing, credit > 0, let batch = batches.first {
                batches.removeFirst()
                for frame in encoder.frames(for: batch) {
                    credit -= frame.byteCount
                    if let message = try Message(frame) { toCollector.write(message) }
                }
                toCollector.write(.watermark(batch.headers.last?.ticks ?? TraceTicks(0)))
            }
            if isDraining, batches.isEmpty {
                isDraining = false
                for case .send(let message) in agent.drained() { toCollector.write(message) }
            }
            for frame in try toCollector.arrive(&random) {
                for action in collector.received(frame) {
                    switch action {
                    case .send(let message): toAgent.write(message)
                    case .greeted(let hello): log.append("greeted \(hello.hostname)")
                    case .ready(_, let described, _):
                        log.append("ready")
                        #expect(described.map(\.text) == formats.formats.map(\.text))
                        for case .send(let message) in collector.start() { toAgent.write(message) }
                    case .deliver(.batch(let body)): delivered.append(try decoder.decode(body))
                    case .deliver: break
                    case .finished: log.append("finished")
                    case .skipped, .failed: Issue.record("\(action)")
                    }
                }
            }
            if delivered.count >= 20, !collector.isDraining, !collector.isEnded {
                for case .send(let message) in collector.drain() { toAgent.write(message) }
            }
        }
        #expect(log == ["greeted web1", "ready", "finished"])
        let isWhole = delivered == produced
        #expect(isWhole, "seed \(seed)")
    }

    @Test
    func `two major versions understand each other's refusal`() throws {
        var hello = SampleMessages.hello
        hello.major = 2
        var agent = AgentSession(hello: hello)
        // A collector of today sees the numbers of tomorrow's agent, whatever the rest of its hello looks like.
        var collector = CollectorSession(request: SampleMessages.request)
        let actions = collector.received(Message.hello(hello).frame)
        guard case .failed(let error) = actions.last else {
            Issue.record("\(actions)")
            return
        }
        #expect(error.code == .versionMismatch && error.text.contains("2.0"))
        var future = Hello(role: .collector, program: "tandem")
        future.major = 2
        guard case .hello(let read) = try Message(Message.hello(future).frame) else { return }
        let refusal = agent.received(.hello(read), occupation: .free)
        #expect(refusal.count == 3 && agent.isEnded)
    }
}
