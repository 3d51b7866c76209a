import Capture
import Glibc
import Threading
import TraceModel
import Transport
import Wire

/// An agent that does what the protocol asks for, traces nothing, and at the drain does as a test says.
final class ScriptedAgent: @unchecked Sendable {
    // @unchecked: `prepared` is only touched under `lock`.
    let folder: TestFolder
    let endpoint: Endpoint
    private let listener: Listener
    private let lock = ConditionLock()
    private var prepared: Prepared?
    /// Writes what comes after the drain was asked for; its end is that of the connection.
    private let atDrain: @Sendable (_ send: (Message) -> Bool) -> Void

    init(atDrain: @escaping @Sendable (_ send: (Message) -> Bool) -> Void) throws {
        folder = try TestFolder()
        endpoint = .unix(path: "\(folder.path)/agent.sock", hybridPort: nil)
        listener = try Listener(endpoint)
        self.atDrain = atDrain
        Thread.start("scripted agent") { [self] in
            while let connection = try? listener.accept(timeoutMilliseconds: nil) {
                Thread.start("scripted link") { [self] in serve(connection) }
            }
        }
    }

    func stop() { listener.close() }

    private func serve(_ connection: Connection) {
        var session = AgentSession(hello: Hello(role: .agent, program: "test", hostname: "scripted"))
        var reader = FrameReader()
        func send(_ message: Message) -> Bool {
            (try? connection.write(message.frame.bytes, timeoutMilliseconds: 5_000)) != nil
        }
        while let bytes = try? connection.read(upTo: 4096, timeoutMilliseconds: nil), !bytes.isEmpty {
            reader.append(bytes)
            while let frame = try? reader.next() {
                guard let message = try? Message(frame) else { continue }
                let token = lock.withLock { prepared?.token }
                var actions = session.received(
                    message, occupation: token == nil ? .free : .held(by: "test", token: token))
                while !actions.isEmpty {
                    switch actions.removeFirst() {
                    case .send(let message): _ = send(message)
                    case .prepare(let request):
                        let told = Prepared(
                            token: 7, clock: request.clock, byteOrder: .little, longSize: 8, subBufferBytes: 4096,
                            bufferKiBPerCPU: 64, cpus: [0], instance: "none")
                        lock.withLock { prepared = told }
                        actions += session.prepared(told, formats: [], names: TaskNamesMessage(tasks: []))
                    case .startTracing: _ = send(.watermark(now))
                    case .answerProbe(let id):
                        _ = send(.probeReply(id: id, received: now, sent: now))
                    case .drain:
                        atDrain(send)
                        return
                    case .close: return
                    case .addCredit: continue
                    }
                }
            }
        }
    }

    private var now: TraceTicks { TraceClockReader.now(.monoRaw) ?? TraceTicks(0) }
}
