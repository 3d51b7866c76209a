import Glibc
import Transport

/// Looks up hosts' names, which only the host program can: the static agent has no resolver.
enum HostNames {
    /// The addresses of `name`, in the resolver's order (getaddrinfo(3)).
    static func resolve(_ name: String) -> Resolution {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let result = getaddrinfo(name, nil, &hints, &list)
        defer { if let list { freeaddrinfo(list) } }
        guard result == 0 else {
            return .failed("the host name '\(name)' was not found: \(String(cString: gai_strerror(result)))")
        }
        var addresses: [String] = []
        var next = list
        while let entry = next {
            if let address = numeric(entry.pointee) { addresses.append(address) }
            next = entry.pointee.ai_next
        }
        return .addresses(addresses)
    }

    private static func numeric(_ entry: addrinfo) -> String? {
        var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        let result = getnameinfo(
            entry.ai_addr, entry.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST)
        guard result == 0 else { return nil }
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
