import Glibc
import Testing
import Transport

/// Real sockets of one machine, both ends.
struct ConnectionTests {
    /// `bytes` sent by one end arrive at the other, read in pieces of at most `piece`.
    private func check(_ kind: Kind, count: Int, piece: Int) throws {
        let (client, server) = try pair(kind)
        var random = Seeded(seed: UInt64(count))
        let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
        let sender = Background {
            try client.write(bytes, timeoutMilliseconds: patience)
            try client.finishWriting()
        }
        var received: [UInt8] = []
        while true {
            let part = try server.read(upTo: piece, timeoutMilliseconds: patience)
            if part.isEmpty { break }
            received += part
        }
        try sender.value()
        #expect(received == bytes, "seed \(random.seed)")
    }

    @Test(arguments: Kind.allCases)
    func `what is written is read, in whatever pieces`(kind: Kind) throws {
        try check(kind, count: 1000, piece: 1)
        try check(kind, count: 1 << 20, piece: 65_521)
        try check(kind, count: 0, piece: 10)
    }

    @Test(arguments: Kind.allCases)
    func `after one side has finished writing, the other can still answer`(kind: Kind) throws {
        let (client, server) = try pair(kind)
        try client.write([1, 2, 3], timeoutMilliseconds: patience)
        try client.finishWriting()
        #expect(try server.read(upTo: 10, timeoutMilliseconds: patience) == [1, 2, 3])
        #expect(try server.read(upTo: 10, timeoutMilliseconds: patience) == [])
        try server.write([4, 5], timeoutMilliseconds: patience)
        #expect(try client.read(upTo: 10, timeoutMilliseconds: patience) == [4, 5])
    }

