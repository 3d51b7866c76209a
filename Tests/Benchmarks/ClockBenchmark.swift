import Collector
import RecordingSupport
import SessionLog

/// How far maps of a guest's clock are off, on a recording of a host and guests that all stamped with the TSC: what probes
/// say, with and without the help of entries and exits, live and afterwards, beside KVM's own numbers.
enum ClockBenchmark {
    static func run(_ folder: String) throws {
        func recording() throws -> any SessionInput { RecordedInput(try LogReader(opening: folder)) }
        let truth = try ClockTruth.placements(of: recording())
        guard !truth.isEmpty else {
            print("nothing of a guest with a clock that KVM told is in '\(folder)'")
            return
        }
        for estimators in ClockTruth.Estimators.allCases {
            show(estimators.rawValue, try ClockTruth.placements(by: estimators, recording), against: truth)
        }
    }

    static func show(_ name: String, _ placed: ClockTruth.Placements, against truth: ClockTruth.Placements) {
        for errors in ClockTruth.errors(placed, against: truth) { print("\(padded(name, 20)) \(errors.text)") }
    }
}
