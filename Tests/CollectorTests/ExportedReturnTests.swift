import CTF
import Collector
import Foundation
import RecordingSupport
import SessionLog
import Testing
import TraceFiles
import TraceModel

/// Exports of a session in which an agent came back: one trace of each machine, which says the same when it is read.
struct ExportedReturnTests {
    private func inFolder(_ body: (String) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try body(folder)
    }

    private func exportTraceDat(_ session: ReturnedSession, into folder: String) throws -> [String] {
        var succession = AgentSuccession()
        for input in session.inputs { succession.take(input) }
        let input = DecodedSession(session.input)
        let output = try TraceDatOutput(directory: folder, program: "test", firsts: succession.firsts)
        _ = input.takePlacements()
        while let next = try input.next() {
            try output.take(next) { input.hostTime($0, $1, cpu: $2) }
            for placed in input.takePlacements() { try output.take(placed) }
        }
        try output.finish()
        #expect(output.notices == [])
        return try FileManager.default.contentsOfDirectory(atPath: folder).filter { !$0.hasPrefix(".") }.sorted()
    }

    private func exportCTF(_ session: ReturnedSession, into folder: String) throws -> [String] {
        var survey = CTFExportSurvey()
        var first = CollectorPipeline()
        first.observeGuests(end: { survey.end($0, at: $1, isFailure: $2) })
        for input in session.inputs {
            survey.take(input)
            first.apply(input)
        }
        let export = try CTFExport(survey, end: first.hostReached, into: folder)
        var pipeline = CollectorPipeline()
        pipeline.observe { export.append($0, $1) }
        pipeline.observeGuests(steal: { export.sample($0, $1, at: $2) })
        for input in session.inputs { pipeline.apply(input) }
        try export.finish()
        return try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
    }

    /// By machine and vCPU, what happened between two instants.
    private func figures(_ input: some SessionInput, _ instants: [HostTime]) throws -> [String: [String: Int64]] {
        var replay = Replay(input)
        var rows: [[String: [String: Int64]]] = []
        for instant in instants {
            var row: [String: [String: Int64]] = [:]
            for guest in try replay.snapshot(at: instant).guests {
                for (index, vcpu) in guest.vcpus.enumerated() {
                    var figures: [String: Int64] = [:]
                    for state in VCPUState.allCases { figures[state.label] = vcpu.times[state] }
                    figures["exits"] = Int64(clamping: vcpu.exitCount)
                    figures["preemptions"] = Int64(clamping: vcpu.preemptions)
                    row["\(guest.name)/\(index)"] = figures
                }
            }
            rows.append(row)
        }
        return rows[1].merging(rows[0]) { after, before in after.merging(before) { $0 - $1 } }
    }

    /// `shift` is from the session's time line to that of what is read.
    private func check(
        _ session: ReturnedSession, shift: Int64 = 0, _ read: () throws -> any SessionInput
    ) throws {
        // From before it was gone until after it came back; at the ends a trace knows less than a session.
        let instants = [session.gone.advanced(by: -3_000_000_000), session.back.advanced(by: 3_000_000_000)]
        let expected = try figures(session.input, instants)
        #expect(expected["g1/0"]?["running"] ?? 0 > 1_000_000_000)
        let found = try figures(read(), instants.map { $0.advanced(by: shift) })
        #expect(found.keys.sorted() == expected.keys.sorted())
        for (vcpu, figures) in expected {
            for (figure, value) in figures { #expect(found[vcpu]?[figure] == value, "\(vcpu): \(figure)") }
        }
        var whole = Replay(session.input)
        var again = Replay(try read())
        _ = try whole.advance(to: nil)
        _ = try again.advance(to: nil)
        let (before, after) = (whole.snapshot.sources, again.snapshot.sources)
        #expect(after.map(\.name).dropFirst() == before.map(\.name).dropFirst())
        #expect(after.map(\.events) == before.map(\.events))
        // Where nobody traced, events are missing; how many, nobody knows (CTF can only count: one at least).
        let lost = try #require(after.first { $0.name == "g1" }).lost
        #expect(lost.ofUnknownSize + lost.total == 1, "\(lost)")
        // A session forgets what tasks had got with the agent that told it; for a trace it is one guest throughout.
        for before in whole.snapshot.guests {
            let after = try #require(again.snapshot.guests.first { $0.name == before.name })
            let missing = Set(before.tasks.map(\.name)).subtracting(after.tasks.map(\.name))
            #expect(missing == [], "\(before.name)")
        }
    }

    @Test func `to trace.dat, an agent that came back is in its machine's file`() throws {
        try inFolder { folder in
            let session = try ReturnedSession(.sameKernel)
            #expect(try exportTraceDat(session, into: folder) == ["trace-g1.dat", "trace-g2.dat", "trace.dat"])
            try check(session, shift: -session.zero) {
                try TraceDatInput(
                    SessionPaths(
                        path: "\(folder)/trace.dat",
                        guests: ["g1", "g2"].map { .init(name: nil, path: "\(folder)/trace-\($0).dat") }))
            }
        }
    }

    private static let traceCmd = ChildProcess.find("trace-cmd")

    @Test(.enabled(if: traceCmd != nil, "needs trace-cmd"))
    func `trace-cmd merges such a file with its host's, in one order, and tells the gap`() throws {
        try inFolder { folder in
            let session = try ReturnedSession(.sameKernel)
            _ = try exportTraceDat(session, into: folder)
            let report = try ChildProcess(
                [
                    try #require(Self.traceCmd), "report", "-t", "-i", "\(folder)/trace.dat", "-i",
                    "\(folder)/trace-g1.dat",
                ])
            var lines = LineReader(report.output)
            var last = 0.0
            var ahead = 0
            var guest: [Double] = []
            var gaps = 0
            while let line = lines.next() {
                let text = String(decoding: line, as: UTF8.self)
                if text.contains("trace-g1"), text.contains("DROPPED") { gaps += 1 }
                // Before it there is the file's name, which ends in a colon too.
                let times = text.split(separator: " ").lazy.filter { $0.hasSuffix(":") }.compactMap {
                    Double($0.dropLast())
                }
                guard let time = times.first else { continue }
                if time < last { ahead += 1 }
                last = time
                if text.contains("trace-g1") { guest.append(time) }
            }
            let isReported = report.wait()
            #expect(isReported)
            #expect(last > 0 && ahead == 0)
            #expect(gaps == 1)
            let seconds = { (time: HostTime) in Double(time.nanoseconds - session.zero) / 1e9 }
            #expect(guest.contains { $0 < seconds(session.gone) } && guest.contains { $0 > seconds(session.back) })
        }
    }

    @Test func `to CTF too`() throws {
        try inFolder { folder in
            let session = try ReturnedSession(.sameKernel)
            #expect(try exportCTF(session, into: folder) == ["g1", "g2", "host"])
            try check(session) { try CTFInput(SessionPaths(path: folder)) }
        }
    }

    @Test func `another kernel begins another trace`() throws {
        let session = try ReturnedSession(.otherKernel)
        try inFolder { folder in
            let files = try exportTraceDat(session, into: folder)
            #expect(files.count == 3 && files.contains("trace-g1.dat") && !files.contains("trace-g2.dat"), "\(files)")
        }
        try inFolder { folder in
            let traces = try exportCTF(session, into: folder)
            #expect(traces.count == 3, "\(traces)")
        }
    }
}
