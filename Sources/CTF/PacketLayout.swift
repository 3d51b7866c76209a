import Glibc

/// Where a packet of a trace tells its sizes, as far as its metadata says so in simple words.
///
/// libbabeltrace2 2.0 ends the whole program when a packet's size is negative as a signed number (an assertion of its message
/// iterator), which a damaged file's may be. So files are looked through for such a packet before the library sees them. Only
/// integers are understood here, which is what packets begin with in traces of LTTng, perf, barectf and the library itself;
/// of other traces nothing is said.
struct PacketLayout: Equatable {
    private struct Place: Equatable {
        let byte: Int
        let isBigEndian: Bool
    }

    private let content: Place
    private let packet: Place
    private let bytes: Int

    private static let magic: UInt32 = 0xC1FC_1FC1
    private static let mostText = 64 << 10

    /// Of the trace in a directory.
    init?(directory: String) throws(CTFError) {
        guard let text = try MetadataPackets.text("\(directory)/metadata"), let layout = PacketLayout(metadata: text)
        else { return nil }
        self = layout
    }

    /// Bytes up to the first packet that the library cannot bear; nil when there is none.
    func firstUnbearable(in path: String) -> Int? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        let size = ScratchDirectory.size(path)
        var offset = 0
        var head = [UInt8](repeating: 0, count: bytes)
        while offset < size, pread(file, &head, bytes, offset) == bytes {
            let first = head.withUnsafeBytes { $0.loadUnaligned(as: UInt32.self) }
            // What is no packet, and what does not lead to the next one, the library itself complains of.
            guard first == Self.magic || first.byteSwapped == Self.magic else { return nil }
            let sizes = [content, packet].map { number(head, $0) }
            guard sizes.allSatisfy({ $0 >= 0 }) else { return offset }
            guard sizes[1] >= 8 * bytes else { return nil }
            let (next, isTooFar) = offset.addingReportingOverflow(sizes[1] / 8)
            guard !isTooFar else { return nil }
            offset = next
        }
        return nil
    }

    private func number(_ head: [UInt8], _ place: Place) -> Int {
        let raw = head.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: place.byte, as: UInt64.self) }
        return Int(truncatingIfNeeded: place.isBigEndian ? UInt64(bigEndian: raw) : UInt64(littleEndian: raw))
    }

    // MARK: Metadata

    /// Nil when the metadata says it in other words, or not the same for all of its streams.
    init?(metadata: String) {
        // What is looked for stands before the events.
        let text = String(metadata.prefix(Self.mostText)).replacing(/(?s)\/\*.*?\*\//, with: " ")
        let order = text.firstMatch(of: /trace\s*\{[^{}]*byte_order\s*=\s*(\w+)/)?.output.1
        let isBigEndian = order == "be" || order == "network"
        var types: [String: Integer] = [:]
        for alias in text.matches(of: /typealias\s+integer\s*\{([^}]*)\}\s*:=\s*([^;]+);/) {
            let name = alias.output.2.split { $0.isWhitespace }.joined(separator: " ")
            types[name] = Integer(String(alias.output.1), isBigEndian: isBigEndian)
        }
        let headers = text.matches(of: /packet\.header\s*:=\s*struct\s*\{/)
        guard headers.count == 1, let header = headers.first else { return nil }
        var place = 0
        guard Self.members(Self.body(text, from: header.range.upperBound), types, isBigEndian, from: &place) != nil
        else { return nil }
        var layouts: [PacketLayout] = []
        for context in text.matches(of: /packet\.context\s*:=\s*struct\s*(\w*)\s*(\{?)/) {
            var start: String.Index? = context.range.upperBound
            if context.output.2.isEmpty {
                let named = try? Regex("struct\\s+\(context.output.1)\\s*\\{")
                start = named.flatMap { text.firstMatch(of: $0)?.range.upperBound }
            }
            var end = place
            guard let start, let found = Self.members(Self.body(text, from: start), types, isBigEndian, from: &end),
                let content = found["content_size"], let packet = found["packet_size"]
            else { return nil }
            layouts.append(PacketLayout(content: content, packet: packet, bytes: (end + 7) / 8))
        }
        guard let first = layouts.first, layouts.allSatisfy({ $0 == first }) else { return nil }
        self = first
    }

    private init(content: Place, packet: Place, bytes: Int) {
        self.content = content
        self.packet = packet
        self.bytes = bytes
    }

    private struct Integer {
        let bits: Int
        let alignment: Int
        let isBigEndian: Bool

        init?(_ attributes: String, isBigEndian: Bool) {
            func value(_ name: String) -> Substring? {
                let pattern = try? Regex("\\b\(name)\\s*=\\s*(\\w+)", as: (Substring, Substring).self)
                return pattern.flatMap { attributes.firstMatch(of: $0)?.output.1 }
            }
            guard let bits = value("size").flatMap({ Int($0) }), (1...64).contains(bits) else { return nil }
            self.bits = bits
            alignment = value("align").flatMap { Int($0) } ?? (bits % 8 == 0 ? 8 : 1)
            guard (1...64).contains(alignment) else { return nil }
            self.isBigEndian =
                switch value("byte_order") {
                case "be", "network": true
                case "le": false
                default: isBigEndian
                }
        }
    }

    /// What stands between a brace and the one that closes it.
    private static func body(_ text: String, from start: String.Index) -> Substring {
        var depth = 1
        var end = start
        while end < text.endIndex {
            if text[end] == "{" { depth += 1 }
            if text[end] == "}" { depth -= 1 }
            if depth == 0 { break }
            end = text.index(after: end)
        }
        return text[start..<end]
    }

    /// Integers of 64 bits by name; nil when something else than an integer is among the members. `place` is in bits.
    private static func members(
        _ body: Substring, _ types: [String: Integer], _ isBigEndian: Bool, from place: inout Int
    ) -> [String: Place]? {
        var found: [String: Place] = [:]
        var rest = body
        while let member = rest.prefixMatch(
            of: /\s*(?:integer\s*\{([^}]*)\}\s*|([A-Za-z_][\w\s]*?)\s+)(\w+)\s*(?:\[\s*(\d+)\s*\])?\s*;/)
        {
            rest = rest[member.range.upperBound...]
            let (_, attributes, alias, name, count) = member.output
            let type =
                attributes.map { Integer(String($0), isBigEndian: isBigEndian) }
                ?? alias.flatMap { types[$0.split { $0.isWhitespace }.joined(separator: " ")] }
            guard let type, let count = Int(count ?? "1"), (0...4096).contains(count) else { return nil }
            place = (place + type.alignment - 1) / type.alignment * type.alignment
            if type.bits == 64, place % 8 == 0 {
                found[String(name)] = Place(byte: place / 8, isBigEndian: type.isBigEndian)
            }
            place += type.bits * count
            guard place <= 8 << 10 else { return nil }
        }
        return rest.allSatisfy(\.isWhitespace) ? found : nil
    }
}