    @Test(arguments: Kind.allCases)
    func `a read waits no longer than it is told, and goes on afterwards`(kind: Kind) throws {
        let (client, server) = try pair(kind)
        for limit in [0, 30] {
            let start = now()
            let error = #expect(throws: TransportError.self) {
                try client.read(upTo: 1, timeoutMilliseconds: limit)
            }
            #expect(error?.isTimeout == true)
            #expect(now() - start >= limit)
        }
        try server.write([7], timeoutMilliseconds: patience)
        #expect(try client.read(upTo: 1, timeoutMilliseconds: patience) == [7])
    }

    @Test(arguments: Kind.allCases)
    func `a peer that takes nothing stops a writer after its limit`(kind: Kind) throws {
        let (client, server) = try pair(kind)
        let error = #expect(throws: TransportError.self) {
            try client.write([UInt8](repeating: 0, count: 64 << 20), timeoutMilliseconds: 50)
        }
        #expect(error?.isTimeout == true)
        server.close()
    }

    @Test
    func `a slow peer that goes on taking is waited for`() throws {
        let (client, server) = try pair(.unix)
        let count = 2 << 20
        let reader = Background {
            var received = 0
            while received < count {
                sleep(milliseconds: 50)
                received += try server.read(upTo: 128 << 10, timeoutMilliseconds: patience).count
            }
            return received
        }
        let start = now()
        try client.write([UInt8](repeating: 1, count: count), timeoutMilliseconds: 500)
        #expect(try reader.value() == count)
        #expect(now() - start > 500, "otherwise this tests nothing")
    }

    @Test(arguments: Kind.allCases)
    func `shutdown wakes a blocked reader`(kind: Kind) throws {
        let (client, server) = try pair(kind)
        let reader = Background { try client.read(upTo: 1, timeoutMilliseconds: patience) }
        sleep(milliseconds: 20)
        client.shutdown()
        #expect(try reader.value() == [])
        #expect(try client.read(upTo: 1, timeoutMilliseconds: nil) == [], "and every later read")
        #expect(try server.read(upTo: 1, timeoutMilliseconds: patience) == [], "and the peer sees the end")
    }

    @Test(arguments: Kind.allCases)
    func `shutdown wakes a blocked writer`(kind: Kind) throws {
        let (client, server) = try pair(kind)
        let writer = Background {
            #expect(throws: TransportError.self) {
                try client.write([UInt8](repeating: 0, count: 64 << 20), timeoutMilliseconds: patience)
            }
        }
        sleep(milliseconds: 20)
        client.shutdown()
        #expect(try writer.value()?.cause == .shutDown)
        server.close()
    }

    @Test
    func `closing wakes a reader, and can be repeated`() throws {
        let (client, server) = try pair(.inherited)
        let reader = Background { try client.read(upTo: 1, timeoutMilliseconds: patience) }
        sleep(milliseconds: 20)
        client.close()
        client.close()
        #expect(try reader.value() == [])
        #expect(try client.read(upTo: 1, timeoutMilliseconds: nil) == [])
        let error = #expect(throws: TransportError.self) { try client.write([1], timeoutMilliseconds: nil) }
        #expect(error?.cause == .shutDown)
        #expect(try server.read(upTo: 1, timeoutMilliseconds: patience) == [])
    }

    @Test
    func `a peer that is gone is an error and no signal`() throws {
        let (client, server) = try pair(.unix)
        server.close()
        let error = #expect(throws: TransportError.self) {
            for _ in 0..<3 { try client.write([1], timeoutMilliseconds: patience) }
        }
        #expect(error?.cause == .system(EPIPE))
        #expect(error?.description.contains("went away") == true)
    }

    @Test
    func `nobody listens`() throws {
        let listener = try Listener(.tcp(address: "127.0.0.1", port: 0))
        let endpoint = listener.localEndpoint
        listener.close()
        let error = #expect(throws: TransportError.self) {
            try Connection.connect(to: endpoint, timeoutMilliseconds: patience)
        }
        #expect(error?.cause == .system(ECONNREFUSED))
        let missing = #expect(throws: TransportError.self) {
            try Connection.connect(to: .unix(path: "/nowhere/socket", hybridPort: nil), timeoutMilliseconds: patience)
        }
        #expect(missing?.cause == .system(ENOENT))
    }

    @Test(arguments: [AF_INET, AF_UNIX])
    func `a listener that accepts nobody is given up after the limit`(family: Int32) throws {
        let folder = try TemporaryFolder()
        // A queue of one, filled up: listen(2). Of TCP's, the kernel then drops further requests.
        let listener = socket(family, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(listener) }
        let endpoint: Endpoint
        if family == AF_INET {
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
            var length = socklen_t(MemoryLayout<sockaddr_in>.size)
            withUnsafeMutablePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    #expect(bind(listener, $0, length) == 0)
                    #expect(getsockname(listener, $0, &length) == 0)
                }
            }
            endpoint = .tcp(address: "127.0.0.1", port: UInt16(bigEndian: address.sin_port))
        } else {
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: "\(folder.path)/full".utf8) }
            withUnsafePointer(to: address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    #expect(bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0)
                }
            }
            endpoint = .unix(path: "\(folder.path)/full", hybridPort: nil)
        }
        #expect(listen(listener, 0) == 0)
        var waiting: [Connection] = []
        let start = now()
        let error = #expect(throws: TransportError.self) {
            for _ in 0..<4 { waiting.append(try Connection.connect(to: endpoint, timeoutMilliseconds: 100)) }
        }
        #expect(error?.cause == .timedOut(milliseconds: 100))
        #expect(now() - start >= 100)
    }

    @Test
    func `who is at the other end is told`() throws {
        let tcp = try pair(.tcp)
        #expect(tcp.client.peer.description == tcp.server.endpoint.description)
        guard case .tcp("127.0.0.1", _) = tcp.server.peer else {
            Issue.record("\(tcp.server.peer)")
            return
        }
        let unix = try pair(.unix)
        #expect(unix.server.peer == .unix(pid: getpid(), uid: getuid()))
    }

    @Test
    func `a listener for both address families shows IPv4 peers as such`() throws {
        let listener = try Listener(.tcp(address: "::", port: 0))
        guard case .tcp(_, let port) = listener.localEndpoint else { return }
        let client = try Connection.connect(to: .tcp(address: "127.0.0.1", port: port), timeoutMilliseconds: patience)
        let server = try #require(try listener.accept(timeoutMilliseconds: patience))
        guard case .tcp("127.0.0.1", _) = server.peer else {
            Issue.record("\(server.peer)")
            return
        }
        client.close()
    }

    @Test
    func `names are resolved by who is given, address after address`() throws {
        let listener = try Listener(.tcp(address: "127.0.0.1", port: 0))
        guard case .tcp(_, let port) = listener.localEndpoint else { return }
        let place = Endpoint.tcp(address: "web1", port: port)
        // Nothing listens on the first.
        let connection = try Connection.connect(to: place, timeoutMilliseconds: patience) { name in
            #expect(name == "web1")
            return .addresses(["127.0.0.2", "127.0.0.1"])
        }
        #expect(connection.endpoint == place)
        #expect(connection.peer == .tcp(address: "127.0.0.1", port: port))

        let unresolved = #expect(throws: TransportError.self) {
            try Connection.connect(to: place, timeoutMilliseconds: patience)
        }
        #expect(unresolved?.description.contains("no resolver") == true)
        let unknown = #expect(throws: TransportError.self) {
            try Connection.connect(to: place, timeoutMilliseconds: patience) { _ in .failed("no such host") }
        }
        #expect(unknown?.cause == .unresolved("no such host"))
    }

    @Test
    func `an inherited descriptor that is no connected stream is refused`() throws {
        var pipe: [Int32] = [0, 0]
        try #require(Glibc.pipe(&pipe) == 0)
        let datagram = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        let unconnected = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { for descriptor in pipe + [datagram] { close(descriptor) } }
        for (number, code) in [(pipe[0], ENOTSOCK), (datagram, EPROTOTYPE), (unconnected, ENOTCONN), (9999, EBADF)] {
            let error = #expect(throws: TransportError.self) {
                try Connection.connect(to: .descriptor(number), timeoutMilliseconds: patience)
            }
            #expect(error?.cause == .system(code))
        }
    }
}
