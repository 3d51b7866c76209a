import Foundation
import TraceModel

/// CTF written by hand as `perf data convert --to-ctf` (perf 6.1) writes it, for kernels of either byte order: names with a
/// `system:` prefix, perf's own fields before the event's, one file for each CPU.
struct MadeTrace {
    struct Switch {
        var time: UInt64
        var previous: (comm: String, pid: Int32, state: Int64)
        var next: (comm: String, pid: Int32)
    }

    let order: ByteOrder

    /// A trace of one CPU in a new directory.
    func write(_ switches: [Switch], exits: [(time: UInt64, thread: Int32, reason: UInt32)], to path: String) throws {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        try Data(metadata.utf8).write(to: URL(filePath: "\(path)/metadata"))
        var events: [(time: UInt64, bytes: [UInt8])] = switches.map { event in
            let perf = perfFields(thread: event.previous.pid) + common(thread: event.previous.pid)
            let previous =
                text(event.previous.comm) + bytes(event.previous.pid) + bytes(Int32(120)) + bytes(event.previous.state)
            return (
                event.time,
                header(0, event.time) + perf + previous + text(event.next.comm) + bytes(event.next.pid)
                    + bytes(Int32(120))
            )
        }
        events += exits.map { exit in
            let fields = bytes(exit.reason) + bytes(UInt64(0xfff0)) + bytes(UInt32(1))
            return (
                exit.time, header(1, exit.time) + perfFields(thread: exit.thread) + common(thread: exit.thread) + fields
            )
        }
        events.sort { $0.time < $1.time }
        let payload = events.flatMap(\.bytes)
        let bits = UInt64(24 + 44 + payload.count) * 8
        var packet = bytes(UInt32(0xC1FC_1FC1)) + Self.uuid + bytes(UInt32(0))
        packet += bytes(events.first?.time ?? 0) + bytes(events.last?.time ?? 0) + bytes(bits) + bytes(bits)
        packet += bytes(UInt64(0)) + bytes(UInt32(3))
        try Data(packet + payload).write(to: URL(filePath: "\(path)/perf_stream_3"))
    }

    // MARK: Bytes

    private func bytes<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
        withUnsafeBytes(of: order == .little ? number.littleEndian : number.bigEndian) { Array($0) }
    }

    private func text(_ text: String) -> [UInt8] { Array(text.utf8) + [0] }

    private func header(_ id: UInt32, _ time: UInt64) -> [UInt8] { bytes(id) + bytes(time) }

    private func perfFields(thread: Int32) -> [UInt8] {
        bytes(UInt64(0)) + bytes(thread) + bytes(thread) + bytes(UInt64(7)) + bytes(UInt64(1))
    }

    private func common(thread: Int32) -> [UInt8] {
        bytes(UInt32(300)) + bytes(UInt32(0)) + bytes(UInt32(0)) + bytes(thread)
    }

    // MARK: Metadata

    private static let uuid: [UInt8] = Array(1...16)

    private func integer(_ bits: Int, _ name: String, signed: Bool = false, align: Int = 1, map: String = "") -> String
    {
        let order = self.order == .little ? "le" : "be"
        return
            "integer { size = \(bits); align = \(align); signed = \(signed); byte_order = \(order); \(map)} \(name); "
    }

    private var perfMembers: String {
        integer(64, "perf_ip") + integer(32, "perf_tid", signed: true) + integer(32, "perf_pid", signed: true)
            + integer(64, "perf_id") + integer(64, "perf_period") + integer(32, "common_type")
            + integer(32, "common_flags") + integer(32, "common_preempt_count")
            + integer(32, "common_pid", signed: true)
    }

    private var metadata: String {
        let byteOrder = order == .little ? "le" : "be"
        func comm(_ side: String) -> String { "string { encoding = UTF8; } \(side)_comm; " }
        func number(_ name: String) -> String { integer(32, name, signed: true) }
        let switching =
            comm("prev") + number("prev_pid") + number("prev_prio") + integer(64, "prev_state", signed: true)
            + comm("next") + number("next_pid") + number("next_prio")
        let exit = integer(32, "exit_reason") + integer(64, "guest_rip") + integer(32, "isa")
        return """
            /* CTF 1.8 */
            trace {
                major = 1; minor = 8; uuid = "01020304-0506-0708-090a-0b0c0d0e0f10"; byte_order = \(byteOrder);
                packet.header := struct {
                    \(integer(32, "magic", align: 8)) \(integer(8, "uuid[16]", align: 8)) \(integer(32, "stream_id", align: 8))
                } align(8);
            };
            env {
                host = "made"; sysname = "Linux"; release = "6.1.0"; version = "6.1.192"; machine = "any";
                domain = "kernel"; tracer_name = "perf";
            };
            clock {
                name = perf_clock; uuid = "bc63cef1-2a6a-4cb0-8057-1cef47512892"; description = "perf clock";
                freq = 1000000000; precision = 10; offset_s = 0; offset = 0; absolute = FALSE;
            };
            stream {
                id = 0;
                event.header := struct {
                    \(integer(32, "id", align: 8)) \(integer(64, "timestamp", align: 8, map: "map = clock.perf_clock.value; "))
                } align(8);
                packet.context := struct {
                    \(integer(64, "timestamp_begin", align: 8)) \(integer(64, "timestamp_end", align: 8))
                    \(integer(64, "content_size", align: 8)) \(integer(64, "packet_size", align: 8))
                    \(integer(64, "events_discarded", align: 8)) \(integer(32, "cpu_id"))
                } align(8);
            };
            event {
                id = 0; name = "sched:sched_switch"; stream_id = 0;
                fields := struct { \(perfMembers) \(switching) } align(8);
            };
            event {
                id = 1; name = "kvm:kvm_exit"; stream_id = 0;
                fields := struct { \(perfMembers) \(exit) } align(8);
            };

            """
    }
}
