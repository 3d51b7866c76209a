import Inventory
import Threading
package import TraceModel
import Transport
import Wire

/// The virtual machines of this host, each asked whether an agent listens in it.
package struct GuestSurvey: Sendable {
    package enum Answer: Sendable, Hashable {
        case notAsked
        /// Program and version.
        case answers(String)
        case busy(String)
        case silent(String)

        package var text: String {
            switch self {
            case .notAsked: "not asked"
            case .answers(let program): program
            case .busy(let holder): holder
            case .silent(let reason): reason
            }
        }
    }

    package struct Guest: Sendable, Hashable {
        package var facts: VMFacts
        package var answer: Answer
    }

    package var guests: [Guest]
    /// What could not be looked at, and why.
    package var limits: [String]

    /// A machine without an answer costs a second, so all are asked at once.
    private static let answerMilliseconds = 1_000

    package static func take(port: UInt32, isAsking: Bool) -> GuestSurvey {
        let survey = ProcFS().survey()
        guard isAsking else {
            return GuestSurvey(
                guests: survey.machines.map { Guest(facts: $0, answer: .notAsked) }, limits: survey.limits)
        }
        let answers = BoundedQueue<(Int, Answer)>(maximumWeight: .max)
        for (index, machine) in survey.machines.enumerated() {
            Thread.start("ask") { answers.put((index, ask(machine, port: port)), weight: 1) }
        }
        var guests = survey.machines.map { Guest(facts: $0, answer: .silent("no answer")) }
        for _ in guests.indices {
            guard let (index, answer) = answers.pop(timeoutNanoseconds: 5_000_000_000) else { break }
            guests[index].answer = answer
        }
        return GuestSurvey(guests: guests, limits: survey.limits)
    }

    private static func ask(_ machine: VMFacts, port: UInt32) -> Answer {
        let endpoint: Endpoint
        if let path = machine.vsockPaths.first {
            endpoint = .unix(path: path, hybridPort: port)
        } else if let cid = machine.cid {
            endpoint = .vsock(cid: cid, port: port)
        } else {
            return .silent("no vsock device: its agent can be reached over TCP only")
        }
        do {
            let connection = try Connection.connect(to: endpoint, timeoutMilliseconds: answerMilliseconds)
            var hello = LocalMachine.hello
            hello.role = .query
            try connection.write(Message.hello(hello).frame.bytes, timeoutMilliseconds: answerMilliseconds)
            return try answer(from: connection)
        } catch {
            return .silent("\(error)")
        }
    }

    /// A hello, and behind it an error when the agent is held by another collector.
    private static func answer(from connection: Connection) throws -> Answer {
        var reader = FrameReader()
        var program: String?
        while true {
            let bytes = try connection.read(upTo: 4096, timeoutMilliseconds: answerMilliseconds)
            reader.append(bytes)
            while let frame = try reader.next() {
                switch try Message(frame) {
                case .hello(let hello): program = "\(hello.program), Linux \(hello.kernelRelease)".sanitized
                case .error(let error): return .busy(error.text)
                default: continue
                }
            }
            if bytes.isEmpty { return program.map { .answers($0) } ?? .silent("closed without an answer") }
        }
    }
}
