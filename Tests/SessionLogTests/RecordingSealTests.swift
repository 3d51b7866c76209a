import SessionLog
import Testing
import TraceModel

/// What somebody else made is no index, however well it is made.
struct RecordingSealTests {
    private static let seal = LogSeal(low: 0x0706_0504_0302_0100, high: 0x0f0e_0d0c_0b0a_0908)

    @Test func `the seal is SipHash-2-4 as its authors publish it`() {
        // vectors.h of the reference implementation: the key 00 01 … 0f, messages of 0, 1, 8 and 15 bytes 00 01 ….
        let expected: [(length: Int, tag: UInt64)] = [
            (0, 0x726f_db47_dd0e_0e31), (1, 0x74f8_39c5_93dc_67fd), (8, 0x93f5_f579_9a93_2462),
            (15, 0xa129_ca61_49be_45e5),
        ]
        for (length, tag) in expected {
            #expect(Self.seal.tag((0..<length).map { UInt8($0) }) == tag, "\(length) bytes")
        }
    }

    private func index(in folder: TestFolder, _ seal: LogSeal) throws {
        _ = try LogWriter(creating: "\(folder.path)/run")
        let index = try #require(LogIndexWriter(in: "\(folder.path)/run", seal: seal))
        let checkpoints: [[UInt8]] = [[7, 8, 9], [1, 2, 3], [4]]
        for (number, checkpoint) in checkpoints.enumerated() {
            #expect(
                index.append(
                    checkpoint, time: HostTime(nanoseconds: Int64(number)),
                    position: LogPosition(segment: 1, offset: 16))
            )
        }
    }

    private func found(in folder: TestFolder, _ seal: LogSeal, at time: Int64) -> [UInt8]? {
        LogIndexReader(in: "\(folder.path)/run", firstSegment: 1, seal: seal)
            .checkpoint(notAfter: HostTime(nanoseconds: time))?.bytes
    }

    @Test func `checkpoints of another user are no checkpoints, and make room for one's own`() throws {
        let folder = try TestFolder()
        try index(in: folder, Self.seal)
        let other = LogSeal(low: 1, high: 2)
        #expect(found(in: folder, Self.seal, at: 2) == [4])
        #expect(found(in: folder, other, at: 2) == nil)
        #expect(LogIndexReader(in: "\(folder.path)/run", firstSegment: 1, seal: other).count == 0)
        let own = try #require(LogIndexWriter(of: "\(folder.path)/run", firstSegment: 1, after: nil, seal: other))
        #expect(own.append([5], time: HostTime(nanoseconds: 0), position: LogPosition(segment: 1, offset: 16)))
        #expect(found(in: folder, other, at: 2) == [5])
    }

    @Test func `whichever byte is changed, no checkpoint is found but those that were made`() throws {
        let folder = try TestFolder()
        try index(in: folder, Self.seal)
        for name in ["index", "checkpoints"] {
            let bytes = folder.read("run/\(name)")
            for place in bytes.indices {
                for bit in 0..<8 {
                    var changed = bytes
                    changed[place] ^= 1 << UInt8(bit)
                    try folder.write(changed, to: "run/\(name)")
                    let found = found(in: folder, Self.seal, at: 2)
                    #expect(
                        found == nil || [[7, 8, 9], [1, 2, 3], [4]].contains(found),
                        "\(name), byte \(place), bit \(bit)")
                }
            }
            try folder.write(bytes, to: "run/\(name)")
        }
        #expect(found(in: folder, Self.seal, at: 2) == [4])
    }
}
