import CTF
import Foundation
import SessionLog
import Testing
import TraceModel
import Wire

/// Clocks from TCP segments alone: two machines without a kvm event between them.
struct PacketSyncTests {
    private struct Packet {
        var time: UInt64
        var isSent: Bool
        var sequence: UInt32
        var acknowledgment: UInt32
        var isUDP = false
    }

    /// A guest whose clock reads `offset` less and runs `rate` times as fast as the host's; a reply to each segment, with
    /// latencies from the seed.
    private func conversation(
        offset: UInt64, rate: Double, seed: UInt64
    ) -> (host: [Packet], guest: [Packet]) {
        var random = SeededGenerator(seed: seed)
        func guestTime(_ host: UInt64) -> UInt64 { UInt64(Double(host - offset) * rate) }
        var host: [Packet] = []
        var guest: [Packet] = []
        for index in 0..<UInt32(400) {
            let left = 10_000_000_000 + UInt64(index) * 10_000_000
            let arrived = left + .random(in: 20_000...200_000, using: &random)
            let replied = arrived + .random(in: 1_000...500_000, using: &random)
            let back = replied + .random(in: 20_000...200_000, using: &random)
            let isUDP = index % 7 == 0
            host.append(Packet(time: left, isSent: true, sequence: index, acknowledgment: 1, isUDP: isUDP))
            guest.append(
                Packet(time: guestTime(arrived), isSent: false, sequence: index, acknowledgment: 1, isUDP: isUDP))
            guest.append(Packet(time: guestTime(replied), isSent: true, sequence: 1, acknowledgment: index))
            host.append(Packet(time: back, isSent: false, sequence: 1, acknowledgment: index))
        }
        return (host, guest)
    }

    @Test func `TCP segments bound a clock of which nothing else is known, and the bound holds`() throws {
        let seed = UInt64.random(in: .min ... .max)
        let offset: UInt64 = 3_000_000_000
        let rate = 1 + 20e-6
        let (host, guest) = conversation(offset: offset, rate: rate, seed: seed)
        let scratch = try Scratch()
        try write(host, uuid: 1, to: "\(scratch.path)/host")
        try write(guest, uuid: 2, to: "\(scratch.path)/guest")
        let input = try CTFInput(
            SessionPaths(path: "\(scratch.path)/host", guests: [.init(name: "web", path: "\(scratch.path)/guest")]))
        var clocks: [GivenClock] = []
        while let next = try input.next() {
            if case .record(.clock(_, .given(let clock))) = next { clocks.append(clock) }
        }
        #expect(clocks.map(\.method) == ["TCP packets"], "seed \(seed)")
        let clock = try #require(clocks.first)
        for knot in clock.knots {
            let truth = Double(knot.ticks.rawValue) / rate + Double(offset)
            let error = abs(Double(knot.host.nanoseconds) - truth)
            #expect(error <= Double(knot.boundNanoseconds), "seed \(seed)")
        }
        let bounds = clock.knots.map(\.boundNanoseconds).sorted()
        // Half of the shortest round trip is 20 µs; a rate that may wander adds to it.
        #expect(bounds[bounds.count / 2] < 200_000, "seed \(seed)")
    }

    // MARK: Traces in LTTng's way

    private func write(_ packets: [Packet], uuid: UInt8, to path: String) throws {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        let id = [UInt8](repeating: uuid, count: 16)
        try Data(metadata(id).utf8).write(to: URL(filePath: "\(path)/metadata"))
        func bytes<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
            withUnsafeBytes(of: number.littleEndian) { Array($0) }
        }
        var payload: [UInt8] = []
        for packet in packets {
            payload += bytes(UInt32(packet.isSent ? 0 : 1)) + bytes(packet.time) + bytes(UInt32(77)) + [4]
            payload += bytes(UInt32(0x0a4d_0001)) + [packet.isUDP ? 17 : 6]
            payload += bytes(UInt16(4000)) + bytes(UInt16(22))
            if !packet.isUDP { payload += bytes(packet.sequence) + bytes(packet.acknowledgment) }
        }
        let bits = UInt64(24 + 36 + payload.count) * 8
        var head = bytes(UInt32(0xC1FC_1FC1)) + id + bytes(UInt32(0))
        head += bytes(packets.first?.time ?? 0) + bytes(packets.last?.time ?? 0) + bytes(bits) + bytes(bits)
        head += bytes(UInt32(0))
        try Data(head + payload).write(to: URL(filePath: "\(path)/channel0_0"))
    }

    private func metadata(_ id: [UInt8]) -> String {
        let digits = id.map { $0 < 16 ? "0" + String($0, radix: 16) : String($0, radix: 16) }.joined()
        let parts = [0..<8, 8..<12, 12..<16, 16..<20, 20..<32].map { range in
            String(Array(digits)[range])
        }
        let uuid = parts.joined(separator: "-")
        let event = """
            fields := struct {
                u32 len; enum : u8 { "_unknown" = 0, "ipv4" = 4, "ipv6" = 6 } network_header_type;
                variant <network_header_type> {
                    struct { u8 nothing; } _unknown;
                    struct {
                        u32 saddr;
                        enum : u8 { "_unknown" = 0, "tcp" = 6, "udp" = 17 } transport_header_type;
                        variant <transport_header_type> {
                            struct { u8 nothing; } _unknown;
                            struct { u16 source_port; u16 dest_port; u32 seq; u32 ack_seq; } tcp;
                            struct { u16 source_port; u16 dest_port; } udp;
                        } transport_header;
                    } ipv4;
                    struct { u8 nothing; } ipv6;
                } network_header;
            };
            """
        return """
            /* CTF 1.8 */
            typealias integer { size = 8; align = 8; signed = false; } := u8;
            typealias integer { size = 16; align = 8; signed = false; } := u16;
            typealias integer { size = 32; align = 8; signed = false; } := u32;
            typealias integer { size = 64; align = 8; signed = false; } := u64;
            trace {
                major = 1; minor = 8; uuid = "\(uuid)"; byte_order = le;
                packet.header := struct { u32 magic; u8 uuid[16]; u32 stream_id; };
            };
            env { hostname = "h\(id[0])"; domain = "kernel"; tracer_name = "lttng-modules"; };
            clock { name = monotonic; uuid = "\(uuid)"; freq = 1000000000; offset = 0; };
            typealias integer { size = 64; align = 8; signed = false; map = clock.monotonic.value; } := stamp;
            stream {
                id = 0;
                event.header := struct { u32 id; stamp timestamp; };
                packet.context := struct {
                    u64 timestamp_begin; u64 timestamp_end; u64 content_size; u64 packet_size; u32 cpu_id;
                };
            };
            event { name = "net_dev_queue"; id = 0; stream_id = 0; \(event) };
            event { name = "net_if_receive_skb"; id = 1; stream_id = 0; \(event) };

            """
    }
}
