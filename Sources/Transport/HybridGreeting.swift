/// The few bytes with which a VMM's Unix socket is asked for a vsock port of its guest ("hybrid vsock").
///
/// After connecting, `CONNECT <port>\n` is sent; the VMM answers `OK <its own port>\n` once the guest has accepted, or
/// closes the socket when nobody listens there. Then the stream is the guest's. Source: Firecracker's docs/vsock.md;
/// Cloud Hypervisor and rust-vmm's vhost-device-vsock speak the same.
enum HybridGreeting {
    /// `OK 4294967295\n` has 14 bytes; what is longer is no greeting.
    static let longestReply = 32

    static func request(port: UInt32) -> [UInt8] { Array("CONNECT \(port)\n".utf8) }

    /// The VMM's port in a reply line that ends with its newline; nil when it says anything else.
    static func port(inReply line: [UInt8]) -> UInt32? {
        let text = String(decoding: line, as: UTF8.self)
        guard text.hasPrefix("OK "), text.hasSuffix("\n") else { return nil }
        return AddressText.number(text.dropFirst("OK ".count).dropLast())
    }

    /// A reply for a message, without its newline: what is no printable ASCII becomes `?`, because it comes from who
    /// knows whom.
    static func printable(_ line: [UInt8]) -> String {
        let text = line.last == UInt8(ascii: "\n") ? line.dropLast() : line[...]
        return String(decoding: text.map { (0x20..<0x7f).contains($0) ? $0 : UInt8(ascii: "?") }, as: UTF8.self)
    }
}
