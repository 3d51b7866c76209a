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
        var replay = Replay(RecordedInput(try LogReader(opening: path)))
        _ = try replay.advance(to: nil)
        let snapshot = replay.snapshot
        // Late events count where the analysis was when they came; the oracle hears them at their time.
        guard snapshot.sources.first?.lateEvents == 0 else { return }
        var kernel = try RecordedKernel(try LogReader(opening: path))
        guard kernel.hasAllTypes else { return }
        kernel.end(at: snapshot.window.endNanoseconds)
        let oracle = Oracle(kernel.observations, start: kernel.start)
        for tid in kernel.vcpuThreads {
            let row = try #require(snapshot.guests.flatMap(\.vcpus).first { $0.hostTID == tid })
            let problems = differences(row, oracle.figures(of: tid, knownFrom: kernel.start))
            let blames = problems.filter { $0.hasPrefix("culprits") }
            #expect(problems.filter { !blames.contains($0) } == [], "thread \(tid) of \(path)")
            if snapshot.sources[0].lost.total == 0 {
                #expect(blames == [], "thread \(tid) of \(path)")
            } else {
                withKnownIssue(
                    "behind a gap a thread is blamed for some time of which the oracle says that nobody knows",
                    isIntermittent: true
                ) {
                    #expect(blames == [], "thread \(tid) of \(path)")
                }
            }
        }
    }
}
