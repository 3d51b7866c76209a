import Compression
import RecordingSupport
import SessionLog
import Testing
import TraceDat
import TraceFiles
import TraceModel

/// Files that are cut or damaged anywhere: an error that says where, or fewer events, and never a stop of the program.
struct HostileFileTests {
    private static let rounds = 60

    @Test(arguments: ["host.dat", "host-g1.v6.dat"])
    func `a damaged file is an error or other events`(name: String) throws {
        let whole = try Files.read(Samples.path(name))
        // The head of a file has all its structure; what lies behind it is mostly events.
        let places = [2000, whole.count / 4, whole.count]
        var refused = 0
        for seed in 0..<UInt64(Self.rounds) {
            var random = SeededRandom(seed: seed)
            var bytes = whole
            for _ in 0...random.below(6) {
                let place = random.below(places[random.below(places.count)])
                switch random.below(3) {
                case 0: bytes[place] = UInt8(random.below(256))
                case 1: bytes[place] ^= 1 << UInt8(random.below(8))
                default:
                    // Lengths, counts and places that reach too far.
                    for index in place..<min(place + 4, bytes.count) {
                        bytes[index] = [0, 0xff, 0x7f][random.below(3)]
                    }
                }
            }
            if random.below(4) == 0 { bytes.removeLast(random.below(bytes.count)) }
            if read(bytes, "seed \(seed)") == nil { refused += 1 }
        }
        print("\(name): \(refused) of \(Self.rounds) damaged files were refused")
        #expect(refused > 0)
    }

    @Test(arguments: ["host.dat", "host-g1.v6.dat"])
    func `a file that is cut in its head is refused, wherever`(name: String) throws {
        let whole = try Files.read(Samples.path(name))
        for length in [0, 1, 9, 10, 11, 12, 13, 14, 17, 18, 24, 36] + stride(from: 40, to: whole.count, by: 4999) {
            #expect(read(Array(whole.prefix(length)), "\(length) bytes") == nil || length > 10_000)
        }
        #expect(read(whole, "whole") ?? 0 > 3000)
    }

    @Test
    func `damaged options of a guest give an error or a session to its end`() throws {
        let whole = try Files.read(Samples.path("host-g1.dat"))
        // The first offset of its clock: what stands around it are the options, which are not compressed.
        let offset = withUnsafeBytes(of: Int64(19_792_361_523).littleEndian) { Array($0) }
        let place = try #require(whole.indices.first { whole[$0...].starts(with: offset) })
        let folder = try TemporaryFolder()
        var sessions = 0
        for seed in 0..<UInt64(80) {
            var random = SeededRandom(seed: seed)
            var bytes = whole
            for _ in 0...random.below(8) {
                let at = place - 60 + random.below(130)
                bytes[at] = random.below(2) == 0 ? UInt8(random.below(256)) : [0, 0x7f, 0x80, 0xff][random.below(4)]
            }
            let path = "\(folder.path)/guest.dat"
            try Files.write(bytes, to: path)
            guard
                let input = try? TraceDatInput(
                    SessionPaths(path: Samples.path("host.dat"), guests: [SessionPaths.Guest(argument: path)]))
            else { continue }
            var inputs = 0
            while try input.next() != nil { inputs += 1 }
            #expect(inputs > 10, "seed \(seed)")
            sessions += 1
        }
        print("\(sessions) of 80 guests with damaged options were read")
        #expect(sessions > 10)
    }

    @Test
    func `options that lead in a circle are refused`() throws {
        var head = TraceDatHead(byteOrder: .little, longSize: 8, subBufferBytes: 4096)
        head.options.clock = "mono"
        var bytes = head.bytes(cpus: [])
        #expect(read(bytes, "no circle") == 0)
        // Behind magic, version, two bytes, a word and two texts stands the place of the options; they end with the place
        // of the next ones. Here that is their own.
        let first = bytes[24..<32]
        let done: [UInt8] = [0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        let place = try #require(bytes.indices.last { bytes[$0...].starts(with: done) })
        bytes.replaceSubrange(place + 6..<place + 14, with: first)
        #expect(read(bytes, "a circle") == nil)
    }

    /// The number of events that the bytes give; nil when they are refused.
    private func read(_ bytes: [UInt8], _ label: String) -> Int? {
        let codecs = Codecs()
        do throws(TraceDatError) {
            let file = try TraceDatFile.read(bytes.span.bytes, decompress: codecs.decompress)
            _ = try? file.symbols(in: bytes.span.bytes, decompress: codecs.decompress)
            var events = try TraceDatEvents(
                file, buffers: file.buffers, in: bytes.span.bytes, decompress: codecs.decompress)
            var batch = EventBatch(cpu: 0)
            var count = 0
            while try events.read(in: bytes.span.bytes, into: &batch, decompress: codecs.decompress) {
                #expect(batch.headers.count <= Limits.batchEvents, "\(label)")
                #expect(batch.records.count <= Limits.batchRecordBytes, "\(label)")
                #expect(batch.losses.count <= Limits.batchLosses, "\(label)")
                count += batch.headers.count
            }
            return count
        } catch {
            #expect(!error.description.isEmpty, "\(label)")
            return nil
        }
    }
}
