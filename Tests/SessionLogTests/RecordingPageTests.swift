import Foundation
import SessionLog
import Testing
import TraceModel
import Wire

/// The page of the recording's format cannot lie: its tables are compared with what the code does.
struct RecordingPageTests {
    private func page() throws -> String {
        try String(
            contentsOf: URL(filePath: #filePath)
                .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
                .appending(path: "Sources/SessionLog/SessionLog.docc/Recording.md"), encoding: .utf8)
    }

    @Test func `the page's record table has every record of the log with its number, and says which may be skipped`()
        throws
    {
        let rows = try page().split(separator: "\n").filter { $0.hasPrefix("| ") }
        for record in SampleRecords.all {
            let frames = record.frames.frames
            guard let frame = frames.last, frame.type >= 64 else { continue }
            let row = rows.first { $0.hasPrefix("| \(frame.type) | `") }
            #expect(row?.contains("May be skipped") == frame.isSkippable, "type \(frame.type)")
        }
    }

    @Test func `the limits that the page states are the code's`() throws {
        let page = try page()
        for (name, value) in [
            ("frameBytes", UInt64(Limits.frameBytes)), ("formats", UInt64(Limits.formats)),
            ("descriptionBytes", UInt64(Limits.descriptionBytes)), ("taskNames", UInt64(Limits.taskNames)),
            ("checkpointBytes", UInt64(Limits.checkpointBytes)),
            ("checkpointIntervalBytes", Limits.checkpointIntervalBytes),
        ] {
            #expect(page.contains("| `\(name)` | \(value) |"), "\(name)")
        }
    }

    @Test func `a stream and an index begin and are laid out as the page says`() throws {
        let folder = try TestFolder()
        let writer = try LogWriter(creating: "\(folder.path)/run")
        try writer.append(SampleRecords.session)
        try writer.flush()
        let stream = folder.read("run/stream")
        #expect(Array(stream[..<8]) == Array("TANDEM".utf8) + [0, 1])
        #expect(Array(stream[8..<16]) == [0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff])
        #expect(stream[20] == 64)
        let index = try #require(LogIndexWriter(in: "\(folder.path)/run"))
        let place = LogPosition(segment: 3, offset: 0x0102)
        #expect(index.append([7, 8, 9], time: HostTime(nanoseconds: -2), position: place))
        #expect(index.append([1], time: HostTime(nanoseconds: 5), position: place))
        let bytes = folder.read("run/index")
        #expect(Array(bytes[..<8]) == Array("TANDEMI".utf8) + [3])
        #expect(Array(bytes[8..<16]) == [1, 0, 0, 0, 0, 0, 0, 0])
        #expect(bytes.count == 24 + 2 * 56)
        #expect(Array(bytes[24..<32]) == [0xfe] + [UInt8](repeating: 0xff, count: 7))
        #expect(bytes[32] == 3 && bytes[40] == 2 && bytes[41] == 1)
        // The second checkpoint lies behind the first.
        #expect(bytes[80 + 24] == 3 && bytes[80 + 32] == 1)
        #expect(folder.read("run/checkpoints") == [7, 8, 9, 1])
        let reader = LogIndexReader(in: "\(folder.path)/run", firstSegment: 1)
        #expect(LogIndexReader(in: "\(folder.path)/run", firstSegment: 2).count == 0)
        #expect(reader.checkpoint(notAfter: HostTime(nanoseconds: -3))?.bytes == nil)
        #expect(reader.checkpoint(notAfter: HostTime(nanoseconds: 4))?.bytes == [7, 8, 9])
        #expect(reader.checkpoint(notAfter: HostTime(nanoseconds: 5))?.bytes == [1])
    }
}
