import Collector
import Foundation
import SessionLog
import Testing
import TraceModel

/// The whole collector against the oracle, on events of real kernels: the recordings of Tests/Fixtures, and those that the
/// lab's tests have just made (`TANDEM_RECORDINGS`, a folder of them).
struct RecordedOracleTests {
    private static let folders: [URL] = {
        let tests = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let others = ProcessInfo.processInfo.environment["TANDEM_RECORDINGS"].map { [URL(filePath: $0)] } ?? []
        return [tests.appending(path: "Fixtures")] + others
    }()

    static let recordings: [String] = folders.flatMap { folder in
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return names.sorted().map { folder.appending(path: $0).path }.filter(LogFile.isRecording)
    }

    @Test(arguments: recordings)
    func `what is said of a real host's vCPUs is what the oracle says`(path: String) throws {
        try Self.compare { RecordedInput(try LogReader(opening: path)) }
    }

    /// Every vCPU that lives to the end (the oracle knows of no other end) against what the oracle says of its thread.
    static func compare(_ open: () throws -> any SessionInput) throws {
        var replay = Replay(try open())
        _ = try replay.advance(to: nil)
        let snapshot = replay.snapshot
        let kernel = try RecordedKernel(try open())
        guard kernel.hasAllTypes else { try Test.cancel("no switches, entries or exits of the host were recorded") }
        if let late = snapshot.sources.first?.lateEvents, late > 0 {
            try Test.cancel(
                "\(late) events of the host came late: they count from when they came, in the oracle from their time")
        }
        let window = snapshot.window
        let oracle = Oracle(kernel.observations, start: window.startNanoseconds, end: window.endNanoseconds)
        let rows = snapshot.guests.flatMap(\.vcpus).filter { $0.hostTID != nil }
        // Of two guests, one may have been killed.
        #expect(rows.count >= 2, "vCPUs in the recording")
        let living = rows.filter { $0.detail != "thread ended" }
        #expect(!living.isEmpty, "vCPUs at its end")
        for row in living {
            guard let tid = row.hostTID else { continue }
            let figures = oracle.figures(of: tid, knownFrom: window.endNanoseconds - row.times.total)
            #expect(differences(row, figures) == [], "thread \(tid)")
        }
        #expect(kernel.observations.count > 1000)
    }
}
