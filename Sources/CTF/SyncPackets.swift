import Timeline
import TraceModel

/// TCP segments that a trace shows leaving or arriving: messages between machines that nobody added.
///
/// LTTng's `net_dev_queue` and `net_if_receive_skb` have the segment's header, by which Trace Compass pairs them too: sequence
/// and acknowledgment numbers, here with the ports.
struct SyncPackets {
    struct Key: Hashable {
        let sequence: UInt32
        let acknowledgment: UInt32
        let ports: UInt32
    }

    /// When a segment left first and when it arrived last, on the machine's own clock: whatever copy of it was seen, it
    /// arrived somewhere after the first leaving, and left somewhere before the last arrival.
    private(set) var sent: [Key: UInt64] = [:]
    private(set) var received: [Key: UInt64] = [:]

    var isEmpty: Bool { sent.isEmpty && received.isEmpty }

    mutating func note(_ key: Key, isSent: Bool, at ticks: UInt64) {
        guard sent.count + received.count < Limits.surveyedTimes else { return }
        if isSent {
            sent[key] = min(sent[key] ?? ticks, ticks)
        } else {
            received[key] = max(received[key] ?? ticks, ticks)
        }
    }

    /// Each segment from the guest with the last one before it that had come from the host.
    static func messages(guest: SyncPackets, host: SyncPackets) -> [GuestSync.Message] {
        var arrivals: [(guest: UInt64, host: UInt64)] = guest.received.compactMap { key, ticks in
            host.sent[key].map { (ticks, $0) }
        }
        arrivals.sort { $0.guest < $1.guest }
        var messages: [GuestSync.Message] = []
        for (key, left) in guest.sent {
            guard let arrived = host.received[key] else { continue }
            let place = arrivals.partitionPoint { $0.guest <= left }
            guard place > 0 else { continue }
            let before = arrivals[place - 1]
            messages.append(
                GuestSync.Message(entry: before.host, first: before.guest, last: left, exit: arrived))
        }
        return messages
    }
}

/// Where a format has a TCP header; IPv4's and IPv6's lie beside each other, and one of them is zero.
struct PacketFields {
    private var headers: [[IntegerField]] = []

    init(_ format: EventFormat) {
        for field in format.fields where field.name.hasSuffix("tcp_seq") {
            let prefix = field.name.dropLast("seq".count)
            let fields = ["seq", "ack_seq", "source_port", "dest_port"].compactMap {
                IntegerField(prefix + $0, of: format, byteOrder: .native)
            }
            if fields.count == 4 { headers.append(fields) }
        }
    }

    /// Nil for a packet of another protocol.
    func key(_ records: borrowing RawSpan, _ header: EventHeader) -> SyncPackets.Key? {
        for fields in headers {
            var words: [UInt32] = []
            for field in fields {
                words.append(UInt32(truncatingIfNeeded: field.value(in: records, of: header) ?? 0))
            }
            guard words[2] != 0, words[3] != 0 else { continue }
            return SyncPackets.Key(
                sequence: words[0], acknowledgment: words[1], ports: words[2] << 16 | words[3] & 0xffff)
        }
        return nil
    }
}
