import Glibc
import SessionLog
import Testing
import TraceModel
import Wire

/// A file system of one megabyte of memory, which only root may mount.
@Suite(.timeLimit(.minutes(10)), .enabled(if: geteuid() == 0, "mounting a small file system needs root"))
struct FullDiskTests {
    @Test func `a full disk is told with path and reason, and what was written before it stays readable`() throws {
        let folder = try TestFolder()
        try #require(mount("tandem-test", folder.path, "tmpfs", 0, "size=1m") == 0, "errno \(errno)")
        defer { umount2(folder.path, Int32(MNT_DETACH)) }
        let writer = try LogWriter(creating: "\(folder.path)/run")
        let record = LogRecord.message(.host, .batch([UInt8](repeating: 7, count: 30_000)))
        var failure: LogError?
        var appended = 0
        try writer.append(SampleRecords.session)
        while failure == nil, appended < 1000 {
            do throws(LogError) {
                try writer.append(record)
                appended += 1
            } catch {
                failure = error
            }
        }
        let text = try #require(failure?.description)
        #expect(text.contains("writing '\(folder.path)/run/stream' failed: No space left on device"))
        #expect(text.contains("what was recorded before stays readable"))
        #expect(!text.contains("\n"))

        let reader = try LogReader(opening: "\(folder.path)/run")
        #expect(try reader.next() == SampleRecords.session)
        var count = 0
        while let next = try reader.next() {
            #expect(next == record)
            count += 1
        }
        // All that a megabyte holds, and the rest is told.
        #expect(count >= 25 && count < appended)
        #expect(reader.tornTail?.contains("is cut") == true)
    }
}
