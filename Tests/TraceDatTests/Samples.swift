import Glibc
import RecordingSupport
import TraceDat
import TraceFiles
import TraceModel

/// The recordings that the tests read.
enum Samples {
    /// Half a second of the lab, in this package.
    static let folder = #filePath.split(separator: "/").dropLast(2).reduce("") { "\($0)/\($1)" } + "/Fixtures/trace-dat"

    /// Whole recordings: a folder of folders with trace.dat files of `trace-cmd record -A`.
    static let labFolder = getenv("TANDEM_LAB_DATA").map { unsafe String(cString: $0) }

    static func path(_ name: String) -> String { "\(folder)/\(name)" }

    static let all = ["host.dat", "host-g1.dat", "host-g2.dat", "host-g1.v6.dat"]

    /// Every trace.dat file of the lab.
    static func labFiles() throws -> [String] {
        guard let labFolder else { return [] }
        return try Files.list(labFolder).flatMap { name in
            ((try? Files.list("\(labFolder)/\(name)")) ?? []).filter { $0.hasSuffix(".dat") }
                .map { "\(labFolder)/\(name)/\($0)" }
        }
    }
}

extension TraceDatSource {
    /// Hands over every batch of every buffer, in the reader's order; gives what was wrong.
    func readAll(_ take: (EventBatch) throws -> Void) throws -> AnomalyCounts {
        var events = try events(of: file.buffers)
        var batch = EventBatch(cpu: 0)
        while try read(&events, into: &batch) { try take(batch) }
        return events.anomalies
    }
}
