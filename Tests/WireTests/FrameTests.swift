import Testing
import TraceModel
import Wire

struct FrameTests {
    /// Everything a reader makes of `bytes` when they arrive in pieces that end at `cuts`.
    private func read(_ bytes: [UInt8], cuts: [Int] = []) -> (frames: [Frame], error: FrameError?) {
        var reader = FrameReader()
        var frames: [Frame] = []
        var from = 0
        for cut in cuts + [bytes.count] {
            reader.append(Array(bytes[from..<cut]))
            from = cut
            do throws(FrameError) {
                while let frame = try reader.next() { frames.append(frame) }
            } catch {
                return (frames, error)
            }
        }
        return (frames, nil)
    }

    private func check(_ bytes: [UInt8], cuts: [Int] = [], _ frames: [Frame], _ error: FrameError? = nil) {
        let result = read(bytes, cuts: cuts)
        #expect(result.frames == frames)
        #expect(result.error == error)
    }

    private let frames = [
        Message.hello(Hello(role: .agent, program: "tandem-agent 1.0", hostname: "web1")).frame,
        Frame(type: 9, body: (0..<300).map { UInt8(truncatingIfNeeded: $0) }),
        Frame(type: 200, isSkippable: true, body: []),
        Message.watermark(TraceTicks(.max)).frame,
    ]

    private var stream: [UInt8] { frames.flatMap(\.bytes) }

    @Test
    func `a frame is length, type, flags, zero, checksum, body`() {
        let expected = bytes(
            hex: """
                03 00 00 00   # length
                09            # type
                01            # flags: may be skipped
                00 00
                66 a0 ce 39   # low half of XXH64(body, seed = the eight bytes above)
                01 02 03      # body
                """)
        #expect(Frame(type: 9, isSkippable: true, body: [1, 2, 3]).bytes == expected)
        check(expected, [Frame(type: 9, isSkippable: true, body: [1, 2, 3])])
    }

    @Test
    func `any split of the byte stream gives the same frames`() {
        for cut in 0...stream.count { check(stream, cuts: [cut], frames) }
        check(stream, cuts: Array(1..<stream.count), frames)
    }

    @Test(arguments: 0..<64)
    func `random splits of a long stream give the same frames`(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let many =
            [frames[0]]
            + (0..<200).map { _ in
                Frame(
                    type: UInt8(random.below(256)), isSkippable: random.chance(50),
                    body: random.bytes(random.below(3000)))
            }
        let stream = many.flatMap(\.bytes)
        let cuts = (0..<random.below(500)).map { _ in random.below(stream.count) }.sorted()
        check(stream, cuts: cuts, many)
    }

    @Test
    func `every flipped bit is an error or waits for more bytes, and never gives a wrong frame`() {
        let stream = self.stream
        var starts: [Int] = []
        var at = 0
        for frame in frames {
            starts.append(at)
            at += frame.byteCount
        }
        for bit in 0..<stream.count * 8 {
            var damaged = stream
            damaged[bit / 8] ^= 1 << UInt8(bit % 8)
            let (read, error) = read(damaged)
            let whole = starts.lastIndex { $0 <= bit / 8 } ?? 0
            #expect(read == Array(frames[..<whole]), "bit \(bit)")
            let isLength = bit / 8 - starts[whole] < 4
            #expect(error != nil || isLength, "bit \(bit)")
        }
    }

    @Test
    func `a stream that is cut anywhere gives its whole frames and no error`() {
        for count in 0..<stream.count {
            let (read, error) = read(Array(stream[..<count]))
            #expect(error == nil)
            #expect(read == Array(frames[..<read.count]))
            #expect(read.reduce(0) { $0 + $1.byteCount } <= count)
        }
    }

    private static let foreign: [(String, [UInt8])] = [
        ("HTTP", Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8)), ("GET", Array("GET / HTTP/1.1\r\n".utf8)),
        ("SSH", Array("SSH-2.0-OpenSSH_9.2p1\r\n".utf8)), ("SMTP", Array("220 mail ESMTP\r\n".utf8)),
        ("trace-cmd", [0, 0, 0, 0x10, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("TLS 1.3", bytes(hex: "16 03 01 02 00 01 00 01 fc 03 03")),
        ("short TLS", bytes(hex: "16 03 01 00 b5 01 00 00 b1 03 03 00 00 00 00 00")),
        ("TLS 1.2 record", bytes(hex: "16 03 03 00 7a 01 00 00 76 03 03")),
        ("zeros", [UInt8](repeating: 0, count: 64)), ("ones", [UInt8](repeating: 255, count: 64)),
    ]

    @Test(arguments: FrameTests.foreign)
    func `a foreign greeting is told apart from a damaged stream`(name: String, greeting: [UInt8]) {
        check(greeting, [], .notTandem(firstBytes: Array(greeting.prefix(32))))
    }

    @Test
    func `random bytes are no greeting`() {
        var random = SeededRandom(seed: 7)
        for _ in 0..<10_000 {
            let greeting = random.bytes(64)
            check(greeting, [], .notTandem(firstBytes: Array(greeting.prefix(32))))
        }
    }

    @Test
    func `the text of a foreign greeting cannot steer a terminal`() {
        let error = read(Array("\u{1b}[2J\u{1b}]0;owned\u{7} and more".utf8)).error
        #expect(error?.description.unicodeScalars.allSatisfy { $0.value >= 0x20 } == true)
    }

    @Test
    func `a length beyond the limit is refused before its bytes arrive`() {
        let first = frames[0].bytes
        let at = UInt64(first.count)
        for length in [UInt32(Limits.frameBytes) + 1, 1 << 31, .max] {
            let header = withUnsafeBytes(of: length.littleEndian) { Array($0) } + [9, 0, 0, 0]
            check(first + header, [frames[0]], .tooLong(length: Int(length), atByte: at))
        }
        let longest = Frame(type: 9, body: [UInt8](repeating: 1, count: Limits.frameBytes))
        check(first + longest.bytes, [frames[0], longest])
    }

    @Test
    func `reserved header bits end the stream`() {
        let first = frames[0].bytes
        for bit in 41..<64 {
            var second = frames[1].bytes
            second[bit / 8] |= 1 << UInt8(bit % 8)
            check(first + second, [frames[0]], .reservedBitsSet(atByte: UInt64(first.count)))
        }
    }

    @Test
    func `after an error the same error comes again`() {
        var reader = FrameReader()
        reader.append(frames[0].bytes + [UInt8](repeating: 0xaa, count: 100))
        #expect(throws: Never.self) { try reader.next() }
        #expect(throws: FrameError.self) { try reader.next() }
        #expect(throws: FrameError.self) { try reader.next() }
    }

    @Test
    func `a reader keeps no more than what it was given and has not handed out`() {
        var reader = FrameReader()
        for _ in 0..<1000 {
            reader.append(frames[0].bytes + frames[1].bytes)
            while (try? reader.next()) != nil {}
            #expect(reader.pendingBytes == 0)
        }
        #expect(reader.position == 1000 * UInt64(frames[0].byteCount + frames[1].byteCount))
    }
}
