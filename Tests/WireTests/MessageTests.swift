import Testing
import TraceModel
import Wire

struct MessageTests {
    private func check(_ frame: Frame, _ expected: Message?, sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(throws: Never.self, sourceLocation: sourceLocation) {
            let message = try Message(frame)
            #expect(message == expected, sourceLocation: sourceLocation)
        }
    }

    @Test(arguments: SampleMessages.ofEveryKind + SampleMessages.extreme)
    func `a message comes back as it was sent`(message: Message) {
        let frame = message.frame
        #expect(frame.type == message.code.rawValue)
        #expect(frame.isSkippable == message.code.isSkippable)
        #expect(frame.body.count <= Limits.frameBytes)
        check(frame, message)
    }

    @Test(arguments: SampleMessages.ofEveryKind)
    func `every prefix of a message is refused with its place, and none stops the program`(message: Message) {
        // A batch's body is looked at by BatchDecoder, which has its own law.
        guard message.code != .batch else { return }
        var frame = message.frame
        let body = frame.body
        for count in 0..<body.count {
            frame.body = Array(body[..<count])
            do throws(MessageError) {
                let read = try Message(frame)
                Issue.record("\(count) of \(body.count) bytes gave \(String(describing: read))")
            } catch {
                #expect(error.byte <= count)
                #expect(error.message == "\(message.code)")
            }
        }
    }

    @Test(arguments: SampleMessages.ofEveryKind + SampleMessages.extreme)
    func `what a later minor version appends is ignored`(message: Message) {
        guard message.code != .batch else { return }
        var frame = message.frame
        frame.body += [0xff, 0xff, 0x01]
        check(frame, message)
    }

    @Test
    func `an unknown type is nil when it may be skipped, and an error when not`() {
        let known = Set(Message.Code.allCases.map(\.rawValue))
        for type in UInt8.min...UInt8.max where !known.contains(type) {
            check(Frame(type: type, isSkippable: true, body: [1, 2]), nil)
            #expect(throws: MessageError.self) { try Message(Frame(type: type, body: [])) }
        }
    }

    @Test(arguments: 0..<400)
    func `no mutation of a message stops the program, and what is accepted can be sent again`(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var frame = random.pick(SampleMessages.ofEveryKind).frame
        guard !frame.body.isEmpty else { return }
        for _ in 0..<50 {
            switch random.below(3) {
            case 0: frame.body[random.below(frame.body.count)] = UInt8.random(in: 0...255, using: &random)
            case 1: frame.body.insert(random.chance(50) ? 0xff : 0x80, at: random.below(frame.body.count + 1))
            default: if frame.body.count > 1 { frame.body.remove(at: random.below(frame.body.count)) }
            }
            guard let message = try? Message(frame) else { continue }
            #expect(message.frame.body.count <= Limits.frameBytes)
        }
    }

    @Test
    func `a list's count is not believed`() {
        // 65,536 names claimed, no byte of them there.
        #expect(throws: MessageError.self) {
            try Message(Frame(type: Message.Code.taskNames.rawValue, body: [0x80, 0x80, 0x04]))
        }
    }

    @Test
    func `a hello of another major version keeps its numbers, whatever follows`() throws {
        let body = Hello.magic + [7, 0xac, 0x02, 0xff, 0xff, 0xff]
        guard case .hello(let hello) = try Message(Frame(type: 1, body: body)) else {
            Issue.record("no hello")
            return
        }
        #expect(hello.major == 7 && hello.minor == 300)
    }

    @Test
    func `a hello of a later minor version keeps it`() throws {
        var hello = SampleMessages.hello
        hello.minor = 3
        check(Message.hello(hello).frame, .hello(hello))
    }

    @Test
    func `an error code from the future is still an error with its text`() {
        var frame = Message.error(PeerError(.busy, "text")).frame
        frame.body[0] = 99
        check(frame, .error(PeerError(.internalFailure, "text")))
    }

    @Test
    func `an anomaly from the future is left out and the known ones stay`() {
        let statistics = SourceStatistics(
            cpus: [], cpuNanoseconds: 1, residentBytes: 2, isFinal: false, anomalies: [.eventLate: 5])
        var frame = Message.statistics(statistics).frame
        // After no CPUs, two numbers and the flag: the number of anomalies.
        frame.body[4] = 2
        frame.body += [0xfa, 0x01, 9]
        check(frame, .statistics(statistics))
    }

    @Test
    func `labels of a peer cannot steer a terminal`() throws {
        let escape = "\u{1b}]0;owned\u{7}"
        let messages: [Message] = [
            .hello(Hello(role: .agent, program: escape, hostname: escape, kernelRelease: escape)),
            .error(PeerError(.busy, escape, subject: escape)),
        ]
        for message in messages {
            let text = "\(String(describing: try Message(message.frame)))"
            #expect(!text.contains("\\u{1B}") && !text.contains("\u{1b}"))
        }
    }

    // MARK: Texts and numbers

    @Test(arguments: [
        (String(repeating: "a", count: 100), 64), (String(repeating: "é", count: 100), 64),
        (String(repeating: "é", count: 100), 63), ("a" + String(repeating: "\u{0301}", count: 20_000), 8192),
        (String(repeating: "\u{1F468}\u{200D}\u{1F469}\u{200D}\u{1F467}", count: 500), 1000), ("\u{1F600}", 3),
    ])
    func `a text that is too long is cut between two scalars`(text: String, limit: Int) throws {
        var writer = BodyWriter()
        writer.put(text, limit: limit)
        var reader = BodyReader(writer.bytes, message: "test")
        let kept = try reader.text(limit: limit)
        #expect(reader.isAtEnd)
        #expect(text.unicodeScalars.starts(with: kept.unicodeScalars))
        #expect(kept.utf8.count <= limit && kept.utf8.count > limit - 4)
    }

    @Test
    func `integers of every width come back`() throws {
        var random = SeededRandom(seed: 3)
        let values = (0..<2000).map { _ in random.hostile() } + [0, .max]
        var writer = BodyWriter()
        for value in values {
            writer.put(value)
            writer.put(signed: Int64(bitPattern: value))
        }
        var reader = BodyReader(writer.bytes, message: "test")
        for value in values {
            #expect(try reader.unsigned() == value)
            #expect(try reader.signed() == Int64(bitPattern: value))
        }
        #expect(reader.isAtEnd)
    }

    @Test(arguments: [
        "ff ff ff ff ff ff ff ff ff 02", "ff ff ff ff ff ff ff ff ff ff 01", "80 80 80 80 80 80 80 80 80 80 00", "80",
        "",
    ])
    func `an integer beyond 64 bits, or without an end, is refused`(hex: String) {
        #expect(throws: MessageError.self) {
            var reader = BodyReader(bytes(hex: hex), message: "test")
            _ = try reader.unsigned()
        }
    }

    @Test
    func `a request that no agent would take says so before it is sent`() {
        var request = SampleMessages.request
        #expect(request.problem == nil)
        request.events = [.init(pattern: "sched", filter: String(repeating: "f", count: Limits.filterBytes + 1))]
        #expect(request.problem?.contains("sched") == true)
        #expect(throws: MessageError.self) { try Message(Message.request(request).frame) }
        request.events = Array(repeating: .init(pattern: "sched"), count: Limits.eventPatterns + 1)
        #expect(request.problem?.contains("257") == true)
    }
}
