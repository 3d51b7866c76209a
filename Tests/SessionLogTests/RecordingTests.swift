import Glibc
import SessionLog
import Testing
import TraceModel
import Wire

@Suite(.timeLimit(.minutes(10))) struct RecordingTests {
    /// Writes the records and returns the recording's bytes.
    private func written(_ records: [LogRecord], in folder: TestFolder) throws -> [UInt8] {
        let writer = try LogWriter(creating: "\(folder.path)/run")
        for record in records { try writer.append(record) }
        try writer.flush()
        let bytes = folder.read("run/stream")
        #expect(Int(writer.bytesWritten) == bytes.count)
        return bytes
    }

    /// Reads a recording of those bytes to its end.
    private func read(_ bytes: [UInt8], in folder: TestFolder) throws -> (records: [LogRecord], tornTail: String?) {
        try folder.write(bytes, to: "stream")
        let reader = try LogReader(opening: folder.path)
        var records: [LogRecord] = []
        while let record = try reader.next() { records.append(record) }
        #expect(try reader.next() == nil, "the end is not the end")
        return (records, reader.tornTail)
    }

    @Test(arguments: SampleRecords.all)
    func `a record comes back as it was written`(record: LogRecord) throws {
        let folder = try TestFolder()
        // The first record of a recording is always the session.
        let records = [SampleRecords.session, record, record]
        let back = try read(try written(records, in: folder), in: folder)
        #expect(back.records == records)
        #expect(back.tornTail == nil)
    }

    @Test func `a recording of every event of a kernel comes back, though its formats fill many frames`() throws {
        let folder = try TestFolder()
        let text = String(repeating: "field:int x;\n", count: 70)
        let formats = (0..<2400).map { FormatMessage(system: "system\($0)", text: text) }
        let names = TaskNamesMessage(
            tasks: (0..<16_384).map { .init(tid: Int32($0), comm: "a name of length") })
        let record = LogRecord.sourceOpened(.host, SampleRecords.facts(isHost: true), formats: formats, names: names)
        let back = try read(try written([SampleRecords.session, record], in: folder), in: folder)
        #expect(back.records.last == record)
        #expect(back.tornTail == nil)
    }

    @Test func `as many and as long names as a guest may tell come back, though they fill many frames`() throws {
        let folder = try TestFolder()
        let comm = String(repeating: "n", count: 64)
        let names = TaskNamesMessage(tasks: (0..<Limits.taskNames).map { .init(tid: Int32($0), comm: comm) })
        let record = LogRecord.sourceOpened(
            SampleRecords.guest, SampleRecords.facts(isHost: false), formats: [], names: names)
        let back = try read(try written([SampleRecords.session, record], in: folder), in: folder)
        let isWhole = back.records.last == record
        #expect(isWhole && back.tornTail == nil)
    }

    @Test func `formats and names belong to the source that they came from`() throws {
        let folder = try TestFolder()
        let openings = [SourceID.host, SampleRecords.guest].map { source in
            LogRecord.sourceOpened(
                source, SampleRecords.facts(isHost: source == .host),
                formats: [FormatMessage(system: "s\(source.rawValue)", text: "t")],
                names: TaskNamesMessage(tasks: [.init(tid: Int32(source.rawValue), comm: "c")]))
        }
        let records = [SampleRecords.session] + openings
        #expect(try read(try written(records, in: folder), in: folder).records == records)
    }

    @Test func `a recording cut at any of its last bytes is readable up to its last whole record`() throws {
        let folder = try TestFolder()
        let bytes = try written(SampleRecords.all, in: folder)
        // Where the records end: an opening is several frames.
        var ends: [Int] = []
        for count in 1...SampleRecords.all.count {
            let part = try TestFolder()
            ends.append(try written(Array(SampleRecords.all[..<count]), in: part).count)
        }
        #expect(ends.last == bytes.count)
        for length in (bytes.count - 300)...bytes.count {
            let back = try read(Array(bytes[..<length]), in: folder)
            #expect(back.records == Array(SampleRecords.all[..<ends.count { $0 <= length }]), "cut at \(length)")
            #expect((back.tornTail == nil) == ends.contains(length), "cut at \(length): \(back.tornTail ?? "whole")")
        }
    }

    @Test func `a compressed recording is the same recording, cut at any byte up to its last whole group`() throws {
        let folder = try TestFolder()
        let records = (0..<40).flatMap { _ in SampleRecords.all }
        let writer = try LogWriter(creating: "\(folder.path)/run", isCompressed: true)
        var places: [LogPosition] = []
        var ends: [(bytes: Int, records: Int)] = []
        for (number, record) in records.enumerated() {
            if number % 30 == 0 { places.append(try writer.mark()) }
            try writer.append(record)
            if number % 100 == 99 {
                try writer.flush()
                ends.append((Int(writer.bytesWritten), number + 1))
            }
        }
        try writer.flush()
        let bytes = folder.read("run/stream")
        #expect(Array(bytes[..<8]) == Array("TANDEM".utf8) + [0, 2])
        #expect(bytes.count < (try written(records, in: try TestFolder())).count)
        #expect(try read(bytes, in: folder).records == records)

        let reader = try LogReader(opening: "\(folder.path)/run")
        for (number, place) in places.enumerated().reversed() {
            try reader.go(to: place)
            #expect(try reader.next() == records[number * 30])
            #expect(reader.start == place)
            // A place within a group is one, too.
            let next = reader.position
            let second = try reader.next()
            try reader.go(to: next)
            #expect(try reader.next() == second && second == records[number * 30 + 1])
        }
        for length in stride(from: 8, through: bytes.count, by: 13) {
            let back = try read(Array(bytes[..<length]), in: folder)
            #expect(back.records == Array(records[..<back.records.count]), "cut at \(length)")
            #expect(back.records.count >= ends.last { $0.bytes <= length }?.records ?? 0, "cut at \(length)")
        }
    }

    @Test func `no mutation of a compressed recording stops the program, or takes memory on its word`() throws {
        let folder = try TestFolder()
        let writer = try LogWriter(creating: "\(folder.path)/run", isCompressed: true)
        for record in SampleRecords.all { try writer.append(record) }
        try writer.flush()
        let bytes = folder.read("run/stream")
        let body = Array(bytes[28...])
        for seed in 0..<300 {
            var state = UInt64(seed) &* 0x9E37_79B9_7F4A_7C15 | 1
            var damaged = body
            for _ in 0..<1 + seed % 4 {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                damaged[Int(state >> 33) % min(damaged.count, seed % 2 == 0 ? 16 : .max)] ^= UInt8(
                    truncatingIfNeeded: state >> 20)
            }
            // With a checksum that is right: made, not broken.
            let other = "\(folder.path)/forged\(seed)"
            let forger = try LogWriter(creating: other)
            try forger.append(SampleRecords.session)
            try forger.append(Frame(type: 73, body: damaged), source: .host)
            try forger.flush()
            let reader = try LogReader(opening: other)
            #expect(try reader.next() == SampleRecords.session)
            while try reader.next() != nil {}
        }
    }

    @Test func `a flipped byte ends the recording there, and what stands before it stays`() throws {
        let folder = try TestFolder()
        let records = [SampleRecords.session, .message(.host, .watermark(TraceTicks(5))), SampleRecords.opened]
        let bytes = try written(records, in: folder)
        let start = try written(Array(records[..<2]), in: try TestFolder()).count
        for at in start..<start + 20 {
            for bit in 0..<8 {
                var damaged = bytes
                damaged[at] ^= 1 << bit
                let back = try read(damaged, in: folder)
                #expect(back.records == Array(records[..<2]))
                #expect(back.tornTail?.contains("byte \(start) is") == true, "\(back.tornTail ?? "nil")")
            }
        }
        for at in bytes.indices.dropFirst(8) {
            var damaged = bytes
            damaged[at] ^= 0x55
            let back = try read(damaged, in: folder)
            #expect(back.records != records || back.tornTail != nil, "byte \(at)")
        }
    }

    @Test(arguments: [
        (SourceID.host, Frame(type: 200, body: [1])), (.host, Frame(type: 64, body: [])),
        (.host, Frame(type: 65, body: [0xff, 0xff])), (.host, Frame(type: 10, body: [])),
    ])
    func `a record that cannot be understood ends the recording and says so`(source: SourceID, frame: Frame) throws {
        let folder = try TestFolder()
        let writer = try LogWriter(creating: "\(folder.path)/run")
        try writer.append(SampleRecords.session)
        try writer.append(frame, source: source)
        try writer.flush()
        let back = try read(folder.read("run/stream"), in: folder)
        #expect(back.records == [SampleRecords.session])
        #expect(back.tornTail?.contains("a later version may have written it") == true)
    }

    @Test func `a record of a later version that may be skipped is skipped`() throws {
        let folder = try TestFolder()
        let writer = try LogWriter(creating: "\(folder.path)/run")
        try writer.append(SampleRecords.session)
        try writer.append(Frame(type: 200, isSkippable: true, body: [1, 2]), source: SourceID(9))
        try writer.append(SampleRecords.opened)
        try writer.flush()
        let back = try read(folder.read("run/stream"), in: folder)
        #expect(back.records == [SampleRecords.session, SampleRecords.opened])
        #expect(back.tornTail == nil)
    }

    @Test func `no mutation of a recording stops the program`() throws {
        let folder = try TestFolder()
        let bytes = try written(SampleRecords.all, in: folder)
        for seed in 0..<300 {
            var state = UInt64(seed) &* 0x9E37_79B9_7F4A_7C15 | 1
            var damaged = bytes
            for _ in 0..<1 + seed % 8 {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                damaged[8 + Int(state >> 33) % (damaged.count - 8)] = UInt8(truncatingIfNeeded: state >> 20)
            }
            _ = try read(damaged, in: folder)
        }
    }

    // MARK: What is no recording

    private func checkRefusal(
        _ bytes: [UInt8]?, contains words: [String], sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let folder = try TestFolder()
        if let bytes { try folder.write(bytes, to: "stream") }
        do throws(LogError) {
            _ = try LogReader(opening: folder.path)
            Issue.record("it was opened", sourceLocation: sourceLocation)
        } catch {
            for word in words + ["\(folder.path)/stream"] {
                #expect(error.description.contains(word), "\(error)", sourceLocation: sourceLocation)
            }
        }
    }

    @Test func `what is no recording is refused, with its path`() throws {
        try checkRefusal(nil, contains: ["No such file", "tandem record -o"])
        try checkRefusal([], contains: ["not a Tandem recording"])
        try checkRefusal(Array("TANDEM".utf8), contains: ["not a Tandem recording"])
        try checkRefusal(Array("\u{7f}ELF and so on".utf8), contains: ["not a Tandem recording"])
        try checkRefusal(Array("TANDEM".utf8) + [0, 3, 0, 0], contains: ["version 3", "reads versions 1 and 2"])
    }

    @Test func `a recording is never written over`() throws {
        let folder = try TestFolder()
        let bytes = try written([SampleRecords.session], in: folder)
        do throws(LogError) {
            _ = try LogWriter(creating: "\(folder.path)/run")
            Issue.record("it was written over")
        } catch {
            #expect(error.description.contains("\(folder.path)/run/stream"))
            #expect(error.description.contains("a recording is there already; give another -o"))
        }
        #expect(folder.read("run/stream") == bytes)
    }

    @Test func `a recording that never began leaves nothing, but not less than there was`() throws {
        let folder = try TestFolder()
        try LogWriter(creating: "\(folder.path)/run").discard()
        #expect(access("\(folder.path)/run", F_OK) != 0)
        mkdir("\(folder.path)/mine", 0o755)
        try LogWriter(creating: "\(folder.path)/mine").discard()
        #expect(access("\(folder.path)/mine", F_OK) == 0)
        #expect(access("\(folder.path)/mine/stream", F_OK) != 0)
    }

    @Test func `a directory that cannot be made is named with the reason`() throws {
        let error = #expect(throws: LogError.self) { try LogWriter(creating: "/proc/no/run") }
        #expect(error?.description.contains("creating the recording's directory '/proc/no/run' failed: ") == true)
    }
}
