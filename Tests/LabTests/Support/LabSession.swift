import Collector
import Foundation
import RecordingSupport
import SessionLog
import Testing
import TraceModel

/// A run of `tandem record` in the lab's host, by the verbs of `recording` (Deploy/lab/inside).
struct LabSession {
    /// The guests of the lab by their agents' vsock ports, or by TCP.
    enum Transport: String, CaseIterable, CustomTestStringConvertible {
        case vsock, tcp

        /// `-A` options for these guests.
        func options(_ guests: some Sequence<Int>) -> String {
            guests.map { guest in
                switch self {
                case .vsock: "-A g\(guest)@\(guest + 2)"
                case .tcp: "-A g\(guest)@tcp:10.77.0.\(guest + 10):9823"
                }
            }.joined(separator: " ") + (self == .tcp ? " --insecure" : "")
        }

        var testDescription: String { rawValue }
    }

    /// Returns when every source is live. The host stamps with the counter that `host-clock` reads, also where there is no
    /// guest that would be placed by it.
    static func start(_ options: String) throws -> LabSession {
        do {
            try Lab.host("recording start 300 -C x86-tsc \(options)")
        } catch {
            throw Lab.Failure(description: "the recording did not start: \(try Lab.host("recording log"))")
        }
        return LabSession()
    }

    func snapshot() throws -> Snapshot {
        try JSONDecoder().decode(Snapshot.self, from: Data(try Lab.host("recording snapshot").utf8))
    }

    /// Snapshots until one is so; throws when that takes longer than a machine under load may need.
    @discardableResult
    func wait(until words: String, _ condition: (Snapshot) -> Bool) throws -> Snapshot {
        let deadline = Clock.nanoseconds() + 60_000_000_000
        while true {
            let snapshot = try snapshot()
            if condition(snapshot) { return snapshot }
            guard Clock.nanoseconds() < deadline else {
                throw Lab.Failure(description: "within a minute it was never so: \(words)\n\(snapshot.health)")
            }
        }
    }

    /// What the programs said until now.
    func log() throws -> String { try Lab.host("recording log") }

    /// Ends the session and fetches what it wrote. The guests may use their CPU to deliver the rest.
    func finish() throws -> LabRecording {
        for guest in Lab.guests { try? Lab.stopWork(guest) }
        try Lab.host("recording end")
        return try LabRecording(log: try log())
    }
}

/// A recording that was made in the lab and is now here, to be looked at as often as needed. It stays in the folder that
/// `Deploy/lab/check` names, for the oracle of the analysis, which hears them all when the lab is down.
final class LabRecording {
    let path: String
    /// What `tandem record` printed.
    let log: String

    fileprivate init(log: String) throws {
        self.log = log
        let folder = Lab.variable("TANDEM_RECORDINGS") ?? FileManager.default.temporaryDirectory.path
        path = "\(folder)/tandem-lab-\(UUID().uuidString)"
        try Lab.run("fetch", path)
    }

    deinit {
        if Lab.variable("TANDEM_RECORDINGS") == nil { try? FileManager.default.removeItem(atPath: path) }
    }

    /// The result of the whole session.
    func snapshot() throws -> Snapshot {
        var replay = try replay()
        _ = try replay.advance(to: nil)
        #expect(replay.shortfall == nil)
        return replay.snapshot
    }

    /// The state of everything at these times, which ascend. Exactly then: not when the analysis, which goes in steps, had
    /// come that far.
    func snapshots(at times: [HostTime]) throws -> [Snapshot] {
        var replay = try replay()
        return try times.map { try replay.snapshot(at: $0) }
    }

    func eventCounts(from thread: Int32 = 0) throws -> [String: [String: Int]] {
        try EventCounts(try input(), from: thread).bySource
    }

    func input() throws -> some SessionInput { RecordedInput(try LogReader(opening: path)) }

    private func replay() throws -> Replay { Replay(try input()) }
}
