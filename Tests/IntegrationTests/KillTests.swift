import Foundation
import Glibc
import SessionLog
import Testing
import Threading
import TraceModel
import Wire

extension RealTracingTests {
    /// What a recording is worth after its program was killed. `TANDEM_KILL_ROUNDS` asks for more rounds than a few.
    struct Kills {
        private static let rounds = ProcessInfo.processInfo.environment["TANDEM_KILL_ROUNDS"].flatMap { Int($0) } ?? 3

        /// Events of a batch message: what its second number says.
        private func eventCount(_ body: [UInt8]) throws -> UInt64 {
            var reader = BodyReader(Array(body.dropFirst(4)), message: "batch")
            _ = try reader.unsigned()
            return try reader.unsigned()
        }

        /// Reads a killed recording to its end. Whenever a source told its books, all that it had delivered by then is there:
        /// nothing is missing but the tail.
        private func check(
            _ directory: String, _ label: String, sourceLocation: SourceLocation = #_sourceLocation
        ) throws -> UInt64 {
            let reader = try LogReader(opening: directory)
            var found: [SourceID: UInt64] = [:]
            var isSession = false
            while let record = try reader.next() {
                switch record {
                case .session: isSession = true
                case .message(let source, .batch(let body)): found[source, default: 0] += try eventCount(body)
                case .message(let source, .statistics(let books)):
                    let delivered = books.cpus.reduce(0) { $0 + $1.delivered }
                    #expect(
                        found[source, default: 0] == delivered, "\(label), \(source)", sourceLocation: sourceLocation)
                case .sourceClosed: Issue.record("\(label): it ended well", sourceLocation: sourceLocation)
                default: break
                }
            }
            if let tail = reader.tornTail {
                #expect(tail.contains("is cut") || tail.contains("no beginning"), "\(label): \(tail)")
            }
            // Killed in its first moments, before anything was handed to the kernel.
            #expect(isSession || found.isEmpty, "\(label)", sourceLocation: sourceLocation)
            return found.values.reduce(0, +)
        }

        @Test func `a recording that is killed at any moment is readable, and lacks its tail only`() throws {
            let agent = try TestAgent()
            let folder = try TestFolder()
            let load = try Program("/bin/sh", ["-c", "while :; do /bin/true; done"], in: folder)
            var random = SystemRandomNumberGenerator()
            var events: UInt64 = 0
            for round in 0..<Self.rounds {
                let run = "\(folder.path)/run\(round)"
                // Every other one in segments, so that some are killed while one begins.
                let pieces = round % 2 == 0 ? [] : ["--rotate", "1M"]
                let program = try Program(
                    "tandem",
                    ["record", "-q", "-o", run] + pieces + [
                        "-e", "sched", "-A", "guest@unix:\(agent.socket)", "-e", "sched", "-e", "irq",
                    ], in: folder)
                #expect(
                    eventually(seconds: 15) { LogFile.isRecording(run) || !program.isRunning }, "round \(round)")
                // Most are killed while they record, some while they are set up.
                if round % 4 != 3 {
                    #expect(
                        eventually(seconds: 15) { TracefsState.text(of: "\(run)/stream").utf8.count > 8 },
                        "round \(round)")
                }
                let wait = Int64.random(in: 0...1_500_000_000, using: &random)
                MonotonicClock.sleep(nanoseconds: wait)
                #expect(program.end(SIGKILL) == -SIGKILL, "round \(round): \(program.errorText)")
                events += try check(run, "round \(round), killed after \(wait / 1_000_000) ms")
                // The agent notices, and takes the next session.
                #expect(eventually(seconds: 15) { agent.instances.isEmpty }, "round \(round)")
                try? FileManager.default.removeItem(atPath: run)
            }
            load.end(SIGKILL)
            #expect(events > UInt64(Self.rounds) * 100, "\(events)")
            // The next session takes away what the killed ones left.
            let last = try Program(
                "tandem", ["record", "-q", "-o", "\(folder.path)/last", "-e", "sched:sched_switch", "-d", "0.2"],
                in: folder)
            #expect(last.wait() == 0, "\(last.errorText)")
            #expect(TracefsState.instances(of: last.pid) == [])
            agent.stop()
        }
    }
}
