import Glibc

/// The parts of an address text, as pure functions: each gives its value or the problem in words.
///
/// `inet_pton` decides what a numeric address is, because it is what the socket call will use; it asks nobody.
enum AddressText {
    /// Text longer than this does not fit in `sockaddr_un.sun_path` with its NUL: unix(7).
    static let longestUnixPath = MemoryLayout.size(ofValue: sockaddr_un().sun_path) - 1

    /// Decimal digits only: `UInt32("+5")` would be five.
    static func number(_ text: some StringProtocol) -> UInt32? {
        guard !text.isEmpty, text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else {
            return nil
        }
        return UInt32(text)
    }

    static func vsockPort(_ text: some StringProtocol) -> Result<UInt32, Problem> {
        // The highest number is VMADDR_PORT_ANY, which port 0 stands for here, as it does for TCP.
        guard let port = number(text), port != .max else {
            return .failure(Problem("'\(text)' is not a vsock port (0 to \(UInt32.max - 1))"))
        }
        return .success(port)
    }

    static func tcpPort(_ text: some StringProtocol) -> Result<UInt16, Problem> {
        guard let port = number(text).flatMap(UInt16.init(exactly:)) else {
            return .failure(Problem("'\(text)' is not a TCP port (0 to 65535)"))
        }
        return .success(port)
    }

    /// What follows `vsock:`.
    static func vsock(_ text: String) -> Result<Endpoint, Problem> {
        if text.isEmpty { return .success(.vsock(cid: nil, port: UInt32(Endpoint.defaultPort))) }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2 else {
            return .failure(
                Problem(
                    parts.count == 1
                        ? "'\(text)' can be a CID or a port: write vsock:\(text):PORT or vsock::\(text)"
                        : "there is more than a CID and a port"))
        }
        return vsockPort(parts[1]).flatMap { port in
            if parts[0].isEmpty { return .success(.vsock(cid: nil, port: port)) }
            guard let cid = number(parts[0]) else { return .failure(Problem("'\(parts[0])' is not a CID")) }
            // VMADDR_CID_ANY
            return .success(.vsock(cid: cid == .max ? nil : cid, port: port))
        }
    }

    /// What follows `unix:`. A question mark always opens a port: a path with one in it cannot be written.
    static func unix(_ text: String) -> Result<Endpoint, Problem> {
        let parts = text.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let path = String(parts[0])
        if path.isEmpty { return .failure(Problem("the path is missing")) }
        if path.utf8.contains(0) { return .failure(Problem("a path holds no NUL")) }
        if path.utf8.count > longestUnixPath {
            return .failure(
                Problem("the path has \(path.utf8.count) bytes and a Unix socket allows \(longestUnixPath)"))
        }
        guard parts.count == 2 else { return .success(.unix(path: path, hybridPort: nil)) }
        return vsockPort(parts[1]).map { .unix(path: path, hybridPort: $0) }
    }

    /// Splits `HOST`, `HOST:PORT`, `[IPV6]` and `[IPV6]:PORT`; the host comes back without brackets.
    static func hostAndPort(_ text: String) -> Result<(host: String, port: UInt16?), Problem> {
        if text.hasPrefix("[") {
            guard let end = text.firstIndex(of: "]") else { return .failure(Problem("']' is missing")) }
            let host = String(text[text.index(after: text.startIndex)..<end])
            guard isIPv6(host) else { return .failure(Problem("'\(host)' is not a numeric IPv6 address")) }
            let rest = text[text.index(after: end)...]
            if rest.isEmpty { return .success((host, nil)) }
            guard rest.hasPrefix(":") else { return .failure(Problem("a colon and a port must follow ']'")) }
            return tcpPort(rest.dropFirst()).map { (host, $0) }
        }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        switch parts.count {
        case 1: return .success((text, nil))
        case 2: return tcpPort(parts[1]).map { (String(parts[0]), $0) }
        default: return .failure(Problem("an IPv6 address must stand in brackets, with the port behind them"))
        }
    }

    /// A host as it is kept: numeric, or a name that can be one. `localhost` is 127.0.0.1 without asking anybody.
    static func host(_ text: String) -> Result<String, Problem> {
        if text == "localhost" { return .success("127.0.0.1") }
        if isNumeric(text) { return .success(text) }
        if text.isEmpty { return .failure(Problem("the host is missing (0.0.0.0 stands for every address)")) }
        if text.utf8.allSatisfy({ $0 == UInt8(ascii: ".") || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) {
            return .failure(Problem("'\(text)' is not an IPv4 address"))
        }
        // RFC 1123 and the underscore that many networks use; 253 bytes in all.
        func isAllowed(_ byte: UInt8) -> Bool {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"):
                true
            default: false
            }
        }
        guard text.utf8.count <= 253, text.utf8.allSatisfy(isAllowed) else {
            return .failure(Problem("'\(text)' cannot be the name of a host"))
        }
        return .success(text)
    }

    static func isIPv4(_ text: String) -> Bool {
        var address = in_addr()
        return inet_pton(AF_INET, text, &address) == 1
    }

    static func isIPv6(_ text: String) -> Bool {
        var address = in6_addr()
        return inet_pton(AF_INET6, text, &address) == 1
    }

    static func isNumeric(_ text: String) -> Bool { isIPv4(text) || isIPv6(text) }

    /// 127.0.0.0/8, ::1, and the former inside IPv6. A name is not: what it leads to is not known here.
    static func isLoopback(_ text: String) -> Bool {
        if isIPv4(text) { return text.hasPrefix("127.") }
        var address = in6_addr()
        guard inet_pton(AF_INET6, text, &address) == 1 else { return false }
        let bytes = withUnsafeBytes(of: &address) { [UInt8]($0) }
        let mapped: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127]
        return bytes == [UInt8](repeating: 0, count: 15) + [1] || bytes.starts(with: mapped)
    }
}

/// What is wrong with a part of an address.
struct Problem: Error {
    var text: String

    init(_ text: String) { self.text = text }
}

extension Result where Failure == Problem {
    func mapProblem(_ error: (String) -> EndpointError) throws(EndpointError) -> Success {
        switch self {
        case .success(let value): return value
        case .failure(let problem): throw error(problem.text)
        }
    }
}
