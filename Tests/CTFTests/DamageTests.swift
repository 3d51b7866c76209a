import CTF
import Foundation
import Testing
import TraceModel

/// Damaged traces: never a trap, a readable message, and what was readable is used.
@Suite(.timeLimit(.minutes(2)))
struct DamageTests {
    @Test func `a directory without a trace is named`() throws {
        let scratch = try Scratch()
        #expect(throws: CTFError("there is no CTF trace in '\(scratch.path)': no file 'metadata'")) {
            try open(scratch.path)
        }
    }

    @Test func `metadata that is no metadata gives libbabeltrace2's reason`() throws {
        let scratch = try Scratch()
        let path = try scratch.copy("lttng-plain/host")
        try Data("hello".utf8).write(to: URL(filePath: "\(path)/kernel/metadata"))
        #expect {
            try open(path)
        } throws: { error in
            let text = "\(error)"
            return text.contains("kernel") && text.contains("failed: ") && !text.contains("-addr=")
        }
    }

    @Test func `one damaged stream does not take the others along`() throws {
        let scratch = try Scratch()
        let path = try scratch.copy("lttng-plain/host")
        try Data(repeating: 7, count: 5000).write(to: URL(filePath: "\(path)/kernel/chan_7"))
        var problems: [String] = []
        let machines = try CTFExperiment.open(path, problems: &problems)
        #expect(machines.reduce(0) { $0 + Everything($1).events } == 1452)
        #expect(problems.count == 1)
        #expect(problems.first?.contains("chan_7' is damaged and not used: ") == true)
    }

    @Test func `of a stream that was cut short the whole packets are used`() throws {
        let scratch = try Scratch()
        let path = try scratch.copy("lttng-plain/host")
        let stream = URL(filePath: "\(path)/kernel/chan_1")
        let packet = try Data(contentsOf: stream)
        try (packet + packet.prefix(20_000)).write(to: stream)
        // LTTng's index of both packets: header, then offset, size in bits and five or seven more numbers each.
        var index = Data()
        func put<Number: FixedWidthInteger>(_ number: Number) { withUnsafeBytes(of: number.bigEndian) { index += $0 } }
        for word in [0xC1F1_DCC1, 1, 1, 72] as [UInt32] { put(word) }
        for number in 0..<2 {
            put(UInt64(number * packet.count))
            put(UInt64(packet.count * 8))
            for _ in 0..<7 { put(UInt64(0)) }
        }
        try FileManager.default.createDirectory(atPath: "\(path)/kernel/index", withIntermediateDirectories: true)
        try index.write(to: URL(filePath: "\(path)/kernel/index/chan_1.idx"))
        var problems: [String] = []
        let machines = try CTFExperiment.open(path, problems: &problems)
        #expect(machines.reduce(0) { $0 + Everything($1).events } == 1452)
        #expect(problems.count == 1)
        #expect(problems.first?.hasSuffix("chan_1' is damaged: only its first \(packet.count) bytes are used") == true)
    }

    @Test func `flipped bytes anywhere are survived`() throws {
        var generator = SystemRandomNumberGenerator()
        let seed = UInt64.random(in: .min ... .max, using: &generator)
        var random = SeededGenerator(seed: seed)
        let scratch = try Scratch()
        let path = try scratch.copy("lttng-plain/host")
        for file in ["chan_1", "metadata"] {
            let url = URL(filePath: "\(path)/kernel/\(file)")
            let original = try Data(contentsOf: url)
            for _ in 0..<60 {
                var damaged = original
                for _ in 0..<Int.random(in: 1...8, using: &random) {
                    damaged[Int.random(in: 0..<damaged.count, using: &random)] = .random(
                        in: .min ... .max, using: &random)
                }
                try damaged.write(to: url)
                read(path, seed: seed)
            }
            try original.write(to: url)
        }
    }

    @Test func `a stream that ends anywhere is survived, and gives no event that was not there`() throws {
        var generator = SystemRandomNumberGenerator()
        let seed = UInt64.random(in: .min ... .max, using: &generator)
        var random = SeededGenerator(seed: seed)
        let scratch = try Scratch()
        let path = try scratch.copy("lttng-plain/host")
        let url = URL(filePath: "\(path)/kernel/chan_1")
        let original = try Data(contentsOf: url)
        for _ in 0..<20 {
            try original.prefix(Int.random(in: 0..<original.count, using: &random)).write(to: url)
            read(path, seed: seed)
            let events = (try? open(path))?.reduce(0) { $0 + Everything($1).events } ?? 0
            #expect(events <= 1452, "seed \(seed)")
        }
    }

    /// libbabeltrace2 would read on for ever.
    @Test func `metadata that ends anywhere is one readable message`() throws {
        let scratch = try Scratch()
        let path = try scratch.copy("lttng-plain/host")
        let url = URL(filePath: "\(path)/kernel/metadata")
        let original = try Data(contentsOf: url)
        let watchdog = Watchdog(path)
        defer { withExtendedLifetime(watchdog) {} }
        // Nothing, a part of the header, all of it, and parts of the content.
        for count in [1, 36, 37, 38, 1000, original.count / 2] {
            try original.prefix(count).write(to: url)
            #expect {
                _ = try open(path)
            } throws: { error in
                let text = "\(error)"
                return !text.isEmpty && !text.contains("\n")
            }
        }
    }

    /// libbabeltrace2 would end this process: it asserts that no size is negative.
    @Test(arguments: ["content_size", "packet_size"])
    func `a packet of an impossible size ends its stream and nothing else`(field: String) throws {
        let scratch = try Scratch()
        let path = try scratch.copy("lttng-plain/host")
        let stream = URL(filePath: "\(path)/kernel/chan_1")
        let packet = try Data(contentsOf: stream)
        // LTTng's packets: magic, uuid, stream id and instance, two times, the size of the content, that of the packet.
        var second = packet
        second[(field == "content_size" ? 48 : 56) + 7] = 0x80
        try (packet + second).write(to: stream)
        var problems: [String] = []
        let machines = try CTFExperiment.open(path, problems: &problems)
        #expect(machines.reduce(0) { $0 + Everything($1).events } == 1452)
        #expect(problems.count == 1)
        #expect(problems.first?.hasSuffix("chan_1' is damaged: only its first \(packet.count) bytes are used") == true)
        try second.write(to: stream)
        #expect {
            _ = try open(path)
        } throws: { error in
            "\(error)".contains("the packet at byte 0 has an impossible size")
        }
    }

    /// Where the header of a later packet is damaged, libbabeltrace2 reads on for ever, too.
    @Test func `metadata whose second packet is none is one readable message`() throws {
        let scratch = try Scratch()
        let path = try scratch.copy("lttng-plain/host")
        let url = URL(filePath: "\(path)/kernel/metadata")
        var metadata = try Data(contentsOf: url)
        let first = Int(metadata[28]) + Int(metadata[29]) << 8
        metadata[first / 8 + 2] = 0
        try metadata.write(to: url)
        #expect {
            _ = try open(path)
        } throws: { error in
            "\(error)".contains("metadata' is damaged: the packet at byte \(first / 8)")
        }
    }

    /// Reads as far as it goes; the batches keep their rules whatever the bytes were.
    private func read(_ path: String, seed: UInt64) {
        let watchdog = Watchdog("\(path), seed \(seed)")
        defer { withExtendedLifetime(watchdog) {} }
        guard let machines = try? open(path) else { return }
        for machine in machines {
            let all = Everything(machine)
            for batch in all.batches {
                #expect(batch.headers.count <= Limits.batchEvents, "seed \(seed)")
                #expect(batch.records.count <= Limits.batchRecordBytes, "seed \(seed)")
                var before = TraceTicks(0)
                for header in batch.headers {
                    #expect(header.ticks >= before, "seed \(seed)")
                    #expect(Int(header.typeIndex) < all.formats.count, "seed \(seed)")
                    #expect(Int(header.offset) + Int(header.length) <= batch.records.count, "seed \(seed)")
                    before = header.ticks
                }
            }
        }
    }
}

/// xorshift64*: the same numbers for the same seed.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed | 1 }

    mutating func next() -> UInt64 {
        state ^= state >> 12
        state ^= state << 25
        state ^= state >> 27
        return state &* 0x2545_F491_4F6C_DD1D
    }
}
