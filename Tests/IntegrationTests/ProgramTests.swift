import Foundation
import Glibc
import Testing
import TraceModel

extension RealTracingTests {
    /// The programs as a user runs them.
    struct Programs {
        private func tandem(_ arguments: [String], in folder: TestFolder) throws -> Program {
            let program = try Program("tandem", arguments, in: folder)
            #expect(program.wait(seconds: 20) != nil, "tandem \(arguments.joined(separator: " ")) does not end")
            return program
        }

        private func snapshot(_ text: String) throws -> Snapshot {
            try JSONDecoder().decode(Snapshot.self, from: Data(text.utf8))
        }

        /// Fails with that status and one line that holds those words.
        private func checkFailure(
            _ arguments: [String], status: Int32, _ words: String..., sourceLocation: SourceLocation = #_sourceLocation
        ) throws {
            let folder = try TestFolder()
            let program = try tandem(
                arguments.map { $0.replacingOccurrences(of: "FOLDER", with: folder.path) }, in: folder)
            #expect(program.wait() == status, "\(program.errorText)", sourceLocation: sourceLocation)
            let lines = program.errorText.split(separator: "\n")
            #expect(lines.count == 1, "\(program.errorText)", sourceLocation: sourceLocation)
            for word in words {
                #expect(program.errorText.contains(word), "\(program.errorText)", sourceLocation: sourceLocation)
            }
            #expect(program.outputText == "", sourceLocation: sourceLocation)
            #expect(TracefsState.instances(of: program.pid) == [], sourceLocation: sourceLocation)
        }

        @Test func `a recording's result is what its replay gives`() throws {
            let agent = try TestAgent()
            let folder = try TestFolder()
            let run = "\(folder.path)/run"
            let recorded = try tandem(
                [
                    "record", "-q", "-o", run, "--format", "json", "-e", "sched", "-A", "guest@unix:\(agent.socket)",
                    "-e", "sched:sched_switch", "--", "sleep", "1",
                ], in: folder)
            #expect(recorded.wait() == 0, "\(recorded.errorText)")
            let replayed = try tandem(["replay", run, "--speed", "max", "--format", "json"], in: folder)
            #expect(replayed.wait() == 0, "\(replayed.errorText)")
            #expect(replayed.outputText == recorded.outputText)
            let snapshot = try snapshot(recorded.outputText)
            #expect(snapshot.sources.map(\.kind) == ["host", "guest"])
            #expect(snapshot.sources.map(\.state) == ["drained", "drained"])
            #expect(snapshot.window.endNanoseconds - snapshot.window.startNanoseconds >= 900_000_000)
            #expect(agent.instances == [])
            agent.stop()
        }

        @Test func `a recording lasts as long as its command and ends with its status`() throws {
            let folder = try TestFolder()
            let program = try tandem(
                ["record", "-o", "\(folder.path)/run", "-e", "sched:sched_switch", "--", "sh", "-c", "exit 7"],
                in: folder)
            #expect(program.wait() == 7, "\(program.errorText)")
        }

        @Test func `one interrupt stops a recording, and it is whole`() throws {
            let folder = try TestFolder()
            let run = "\(folder.path)/run"
            let program = try Program("tandem", ["record", "-o", run, "-e", "sched:sched_switch"], in: folder)
            #expect(eventually(seconds: 5) { program.errorText.contains("Ctrl-C stops") })
            kill(program.pid, SIGINT)
            #expect(program.wait() == 0, "\(program.errorText)")
            #expect(TracefsState.instances(of: program.pid) == [])
            let replayed = try tandem(["replay", run, "--speed", "max", "--format", "json"], in: folder)
            #expect(replayed.wait() == 0, "\(replayed.errorText)")
        }

        @Test func `a recording that was killed is replayed up to its last whole record`() throws {
            let folder = try TestFolder()
            let run = "\(folder.path)/run"
            let program = try Program("tandem", ["record", "-q", "-o", run, "-e", "sched:sched_switch"], in: folder)
            let stream = "\(run)/stream"
            #expect(
                eventually(seconds: 5) {
                    (try? FileManager.default.attributesOfItem(atPath: stream)[.size] as? Int) ?? 0 > 20_000
                })
            program.end(SIGKILL)
            unlink("/run/tandem/\(program.pid).sock")
            let size = try #require(FileManager.default.attributesOfItem(atPath: stream)[.size] as? Int)
            truncate(stream, size - 3)
            let replayed = try tandem(["replay", run, "--speed", "max", "--format", "json"], in: folder)
            #expect(replayed.errorText.contains("the recording ends early: the record at byte "))
            #expect(try snapshot(replayed.outputText).sources[0].events > 0)
            #expect(replayed.wait() == 1)
            // The next session clears away what the killed one left.
            #expect(TracefsState.instances(of: program.pid).count == 1)
            _ = try tandem(["top", "--once", "--no-attach", "--format", "json", "-d", "0.1"], in: folder)
            #expect(TracefsState.instances(of: program.pid) == [])
        }

