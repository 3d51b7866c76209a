import Testing
import Transport

struct GuestAddressTests {
    private func check(_ text: String, _ name: String, _ endpoint: Endpoint) throws {
        let guest = try GuestAddress.parse(text)
        #expect(guest == GuestAddress(name: name, endpoint: endpoint))
    }

    @Test
    func `the words of trace-cmd mean the same`() throws {
        try check("web1@3:9000", "web1", .vsock(cid: 3, port: 9000))
        try check("web1@3", "web1", .vsock(cid: 3, port: 9823))
        try check("3", "3", .vsock(cid: 3, port: 9823))
        try check("3:9000", "3", .vsock(cid: 3, port: 9000))
        try check("web1@10.0.0.5:9000", "web1", .tcp(address: "10.0.0.5", port: 9000))
        try check("web1@host.example:9000", "web1", .tcp(address: "host.example", port: 9000))
        try check("10.0.0.5:9000", "10.0.0.5", .tcp(address: "10.0.0.5", port: 9000))
        try check("host:9000", "host", .tcp(address: "host", port: 9000))
    }

    @Test
    func `the default port holds for hosts too`() throws {
        try check("web1@10.0.0.5", "web1", .tcp(address: "10.0.0.5", port: 9823))
        try check("host.example", "host.example", .tcp(address: "host.example", port: 9823))
        try check("web1@host", "web1", .tcp(address: "host", port: 9823))
        try check("localhost", "127.0.0.1", .tcp(address: "127.0.0.1", port: 9823))
        try check("web1@[fe80::5]", "web1", .tcp(address: "fe80::5", port: 9823))
        try check("[fe80::5]:9000", "fe80::5", .tcp(address: "fe80::5", port: 9000))
    }

    @Test
    func `every endpoint can follow a name`() throws {
        try check("web1@vsock:3:9000", "web1", .vsock(cid: 3, port: 9000))
        try check("web1@vsock:3", "web1", .vsock(cid: 3, port: 9823))
        try check("vsock:3", "3", .vsock(cid: 3, port: 9823))
        try check("web1@tcp:10.0.0.5:9000", "web1", .tcp(address: "10.0.0.5", port: 9000))
        try check("web1@unix:/run/a@b.sock", "web1", .unix(path: "/run/a@b.sock", hybridPort: nil))
        try check("web1@unix:/run/fc/v.sock?9823", "web1", .unix(path: "/run/fc/v.sock", hybridPort: 9823))
        try check("unix:/run/a@b.sock", "a@b.sock", .unix(path: "/run/a@b.sock", hybridPort: nil))
        try check("web1@fd:3", "web1", .descriptor(3))
        try check("VM with spaces@3", "VM with spaces", .vsock(cid: 3, port: 9823))
    }

    @Test(arguments: [
        ("", "the place is missing"), ("web1@", "the place is missing"), ("@3", "the name before '@'"),
        ("web1", "write web1@CID"), ("web1@3:", "'' is not a vsock port"), ("3:70000:1", "in brackets"),
        ("web1@vsock::9823", "a CID is needed"), ("web1@0", "reserved"), ("4294967295", "stands for any"),
        ("web1@3:0", "port 0 is for listening"), ("host:0", "port 0 is for listening"),
        ("host:70000", "'70000' is not a TCP port"), ("fe80::1", "in brackets"),
        ("a\u{1b}b@3", "control characters"), ("web1@unix:", "the path is missing"),
        ("web1@unix:/a?x", "'x' is not a vsock port"), ("web1@vsock:x", "a CID or a port"),
        ("web1@10.0.0.999", "not an IPv4 address"),
    ])
    func `an unreadable guest says what was read, what is wrong and what can be written`(text: String, part: String) {
        let error = #expect(throws: EndpointError.self) { try GuestAddress.parse(text) }
        #expect(error?.text == text)
        #expect(error?.problem.contains(part) == true, "\(error?.problem ?? "")")
        #expect(error?.grammar == GuestAddress.grammar)
    }

    @Test
    func `the port of a VMM's socket is kept apart from colons in its path`() throws {
        try check("web1@unix:/run/a:9823", "web1", .unix(path: "/run/a:9823", hybridPort: nil))
    }
}
