import Collector
import RecordingSupport
import SessionLog
import Testing
import TraceModel

extension LabTests {
    /// The clocks of real guests: the maps that are measured, against the offsets that KVM tells.
    struct Clocks {
        let lab: Lab

        init() throws { lab = try Lab() }

        /// Judges a recording in which KVM told the clocks; prints how far each way of measuring was off.
        private func check(_ recording: LabRecording, sourceLocation: SourceLocation = #_sourceLocation) throws {
            let truth = try ClockTruth.placements(of: recording.input())
            // KVM's own, give or take what a nanosecond's rounding costs.
            #expect(
                !truth.isEmpty && truth.values.allSatisfy { $0.boundNanoseconds <= 3 }, sourceLocation: sourceLocation)
            for estimators in ClockTruth.Estimators.allCases {
                let placed = try ClockTruth.placements(by: estimators) { try recording.input() }
                let all = ClockTruth.errors(placed, against: truth)
                #expect(all.count == Lab.guests.count, sourceLocation: sourceLocation)
                for errors in all {
                    print("clock of g\(errors.source.rawValue), \(estimators.rawValue): \(errors.text)")
                    #expect(errors.violations == 0, "\(errors.text)", sourceLocation: sourceLocation)
                    // Live, a counter whose frequency is not known to 500 ppm places nothing: some seconds, over a bad line.
                    let least = estimators == .afterwards ? 95 : 10
                    #expect(
                        errors.compared * 100 >= errors.all * least, "\(errors.text)", sourceLocation: sourceLocation)
                }
            }
            for clock in try recording.snapshot().sources.dropFirst().map(\.clock) {
                #expect(clock?.quality == "exact", sourceLocation: sourceLocation)
                #expect(clock?.containment ?? 0 > 0.99, sourceLocation: sourceLocation)
            }
        }

        @Test(arguments: LabSession.Transport.allCases)
        func `of two guests under load no event is beyond the bound that probes and entries state`(
            transport: LabSession.Transport
        ) throws {
            let session = try LabSession.start(transport.options(Lab.guests))
            for guest in Lab.guests { try Lab.startWork(guest, "busy 600") }
            let begin = try session.snapshot()
            try session.wait(until: "five seconds are analyzed") {
                $0.window.endNanoseconds > begin.window.endNanoseconds + 5_000_000_000
            }
            try check(session.finish())
            try lab.expectNothingLeft("after the session")
        }

        @Test func `nor is one of a guest that is paused in its monitor and goes on`() throws {
            let session = try LabSession.start(LabSession.Transport.vsock.options(Lab.guests))
            for guest in Lab.guests { try Lab.startWork(guest, "busy 600") }
            try session.wait(until: "both guests have sent events") { snapshot in
                snapshot.sources.dropFirst().allSatisfy { $0.events > 0 }
            }
            try Lab.host("guest-monitor 1 pause 3")
            let paused = try session.snapshot().sources[1].events
            try session.wait(until: "g1 goes on") { $0.sources[1].events > paused + 100 }
            try check(session.finish())
            try lab.expectNothingLeft("after the session")
        }
    }
}