        @Test func `top prints a snapshot with the documented keys`() throws {
            let folder = try TestFolder()
            let program = try tandem(["top", "--once", "--no-attach", "--format", "json", "-d", "0.2"], in: folder)
            #expect(program.wait() == 0, "\(program.errorText)")
            let snapshot = try snapshot(program.outputText)
            #expect(snapshot.schema == 1)
            #expect(snapshot.host.cpus.count >= 1)
            #expect(program.outputText.split(separator: "\n").count == 1)
            let object = try JSONSerialization.jsonObject(with: Data(program.outputText.utf8)) as? [String: Any]
            #expect(object?.keys.sorted() == ["guests", "health", "host", "schema", "sources", "window"])
            let health = object?["health"] as? [String: Any]
            #expect(
                health?.keys.sorted() == [
                    "anomalies", "checks", "events_lost", "lag_ns", "limits", "losses_of_unknown_size",
                ])
            #expect(TracefsState.instances(of: program.pid) == [])
        }

        @Test func `top attaches to the recording that runs, and ends with it`() throws {
            let folder = try TestFolder()
            let recording = try Program(
                "tandem", ["record", "-o", "\(folder.path)/run", "-e", "sched", "-d", "6"], in: folder)
            #expect(eventually(seconds: 5) { recording.errorText.contains("Ctrl-C stops") })
            let socket = "/run/tandem/\(recording.pid).sock"
            let top = try tandem(["top", "--session", socket, "--once", "-d", "0.5", "--format", "json"], in: folder)
            #expect(top.wait() == 0, "\(top.errorText)")
            #expect(try snapshot(top.outputText).sources[0].events > 0)
            let follower = try Program(
                "tandem", ["top", "--session", socket, "-d", "0.1", "--format", "csv"], in: folder)
            #expect(eventually(seconds: 5) { !follower.outputText.isEmpty })
            #expect(eventually(seconds: 5) { follower.outputText.contains("\n") })
            kill(recording.pid, SIGTERM)
            #expect(recording.wait() == 0, "\(recording.errorText)")
            #expect(follower.wait(seconds: 5) == 0, "\(follower.errorText)")
        }

        @Test func `guests are listed as JSON`() throws {
            let folder = try TestFolder()
            let program = try tandem(["guests", "--no-probe", "--format", "json"], in: folder)
            #expect(program.wait() == 0, "\(program.errorText)")
            #expect(try JSONSerialization.jsonObject(with: Data(program.outputText.utf8)) is [Any])
        }

        @Test func `what goes wrong is one line on standard error, and a status`() throws {
            try checkFailure(["record", "-o", "FOLDER/run", "-f", "x > 1"], status: 1, "-f 'x > 1' must follow the -e")
            try checkFailure(["record", "-o", "FOLDER/run", "-e", "sched:nothing"], status: 1, "sched:nothing")
            try checkFailure(
                ["record", "-o", "FOLDER/run", "-A", "web@unix:FOLDER/none"], status: 1, "guest 'web' at unix:")
            try checkFailure(["record", "-o", "FOLDER/a/b/c"], status: 1, "creating the recording's directory")
            try checkFailure(["replay", "FOLDER", "--speed", "max"], status: 1, "holds no session")
            try checkFailure(["top", "--sort", "nothing"], status: 1, "--sort 'nothing' is no column")
            try checkFailure(["top", "--session", "FOLDER/none"], status: 1, "no such socket")
        }

        @Test func `the agent refuses what it cannot serve, in one line`() throws {
            let folder = try TestFolder()
            let cases: [([String], Int32, String)] = [
                (["--nonsense"], 2, "unknown option '--nonsense'"), (["tcp:0.0.0.0:1"], 2, "--insecure"),
                (["unix:\(folder.path)/no/where.sock"], 1, "make its directory first"),
                (["--accept-cid"], 2, "a number"),
            ]
            for (arguments, status, words) in cases {
                let agent = try Program("tandem-agent", arguments, in: folder)
                #expect(agent.wait() == status)
                #expect(agent.errorText.hasPrefix("tandem-agent: error: "))
                #expect(agent.errorText.contains(words), "\(agent.errorText)")
                #expect(agent.errorText.split(separator: "\n").count == 1)
            }
        }
    }
}
