import Testing
import Transport

/// The grammar of addresses, both directions.
struct EndpointTests {
    /// Parses `text`, and parses what the result says of itself again.
    private func check(_ text: String, _ expected: Endpoint, _ written: String? = nil) throws {
        let endpoint = try Endpoint(parsing: text)
        #expect(endpoint == expected)
        #expect(endpoint.description == written ?? text)
        #expect(try Endpoint(parsing: endpoint.description) == expected, "its own text is read back")
    }

    @Test
    func `vsock addresses`() throws {
        try check("vsock::9823", .vsock(cid: nil, port: 9823))
        try check("vsock:3:9823", .vsock(cid: 3, port: 9823))
        try check("vsock:", .vsock(cid: nil, port: 9823), "vsock::9823")
        try check("vsock", .vsock(cid: nil, port: 9823), "vsock::9823")
        try check("vsock:4294967295:5", .vsock(cid: nil, port: 5), "vsock::5")
        try check("vsock::0", .vsock(cid: nil, port: 0))
        try check("vsock:4294967294:4294967294", .vsock(cid: 4_294_967_294, port: 4_294_967_294))
    }

    @Test
    func `TCP addresses`() throws {
        try check("tcp:127.0.0.1:9823", .tcp(address: "127.0.0.1", port: 9823))
        try check("tcp:0.0.0.0", .tcp(address: "0.0.0.0", port: 9823), "tcp:0.0.0.0:9823")
        try check("tcp:[::1]:80", .tcp(address: "::1", port: 80))
        try check("tcp:[fe80::1]", .tcp(address: "fe80::1", port: 9823), "tcp:[fe80::1]:9823")
        try check("tcp:localhost:0", .tcp(address: "127.0.0.1", port: 0), "tcp:127.0.0.1:0")
        try check("tcp:web-1.example_net:65535", .tcp(address: "web-1.example_net", port: 65535))
    }

    @Test
    func `Unix sockets, a VMM's sockets and inherited ones`() throws {
        try check("unix:/run/tandem.sock", .unix(path: "/run/tandem.sock", hybridPort: nil))
        try check("unix:relative", .unix(path: "relative", hybridPort: nil))
        try check("unix:/run/a:b@c", .unix(path: "/run/a:b@c", hybridPort: nil))
        try check("unix:/run/fc/v.sock?9823", .unix(path: "/run/fc/v.sock", hybridPort: 9823))
        try check("fd:3", .descriptor(3))
    }

    @Test(arguments: [
        ("", "nothing is written before"), ("9823", "'9823' is not a kind"), (":", "nothing is written before"),
        ("udp:1.2.3.4:5", "'udp' is not a kind"), ("VSOCK::1", "'VSOCK' is not a kind"),
        ("vsock:9823", "a CID or a port: write vsock:9823:PORT or vsock::9823"), ("vsock:1:2:3", "more than"),
        ("vsock::", "'' is not a vsock port"), ("vsock::+5", "'+5' is not"), ("vsock::-1", "'-1' is not"),
        ("vsock::4294967295", "is not a vsock port"), ("vsock:a:1", "'a' is not a CID"),
        ("vsock:4294967296:1", "'4294967296' is not a CID"), ("tcp:", "the host is missing"),
        ("tcp::9823", "0.0.0.0 stands for every"), ("tcp:1.2.3.4:65536", "'65536' is not a TCP port"),
        ("tcp:1.2.3.4:", "'' is not a TCP port"), ("tcp:10.0.0.999:1", "'10.0.0.999' is not an IPv4"),
        ("tcp:9823", "'9823' is not an IPv4"), ("tcp:::1:80", "in brackets"), ("tcp:[::1", "']' is missing"),
        ("tcp:[::1]80", "a colon and a port"), ("tcp:[::g]:80", "'::g' is not a numeric IPv6"),
        ("tcp:[127.0.0.1]:80", "not a numeric IPv6"), ("tcp:a b:1", "'a b' cannot be the name"),
        ("unix:", "the path is missing"), ("unix:?1", "the path is missing"), ("unix:/a?", "'' is not a vsock port"),
        ("unix:/a?b?1", "'b?1' is not a vsock port"), ("unix:/a\u{0}b", "no NUL"), ("fd:", "'' is not the number"),
        ("fd:-1", "'-1' is not"), ("fd:2147483648", "is not the number"),
    ])
    func `an unreadable address says what was read, what is wrong and what can be written`(text: String, part: String) {
        let error = #expect(throws: EndpointError.self) { try Endpoint(parsing: text) }
        #expect(error?.text == text)
        #expect(error?.problem.contains(part) == true, "\(error?.problem ?? "")")
        #expect(error?.description.contains("vsock::PORT") == true)
    }

