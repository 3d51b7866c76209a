import Compression
import Testing

/// Blocks there and back, and what must not be believed.
struct CodecTests {
    private static let blocks: [[UInt8]] = [
        [], [7], Array(repeating: 0, count: 100_000), (0..<70_000).map { UInt8(truncatingIfNeeded: $0 &* $0 >> 7) },
    ]

    @Test(arguments: CompressionAlgorithm.allCases)
    func `a block comes back as it was`(algorithm: CompressionAlgorithm) throws {
        let codec = try #require(Codec(algorithm))
        for block in Self.blocks {
            for level in [nil, 1, 9] {
                let small = try codec.compress(block, level: level)
                let back = try codec.decompress(small, atMost: block.count)
                #expect(back == block)
            }
        }
    }

    @Test(arguments: CompressionAlgorithm.allCases)
    func `a block larger than the bound is refused`(algorithm: CompressionAlgorithm) throws {
        let codec = try #require(Codec(algorithm))
        let small = try codec.compress(Self.blocks[2])
        #expect(throws: CompressionError.self) {
            let back = try codec.decompress(small, atMost: 99_999)
            Issue.record("\(back.count) bytes")
        }
    }

    @Test(arguments: CompressionAlgorithm.allCases)
    func `a damaged block is an error or other bytes within the bound`(
        algorithm: CompressionAlgorithm
    ) throws {
        let codec = try #require(Codec(algorithm))
        let seed: UInt64 = 20_261_121
        print("seed \(seed)")
        var random = SeededRandom(seed: seed)
        let block = Self.blocks[3]
        let small = try codec.compress(block)
        for _ in 0..<2000 {
            var damaged = small
            for _ in 0...random.below(4) { damaged[random.below(damaged.count)] = UInt8(random.below(256)) }
            if random.below(3) == 0 { damaged.removeLast(random.below(damaged.count)) }
            let result = try? codec.decompress(damaged, atMost: block.count)
            #expect((result?.count ?? 0) <= block.count)
        }
    }
}

extension Codec {
    fileprivate func compress(_ bytes: [UInt8], level: Int? = nil) throws -> [UInt8] {
        try compress(bytes.span.bytes, level: level)
    }

    fileprivate func decompress(_ bytes: [UInt8], atMost bound: Int) throws -> [UInt8] {
        try decompress(bytes.span.bytes, maximumBytes: bound)
    }
}

/// The same numbers on every machine.
private struct SeededRandom {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func below(_ bound: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int(state >> 33) % bound
    }
}
