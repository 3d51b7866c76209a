import CLinux
import Glibc

/// A `sockaddr` of whichever family, and its way to and from `Endpoint`.
///
/// The only place that knows the C structures; what they hold is in vsock(7), ip(7), ipv6(7) and unix(7).
struct SocketAddress {
    private var storage = sockaddr_storage()
    private var length: socklen_t = 0

    var family: Int32 { Int32(storage.ss_family) }

    /// The address of `endpoint`; nil for what has none (a name, an inherited descriptor, a path that is too long).
    init?(_ endpoint: Endpoint) {
        switch endpoint {
        case .vsock(let cid, let port):
            // The highest numbers are VMADDR_CID_ANY and VMADDR_PORT_ANY.
            length = clinux_vsock_address(&storage, cid ?? .max, port == 0 ? .max : port)
        case .tcp(let text, let port):
            var ipv4 = sockaddr_in()
            var ipv6 = sockaddr_in6()
            if inet_pton(AF_INET, text, &ipv4.sin_addr) == 1 {
                ipv4.sin_family = sa_family_t(AF_INET)
                ipv4.sin_port = port.bigEndian
                store(ipv4)
            } else if inet_pton(AF_INET6, text, &ipv6.sin6_addr) == 1 {
                ipv6.sin6_family = sa_family_t(AF_INET6)
                ipv6.sin6_port = port.bigEndian
                store(ipv6)
            } else {
                return nil
            }
        case .unix(let path, _):
            guard path.utf8.count <= AddressText.longestUnixPath else { return nil }
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
            store(address)
        case .descriptor:
            return nil
        }
    }

    /// The address that `read` (getsockname, getpeername) fills in.
    init(_ read: (UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Int32) throws(Errno) {
        length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let result = withUnsafeMutablePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { read($0, &length) }
        }
        if result != 0 { throw Errno.last }
    }

    /// Calls bind, connect and their like.
    func call(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) throws(Errno) {
        let result = withUnsafePointer(to: storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, length) }
        }
        if result != 0 { throw Errno.last }
    }

    /// The endpoint of a socket that has this address; nil for families that are none of ours.
    var endpoint: Endpoint? {
        switch family {
        case AF_VSOCK:
            var cid: UInt32 = 0
            var port: UInt32 = 0
            withUnsafePointer(to: storage) { clinux_vsock_parts($0, &cid, &port) }
            return .vsock(cid: cid == .max ? nil : cid, port: port)
        case AF_INET:
            let address = load(as: sockaddr_in.self)
            return .tcp(address: text(of: address.sin_addr, AF_INET), port: UInt16(bigEndian: address.sin_port))
        case AF_INET6:
            let address = load(as: sockaddr_in6.self)
            let full = text(of: address.sin6_addr, AF_INET6)
            // An IPv4 peer of a socket that takes both.
            let short = full.hasPrefix("::ffff:") ? String(full.dropFirst("::ffff:".count)) : full
            return .tcp(
                address: AddressText.isIPv4(short) ? short : full, port: UInt16(bigEndian: address.sin6_port))
        case AF_UNIX:
            var address = load(as: sockaddr_un.self)
            let path = withUnsafeBytes(of: &address.sun_path) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            return .unix(path: path, hybridPort: nil)
        default:
            return nil
        }
    }

    private mutating func store<Address>(_ address: Address) {
        withUnsafeMutableBytes(of: &storage) { $0.storeBytes(of: address, as: Address.self) }
        length = socklen_t(MemoryLayout<Address>.size)
    }

    /// Every family's structure fits into `sockaddr_storage`.
    private func load<Address>(as type: Address.Type) -> Address {
        withUnsafeBytes(of: storage) { $0.load(as: type) }
    }

    private func text<Address>(of address: Address, _ family: Int32) -> String {
        var buffer = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        let isPrinted = withUnsafePointer(to: address) {
            inet_ntop(family, $0, &buffer, socklen_t(buffer.count)) != nil
        }
        return isPrinted ? String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self) : ""
    }
}