    @Test
    func `the longest path that fits into a socket address is allowed and one byte more is not`() throws {
        let longest = "/" + String(repeating: "a", count: 106)
        #expect(try Endpoint(parsing: "unix:\(longest)") == .unix(path: longest, hybridPort: nil))
        #expect(throws: EndpointError.self) { try Endpoint(parsing: "unix:\(longest)a") }
    }

    @Test
    func `no text makes the parser trap`() {
        var random = Seeded(seed: 0x7a4d)
        let alphabet = Array("vsocktpunixfd:@[]?.0123456789-/ \u{0}é")
        for _ in 0..<20_000 {
            let text = String(
                (0..<Int.random(in: 0...14, using: &random)).compactMap { _ in
                    alphabet.randomElement(using: &random)
                })
            if let endpoint = try? Endpoint(parsing: text) {
                #expect((try? Endpoint(parsing: endpoint.description)) == endpoint, "seed \(random.seed): '\(text)'")
            }
            if let guest = try? GuestAddress.parse(text) {
                #expect((try? GuestAddress.parse(guest.description)) == guest, "seed \(random.seed): '\(text)'")
            }
        }
    }

    @Test
    func `what has one direction is refused in the other`() throws {
        #expect(Endpoint.vsock(cid: nil, port: 1).problemWhenConnecting?.contains("CID is needed") == true)
        #expect(Endpoint.vsock(cid: 0, port: 1).problemWhenConnecting?.contains("reserved") == true)
        #expect(Endpoint.vsock(cid: 3, port: 0).problemWhenConnecting?.contains("port 0") == true)
        #expect(Endpoint.tcp(address: "1.2.3.4", port: 0).problemWhenConnecting?.contains("port 0") == true)
        #expect(Endpoint.tcp(address: "web1", port: 1).problemWhenConnecting == nil)
        #expect(Endpoint.tcp(address: "web1", port: 1).problemWhenListening?.contains("numeric") == true)
        #expect(Endpoint.unix(path: "/a", hybridPort: 1).problemWhenListening?.contains("VMM") == true)
        for endpoint: Endpoint in [
            .vsock(cid: nil, port: 0), .tcp(address: "::", port: 0), .unix(path: "/a", hybridPort: nil), .descriptor(3),
        ] {
            #expect(endpoint.problemWhenListening == nil)
        }
    }

    @Test(arguments: [
        ("tcp:127.0.0.1:1", false), ("tcp:127.255.0.9:1", false), ("tcp:[::1]:1", false),
        ("tcp:[::ffff:127.0.0.1]:1", false), ("tcp:localhost:1", false), ("vsock:3:1", false), ("unix:/a", false),
        ("fd:3", false), ("tcp:0.0.0.0:1", true), ("tcp:[::]:1", true), ("tcp:10.0.0.5:1", true),
        ("tcp:[fe80::1]:1", true), ("tcp:[::ffff:10.0.0.5]:1", true), ("tcp:web1:1", true),
        ("tcp:127.example.net:1", true),
    ])
    func `clear text crosses no network unless it is insisted on`(text: String, isRisky: Bool) throws {
        let endpoint = try Endpoint(parsing: text)
        #expect((endpoint.clearTextRefusal(insecure: false) != nil) == isRisky)
        #expect(endpoint.clearTextRefusal(insecure: true) == nil)
        if isRisky {
            #expect(endpoint.clearTextRefusal(insecure: false)?.contains("--insecure") == true)
        }
    }
}

/// A generator that can be repeated (splitmix64).
struct Seeded: RandomNumberGenerator {
    let seed: UInt64
    private var state: UInt64

    init(seed: UInt64) {
        self.seed = seed
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
