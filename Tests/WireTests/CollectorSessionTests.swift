import Testing
import TraceModel
import Wire

struct CollectorSessionTests {
    typealias Action = CollectorSession.Action
    typealias Step = (received: Message, actions: [Action])

    private static let request = SampleMessages.request
    private static let agent = SampleMessages.hello
    private static let violation = PeerError(
        .protocolViolation, "a message came that has no place in this state of the session")
    private static let formats = [FormatMessage(system: "irq", text: "one"), FormatMessage(system: "kvm", text: "two")]
    private static let names = TaskNamesMessage(tasks: [.init(tid: 1, comm: "init")])

    private static func fails(_ error: PeerError) -> [Action] { [.send(.error(error)), .failed(error)] }

    /// Plays a transcript and compares what the session does at every step.
    @discardableResult
    private func check(
        from start: CollectorSession? = nil, _ steps: [Step], sourceLocation: SourceLocation = #_sourceLocation
    ) -> CollectorSession {
        var session = start ?? CollectorSession(request: CollectorSessionTests.request)
        for (message, actions) in steps {
            #expect(
                session.received(message.frame) == actions, "received \(message.code)", sourceLocation: sourceLocation)
        }
        return session
    }

    private static let setUp: [Step] = [
        (.hello(agent), [.greeted(agent), .send(.request(request))]),
        (.prepared(SampleMessages.prepared), []),
        (.format(formats[0]), []), (.format(formats[1]), []),
        (.taskNames(names), []),
        (.ready, [.ready(SampleMessages.prepared, formats: formats, names: names)]),
    ]

    @Test
    func `a session goes from hello to drained`() {
        var session = check(CollectorSessionTests.setUp)
        #expect(session.start() == [.send(.start)])
        let batch = Message.batch([1, 2, 3])
        session = check(
            from: session,
            [
                (batch, [.deliver(batch)]), (.watermark(TraceTicks(5)), [.deliver(.watermark(TraceTicks(5)))]),
                (.statistics(SampleMessages.statistics), [.deliver(.statistics(SampleMessages.statistics))]),
                (.onlineCPUs([1]), [.deliver(.onlineCPUs([1]))]),
            ])
        #expect(session.drain() == [.send(.drain)])
        #expect(session.isDraining)
        #expect(session.drain() == [])
        session = check(from: session, [(batch, [.deliver(batch)]), (.drained, [.finished])])
        #expect(session.isEnded)
        #expect(session.received(batch.frame) == [])
        #expect(session.fail(PeerError(.timedOut, "late")) == [])
    }

    @Test
    func `names may come in several messages, up to the limit`() {
        var session = check(Array(CollectorSessionTests.setUp.prefix(2)))
        let part = TaskNamesMessage(tasks: (0..<8192).map { .init(tid: Int32($0), comm: "n") })
        for _ in 0..<9 { _ = session.received(Message.taskNames(part).frame) }
        guard case .ready(_, _, let names) = session.received(Message.ready.frame).first else {
            Issue.record("not ready")
            return
        }
        #expect(names.tasks.count == Limits.taskNames)
        #expect(names.tasks.prefix(8192) == part.tasks[...])
    }

    @Test
    func `what an agent may describe is bounded in number and in bytes`() {
        var session = check(Array(CollectorSessionTests.setUp.prefix(2)))
        let small = Message.format(CollectorSessionTests.formats[0]).frame
        for _ in 0..<Limits.formats { #expect(session.received(small) == []) }
        #expect(session.received(small).count == 2 && session.isEnded)

        session = check(Array(CollectorSessionTests.setUp.prefix(2)))
        let large = Message.format(
            FormatMessage(system: "s", text: String(repeating: "x", count: Limits.formatBytes))
        ).frame
        var taken = 0
        while session.received(large).isEmpty { taken += 1 }
        #expect(taken * large.byteCount <= Limits.descriptionBytes)
        #expect((taken + 1) * large.byteCount > Limits.descriptionBytes && session.isEnded)
    }

    @Test
    func `credit comes back in eighths of the window, to the byte`() {
        var session = check(CollectorSessionTests.setUp)
        _ = session.start()
        let window = CollectorSessionTests.request.creditBytes
        var consumed = 0
        var returned = 0
        for count in [0, 1, 1000, 65_536, window / 8 - 12, window / 8 - 13, 900_000, 700_000] {
            let frame = Message.batch([UInt8](repeating: 0, count: count)).frame
            consumed += frame.byteCount
            for case .send(.credit(let bytes)) in session.received(frame) { returned += bytes }
            // Never so much is held back that an agent whose credit is used up would wait for ever.
            #expect(consumed - returned < window / 8)
        }
        #expect(returned > 0)
        // Nothing but batches costs credit.
        for _ in 0..<1000 {
            #expect(session.received(Message.watermark(TraceTicks(1)).frame) == [.deliver(.watermark(TraceTicks(1)))])
        }
    }

    @Test
    func `an agent that is busy says who holds it`() {
        let busy = PeerError(.busy, "busy, held by host2")
        let session = check([
            (.hello(CollectorSessionTests.agent), CollectorSessionTests.setUp[0].actions),
            (.error(busy), [.failed(busy)]),
        ])
        #expect(session.isEnded)
    }

    @Test
    func `another major version is told both versions`() {
        var hello = CollectorSessionTests.agent
        hello.major = 3
        let error = PeerError(
            .versionMismatch,
            "the agent speaks protocol 3.0, this collector 1.0: install the same release on both sides")
        check([(.hello(hello), CollectorSessionTests.fails(error))])
    }

    @Test
    func `a collector does not talk to a collector`() {
        let error = PeerError(.protocolViolation, "the peer is a collector, not an agent")
        check([(.hello(Hello(role: .collector, program: "tandem")), CollectorSessionTests.fails(error))])
    }

    @Test
    func `an optional message of a later version is skipped in every state, another one ends the session`() {
        for (name, start, _) in CollectorSessionTests.states {
            var session = start
            #expect(session.received(Frame(type: 60, isSkippable: true, body: [1])) == [.skipped], "\(name)")
            #expect(session.received(Frame(type: 60, body: [1])).count == 2, "\(name)")
            #expect(session.isEnded)
            #expect(session.received(Frame(type: 60, isSkippable: true, body: [1])) == [])
        }
    }

    @Test
    func `a malformed message ends the session with its place`() {
        var session = CollectorSession(request: CollectorSessionTests.request)
        guard case .failed(let error) = session.received(Frame(type: 1, body: [0x54])).last else {
            Issue.record("not failed")
            return
        }
        #expect(error.text == "a hello message from the peer is malformed at byte 1: it ends early")
    }

    @Test
    func `a session that is given up before it was ready says so`() {
        for count in 0..<CollectorSessionTests.setUp.count {
            var session = check(Array(CollectorSessionTests.setUp.prefix(count)))
            #expect(
                session.drain() == [
                    .send(.error(PeerError(.shuttingDown, "the session was given up"))), .finished,
                ])
            #expect(session.isEnded)
        }
        var ready = check(CollectorSessionTests.setUp)
        #expect(ready.drain() == [.send(.drain)])
    }

    @Test
    func `tracing starts only where the agent is ready`() {
        for (name, start, _) in CollectorSessionTests.states where name != "ready" {
            var session = start
            #expect(session.start() == [], "\(name)")
        }
    }

    /// Sessions in all their states, with the messages that have a place there.
    private static let states: [(name: String, session: CollectorSession, expected: Set<Message.Code>)] = {
        var list: [(name: String, session: CollectorSession, expected: Set<Message.Code>)] = []
        var session = CollectorSession(request: request)
        list.append(("greeting", session, [.hello]))
        _ = session.received(Message.hello(agent).frame)
        list.append(("requested", session, [.prepared]))
        _ = session.received(Message.prepared(SampleMessages.prepared).frame)
        list.append(("describing", session, [.format, .taskNames, .ready]))
        _ = session.received(Message.ready.frame)
        list.append(("ready", session, [.statistics, .onlineCPUs]))
        _ = session.start()
        let stream: Set<Message.Code> = [.batch, .watermark, .statistics, .onlineCPUs, .steal]
        list.append(("streaming", session, stream))
        _ = session.drain()
        list.append(("draining", session, stream.union([.drained])))
        return list
    }()

    @Test
    func `every message in a state where it has no place is a violation and the end`() {
        for (name, start, expected) in CollectorSessionTests.states {
            for message in SampleMessages.ofEveryKind {
                var session = start
                let actions = session.received(message.frame)
                if case .error(let error) = message {
                    #expect(actions == [.failed(error)], "\(name)")
                } else if expected.contains(message.code) {
                    #expect(!session.isEnded || message.code == .drained, "\(message.code) in \(name)")
                    continue
                } else {
                    #expect(
                        actions == CollectorSessionTests.fails(CollectorSessionTests.violation),
                        "\(message.code) in \(name)")
                }
                #expect(session.isEnded)
            }
        }
    }

    @Test(arguments: 0..<200)
    func `random messages stop nothing, and a session ends once`(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var session = random.pick(CollectorSessionTests.states).session
        var ends = 0
        for _ in 0..<60 {
            let wasEnded = session.isEnded
            let actions =
                switch random.below(10) {
                case 0: session.start()
                case 1 where random.chance(20): session.drain()
                case 2 where random.chance(10): session.fail(PeerError(.timedOut, "x"))
                case 3: session.received(Frame(type: 77, isSkippable: random.chance(90), body: random.bytes(3)))
                default: session.received(random.pick(SampleMessages.ofEveryKind).frame)
                }
            for action in actions {
                switch action {
                case .finished, .failed: ends += 1
                case .send, .greeted, .ready, .deliver, .skipped: break
                }
            }
            #expect(!wasEnded || actions.isEmpty)
            #expect(session.isEnded == (ends == 1) && ends <= 1)
        }
    }
}
