import Collector
import Foundation
import RecordingSupport
import SessionLog
import Testing
import TraceModel

/// Real kernels' clocks (recordings of the lab, Tests/Fixtures): the maps that need none of KVM's numbers, against these.
///
/// Two guests that compete; a guest that is paused and goes on; a host that loses events.
struct RecordedClockTests {
    private static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Fixtures").path

    @Test(arguments: ["two-guests", "pause", "losses"])
    func `no event is farther from where KVM's numbers put it than its bound says`(name: String) throws {
        func session() throws -> any SessionInput { RecordedInput(try LogReader(opening: "\(Self.folder)/\(name)")) }
        let truth = try ClockTruth.placements(of: session())
        // KVM's own, give or take what a nanosecond's rounding costs.
        #expect(!truth.isEmpty && truth.values.allSatisfy { $0.boundNanoseconds <= 3 })
        for estimators in ClockTruth.Estimators.allCases {
            let all = ClockTruth.errors(try ClockTruth.placements(by: estimators, session), against: truth)
            #expect(all.count == 2)
            for errors in all {
                print("\(name), \(estimators.rawValue): \(errors.text)")
                #expect(errors.violations == 0, "\(estimators): \(errors.text)")
                // Live, nothing is placed by a counter whose frequency is not known to 500 ppm; over a bad line that takes seconds.
                let least = estimators == .afterwards ? 98 : 15
                #expect(errors.compared * 100 >= errors.all * least, "\(estimators): \(errors.text)")
                // Emulated, a round trip takes a millisecond, and an entry with its exit some ten microseconds.
                let bounds = errors.bounds.sorted()
                let median = try #require(bounds.dropFirst(bounds.count / 2).first)
                #expect(median < (estimators == .probesOnly ? 10_000_000 : 500_000), "\(estimators): \(errors.text)")
            }
        }
    }
}
