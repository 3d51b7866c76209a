import Testing
import TraceModel
import Wire

struct AgentSessionTests {
    typealias Action = AgentSession.Action
    typealias Step = (received: Message, actions: [Action])

    private static let hello = SampleMessages.hello
    private static let collector = Hello(role: .collector, program: "tandem 1.0", hostname: "host1")
    private static let held = AgentSession.Occupation.held(by: "host2", token: 7)
    private static let violation =
        "a message came that has no place in this state of the session"

    private static func ends(_ code: PeerError.Code, _ text: String) -> [Action] {
        [.send(.error(PeerError(code, text))), .close(reason: text)]
    }

    /// Plays a transcript and compares what the session does at every step.
    @discardableResult
    private func check(
        occupation: AgentSession.Occupation = .free, _ steps: [Step], sourceLocation: SourceLocation = #_sourceLocation
    ) -> AgentSession {
        var session = AgentSession(hello: AgentSessionTests.hello)
        for (message, actions) in steps {
            #expect(
                session.received(message, occupation: occupation) == actions, "received \(message.code)",
                sourceLocation: sourceLocation)
        }
        return session
    }

    private static let opening: [Step] = [
        (.hello(collector), [.send(.hello(hello))]),
        (.request(SampleMessages.request), [.prepare(SampleMessages.request)]),
    ]
    private static let names = TaskNamesMessage(tasks: [.init(tid: 1, comm: "init")])
    private static let format = FormatMessage(system: "irq", text: "name: softirq_entry")

    private static func prepare(_ session: inout AgentSession) -> [Action] {
        session.prepared(SampleMessages.prepared, formats: [format, format], names: names)
    }

    @Test
    func `a session goes from hello to drained`() {
        var session = check(AgentSessionTests.opening)
        #expect(session.wantsSession && !session.isEnded)
        #expect(
            AgentSessionTests.prepare(&session) == [
                .send(.prepared(SampleMessages.prepared)), .send(.format(AgentSessionTests.format)),
                .send(.format(AgentSessionTests.format)), .send(.taskNames(AgentSessionTests.names)), .send(.ready),
            ])
        #expect(session.received(.start, occupation: .free) == [.startTracing])
        #expect(session.received(.credit(4096), occupation: .free) == [.addCredit(4096)])
        #expect(session.received(.drain, occupation: .free) == [.drain])
        #expect(session.received(.credit(1), occupation: .free) == [.addCredit(1)])
        #expect(session.received(.drain, occupation: .free) == [])
        #expect(session.drained() == [.send(.drained), .close(reason: "session complete")])
        #expect(session.isEnded && !session.wantsSession)
    }

    @Test
    func `a session may be drained before it was started`() {
        var session = check(AgentSessionTests.opening)
        _ = AgentSessionTests.prepare(&session)
        #expect(session.received(.drain, occupation: .free) == [.drain])
        #expect(session.drained() == [.send(.drained), .close(reason: "session complete")])
    }

    @Test
    func `more names than a frame holds go in several messages`() {
        var session = check(AgentSessionTests.opening)
        let tasks = (0..<40_000).map { TaskNamesMessage.Task(tid: Int32($0), comm: String(repeating: "n", count: 64)) }
        let actions = session.prepared(SampleMessages.prepared, formats: [], names: TaskNamesMessage(tasks: tasks))
        var sent: [TaskNamesMessage.Task] = []
        for case .send(.taskNames(let names)) in actions {
            #expect(Message.taskNames(names).frame.body.count <= Limits.frameBytes)
            sent += names.tasks
        }
        #expect(sent == tasks)
    }

    @Test
    func `a second collector is told who holds the session`() {
        let busy = [Action.send(.hello(AgentSessionTests.hello))] + AgentSessionTests.ends(.busy, "busy, held by host2")
        check(occupation: AgentSessionTests.held, [(.hello(AgentSessionTests.collector), busy)])
        check(occupation: AgentSessionTests.held, [(.hello(Hello(role: .query, program: "tandem")), busy)])
    }

    @Test
    func `a query is answered and ends`() {
        let session = check([
            (
                .hello(Hello(role: .query, program: "tandem")),
                [.send(.hello(AgentSessionTests.hello)), .close(reason: "query answered")]
            )
        ])
        #expect(session.isEnded)
    }

    @Test
    func `a probe connection needs the token of the session`() {
        let refused = AgentSessionTests.ends(.notPermitted, "there is no session with this probe token")
        func probe(_ token: UInt64) -> Message { .hello(Hello(role: .probe, program: "tandem", token: token)) }
        let session = check(
            occupation: AgentSessionTests.held,
            [
                (probe(7), [.send(.hello(AgentSessionTests.hello))]), (.probe(id: 1), [.answerProbe(id: 1)]),
                (.probe(id: .max), [.answerProbe(id: .max)]),
            ])
        #expect(session.isProbing && !session.wantsSession)
        check(occupation: AgentSessionTests.held, [(probe(8), refused)])
        check(occupation: .held(by: "host2", token: nil), [(probe(0), refused)])
        check(occupation: .free, [(probe(7), refused)])
    }

    @Test
    func `another major version is told both versions`() {
        var old = AgentSessionTests.collector
        old.major = 9
        old.minor = 4
        let text = "the collector speaks protocol 9.4, this agent 1.0: install the same release on both sides"
        check([
            (.hello(old), [.send(.hello(AgentSessionTests.hello))] + AgentSessionTests.ends(.versionMismatch, text))
        ])
    }

    @Test
    func `a later minor version is welcome`() {
        var later = AgentSessionTests.collector
        later.minor = 4
        check([(.hello(later), [.send(.hello(AgentSessionTests.hello))])])
    }

    @Test
    func `an agent does not talk to an agent`() {
        check([
            (
                .hello(AgentSessionTests.hello),
                AgentSessionTests.ends(.protocolViolation, "an agent connected to an agent")
            )
        ])
    }

    @Test
    func `a session that cannot be had ends with the reason, once`() {
        var session = check(AgentSessionTests.opening)
        let error = PeerError(.tracingUnavailable, "tracefs is not mounted", subject: "/sys/kernel/tracing")
        #expect(session.failed(error) == [.send(.error(error)), .close(reason: error.description)])
        #expect(session.failed(error) == [])
        #expect(AgentSessionTests.prepare(&session) == [])
        #expect(session.drained() == [])
        #expect(session.malformed(FrameError.tooLong(length: 1, atByte: 2)) == [])
    }

    @Test
    func `bytes that are no frames end the session with their description`() {
        var session = check(AgentSessionTests.opening)
        let error = FrameError.checksumMismatch(type: 9, length: 10, atByte: 99)
        #expect(session.malformed(error) == AgentSessionTests.ends(.protocolViolation, error.description))
    }

    /// Sessions in all their states, with the messages that have a place there.
    private static let states: [(name: String, session: AgentSession, expected: Set<Message.Code>)] = {
        var list: [(name: String, session: AgentSession, expected: Set<Message.Code>)] = []
        var session = AgentSession(hello: hello)
        list.append(("greeting", session, [.hello]))
        var probing = session
        _ = probing.received(.hello(Hello(role: .probe, program: "", token: 7)), occupation: held)
        list.append(("probing", probing, [.probe]))
        _ = session.received(.hello(collector), occupation: .free)
        list.append(("waiting", session, [.request]))
        _ = session.received(.request(SampleMessages.request), occupation: .free)
        list.append(("preparing", session, []))
        _ = prepare(&session)
        list.append(("ready", session, [.start, .credit, .drain]))
        _ = session.received(.start, occupation: .free)
        list.append(("streaming", session, [.credit, .drain]))
        _ = session.received(.drain, occupation: .free)
        list.append(("draining", session, [.credit, .drain]))
        return list
    }()

    @Test
    func `every message in a state where it has no place is a violation and the end`() {
        for (name, start, expected) in AgentSessionTests.states {
            for message in SampleMessages.ofEveryKind where !expected.contains(message.code) {
                var session = start
                let actions = session.received(message, occupation: .free)
                if case .error(let error) = message {
                    #expect(actions == [.close(reason: "the collector reported: \(error)")], "\(name)")
                } else {
                    #expect(
                        actions == AgentSessionTests.ends(.protocolViolation, AgentSessionTests.violation),
                        "\(message.code) in \(name)")
                }
                #expect(session.isEnded)
            }
        }
    }

    @Test
    func `every message that has a place in a state is taken there`() {
        for (name, start, expected) in AgentSessionTests.states {
            for code in expected where code != .hello {
                var session = start
                _ = session.received(SampleMessages.sample(code), occupation: .free)
                #expect(!session.isEnded, "\(code) in \(name)")
            }
        }
    }

    @Test
    func `only a peer that has nothing to say by right may be silent for ever`() {
        for (name, session, _) in AgentSessionTests.states {
            let mayBeSilent = ["streaming", "draining", "probing"].contains(name)
            #expect((session.patienceMilliseconds == nil) == mayBeSilent, "\(name)")
        }
    }

    @Test(arguments: 0..<200)
    func `random messages stop nothing, and a session ends once`(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var session = random.pick(AgentSessionTests.states).session
        var ends = 0
        for _ in 0..<60 {
            let wasEnded = session.isEnded
            let actions =
                switch random.below(8) {
                case 0: AgentSessionTests.prepare(&session)
                case 1: session.drained()
                case 2 where random.chance(10): session.failed(PeerError(.internalFailure, "x"))
                default:
                    session.received(
                        random.pick(SampleMessages.ofEveryKind),
                        occupation: random.pick([.free, AgentSessionTests.held]))
                }
            ends += actions.filter { if case .close = $0 { true } else { false } }.count
            #expect(!wasEnded || actions.isEmpty)
            #expect(session.isEnded == (ends == 1) && ends <= 1)
        }
    }
}
