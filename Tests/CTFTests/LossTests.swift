import CTF
import Foundation
import Testing
import TraceModel

/// What LTTng says that it lost: events that a packet counts, and packets whose numbers are missing.
struct LossTests {
    private struct Packet {
        var number: UInt64
        /// In all, since the stream began.
        var discarded: UInt64 = 0
        var times: [UInt64]
    }

    private func read(_ packets: [Packet]) throws -> Everything {
        let scratch = try Scratch()
        try write(packets, to: "\(scratch.path)/trace")
        return Everything(try #require(try open("\(scratch.path)/trace").first))
    }

    /// Number of the event before which each loss lies.
    private func places(_ all: Everything) -> [Int] {
        var before = 0
        var places: [Int] = []
        for batch in all.batches {
            places += batch.losses.map { before + $0.index }
            before += batch.headers.count
        }
        return places
    }

    @Test func `without a loss there is none`() throws {
        let all = try read([Packet(number: 0, times: [10, 20]), Packet(number: 1, times: [30, 40])])
        #expect(all.events == 4)
        #expect(all.losses == [])
    }

    @Test func `events that a packet counts as discarded are a loss of that number before it ends`() throws {
        let all = try read([Packet(number: 0, times: [10, 20]), Packet(number: 1, discarded: 7, times: [30, 40])])
        #expect(all.losses.map(\.count) == [7])
        #expect(places(all) == [2])
    }

    @Test func `packets whose numbers are missing are a loss of unknown size`() throws {
        let all = try read([Packet(number: 0, times: [10, 20]), Packet(number: 3, times: [70, 80])])
        #expect(all.losses.map(\.count) == [nil])
        #expect(places(all) == [2])
    }

    // MARK: A trace in LTTng's way

    private func write(_ packets: [Packet], to path: String) throws {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        try Data(Self.metadata.utf8).write(to: URL(filePath: "\(path)/metadata"))
        func bytes<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
            withUnsafeBytes(of: number.littleEndian) { Array($0) }
        }
        var stream: [UInt8] = []
        for packet in packets {
            let payload = packet.times.flatMap { bytes(UInt32(0)) + bytes($0) + bytes(UInt32(6)) }
            let bits = UInt64(24 + 52 + payload.count) * 8
            stream += bytes(UInt32(0xC1FC_1FC1)) + [UInt8](repeating: 1, count: 16) + bytes(UInt32(0))
            stream += bytes(packet.times.first ?? 0) + bytes((packet.times.last ?? 0) + 1) + bytes(bits) + bytes(bits)
            stream += bytes(packet.number) + bytes(packet.discarded) + bytes(UInt32(0)) + payload
        }
        try Data(stream).write(to: URL(filePath: "\(path)/channel0_0"))
    }

    private static let metadata = """
        /* CTF 1.8 */
        typealias integer { size = 8; align = 8; signed = false; } := u8;
        typealias integer { size = 32; align = 8; signed = false; } := u32;
        typealias integer { size = 64; align = 8; signed = false; } := u64;
        trace {
            major = 1; minor = 8; uuid = "01010101-0101-0101-0101-010101010101"; byte_order = le;
            packet.header := struct { u32 magic; u8 uuid[16]; u32 stream_id; };
        };
        env { hostname = "h"; domain = "kernel"; tracer_name = "lttng-modules"; tracer_major = 2; tracer_minor = 13; };
        clock { name = monotonic; uuid = "01010101-0101-0101-0101-010101010101"; freq = 1000000000; offset = 0; };
        typealias integer { size = 64; align = 8; signed = false; map = clock.monotonic.value; } := stamp;
        stream {
            id = 0;
            event.header := struct { u32 id; stamp timestamp; };
            packet.context := struct {
                stamp timestamp_begin; stamp timestamp_end; u64 content_size; u64 packet_size;
                u64 packet_seq_num; u64 events_discarded; u32 cpu_id;
            };
        };
        event { name = "irq_softirq_entry"; id = 0; stream_id = 0; fields := struct { u32 vec; }; };

        """
}
