import Collector
import Foundation
import Glibc
import SessionLog
import Testing
import TraceModel

extension RealTracingTests {
    /// Recordings that keep only a part of a live session, by the program as users start it.
    struct FlightRecorders {
        /// Some hundred thousand events a second.
        private func load(in folder: TestFolder) throws -> Program {
            try Program(
                "/bin/sh", ["-c", "while :; do dd if=/dev/zero of=/dev/null bs=1 count=100000; done"], in: folder)
        }

        private func record(_ options: [String], _ agent: TestAgent, into directory: String) throws -> Program {
            try Program(
                "tandem",
                ["record", "-q", "-o", directory] + options + [
                    "-e", "raw_syscalls", "-e", "sched", "-A", "guest@unix:\(agent.socket)", "-e", "sched",
                ], in: agent.folder)
        }

        private func bytes(_ directory: String) throws -> Int {
            try FileManager.default.contentsOfDirectory(atPath: directory).reduce(0) {
                let facts = try? FileManager.default.attributesOfItem(atPath: "\(directory)/\($1)")
                return $0 + ((facts?[.size] as? Int) ?? 0)
            }
        }

        /// Whole, with events of these machines; the state in its middle is the same with the index that looking made.
        private func check(
            _ directory: String, withGuest: Bool = true, sourceLocation: SourceLocation = #_sourceLocation
        ) throws {
            var replay = Replay(RecordedInput(try LogReader(opening: directory)))
            let end = try replay.end()
            #expect(replay.shortfall == nil, sourceLocation: sourceLocation)
            #expect(end.sources.first.map { $0.events > 0 } == true, sourceLocation: sourceLocation)
            if withGuest {
                #expect(end.sources.last?.name == "guest", sourceLocation: sourceLocation)
                #expect(end.sources.allSatisfy { $0.events > 0 }, sourceLocation: sourceLocation)
            }
            let middle = HostTime(nanoseconds: (end.window.startNanoseconds + end.window.endNanoseconds) / 2)
            let looks = try (0..<2).map { _ in
                var replay = Replay(
                    RecordedInput(try LogReader(opening: directory), checkpointBytes: 100_000))
                return try replay.snapshot(at: SessionTime.clock(middle))
            }
            #expect(looks[0] == looks[1], sourceLocation: sourceLocation)
        }

        @Test(arguments: [[], ["--compress"]])
        func `a ring stays within its size, is saved on a signal and readable at its end`(more: [String]) throws {
            let agent = try TestAgent()
            let run = "\(agent.folder.path)/run.tandem"
            let load = try load(in: agent.folder)
            let program = try record(["--max-size", "4M"] + more, agent, into: run)
            #expect(eventually(seconds: 30) { (LogFile.segments(in: run).first ?? 0) > 2 }, "\(program.errorText)")
            #expect(try bytes(run) < 6 << 20)
            kill(program.pid, SIGUSR1)
            let saved = "\(agent.folder.path)/run-saved-1.tandem"
            #expect(eventually(seconds: 10) { program.errorText.contains("run-saved-1") }, "\(program.errorText)")
            try check(saved)
            load.end(SIGKILL)
            #expect(program.end(SIGINT) == 0, "\(program.errorText)")
            #expect(try bytes(run) < 6 << 20)
            // The guest is drained first; on a busy host the ring may hold nothing but what the host did after that.
            try check(run, withGuest: false)
            agent.stop()
        }

        @Test func `what was kept is saved when a rule is broken, and once only until all of it is new`() throws {
            let agent = try TestAgent()
            let run = "\(agent.folder.path)/run.tandem"
            let program = try record(["--keep-last", "3s", "--save-on", "lag>1us", "-d", "2.5"], agent, into: run)
            #expect(program.wait(seconds: 30) == 0, "\(program.errorText)")
            let saved = try FileManager.default.contentsOfDirectory(atPath: agent.folder.path).filter {
                $0.contains("-saved-")
            }
            #expect(saved == ["run-saved-1.tandem"], "\(program.errorText)")
            #expect(program.errorText.contains("lag"), "the rule is not named: \(program.errorText)")
            try check("\(agent.folder.path)/run-saved-1.tandem")
            agent.stop()
        }

        @Test func `pieces of a rotated recording are one recording`() throws {
            let agent = try TestAgent()
            let run = "\(agent.folder.path)/run.tandem"
            let load = try load(in: agent.folder)
            let program = try record(["--rotate", "1M"], agent, into: run)
            #expect(eventually(seconds: 30) { LogFile.segments(in: run).count > 3 }, "\(program.errorText)")
            load.end(SIGKILL)
            #expect(program.end(SIGINT) == 0, "\(program.errorText)")
            #expect(LogFile.segments(in: run).first == 1)
            try check(run)
            agent.stop()
        }
    }
}
