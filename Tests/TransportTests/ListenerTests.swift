import Glibc
import Testing
import Transport

struct ListenerTests {
    private func mode(_ path: String) -> mode_t? {
        var status = stat()
        return lstat(path, &status) == 0 ? status.st_mode & 0o777 : nil
    }

    /// Connecting works, which is what a listener is for.
    private func check(_ listener: Listener) throws {
        let client = try Connection.connect(to: listener.localEndpoint, timeoutMilliseconds: patience)
        let server = try #require(try listener.accept(timeoutMilliseconds: patience))
        try client.write([42], timeoutMilliseconds: patience)
        #expect(try server.read(upTo: 1, timeoutMilliseconds: patience) == [42])
    }

    /// Closing ends a call that waits to accept.
    private func checkClosing(_ listener: Listener) throws {
        let start = now()
        let accepting = Background { try listener.accept(timeoutMilliseconds: patience) == nil }
        sleep(milliseconds: 20)
        listener.close()
        #expect(try accepting.value())
        #expect(now() - start < patience, "it was woken, and time was not up")
    }

    @Test
    func `any free TCP port is told, and can be listened on again at once`() throws {
        let listener = try Listener(.tcp(address: "127.0.0.1", port: 0))
        let endpoint = listener.localEndpoint
        guard case .tcp("127.0.0.1", let port) = endpoint else {
            Issue.record("\(endpoint)")
            return
        }
        #expect(port != 0)
        try check(listener)
        let error = #expect(throws: TransportError.self) { try Listener(endpoint) }
        #expect(error?.cause == .system(EADDRINUSE))
        listener.close()
        try check(try Listener(endpoint))
    }

    @Test
    func `accepting waits no longer than it is told`() throws {
        let listener = try Listener(.tcp(address: "127.0.0.1", port: 0))
        let start = now()
        #expect(try listener.accept(timeoutMilliseconds: 30) == nil)
        #expect(now() - start >= 30)
        try check(listener)
    }

    @Test
    func `closing wakes a thread that accepts, on every kind of socket`() throws {
        let folder = try TemporaryFolder()
        for endpoint: Endpoint in [
            .tcp(address: "127.0.0.1", port: 0), .unix(path: "\(folder.path)/socket", hybridPort: nil),
        ] {
            let listener = try Listener(endpoint)
            try checkClosing(listener)
            listener.close()
            #expect(try listener.accept(timeoutMilliseconds: nil) == nil)
        }
    }

    @Test
    func `a Unix socket is this user's alone, and its file goes with it`() throws {
        let folder = try TemporaryFolder()
        let path = "\(folder.path)/socket"
        let listener = try Listener(.unix(path: path, hybridPort: nil))
        #expect(mode(path) == 0o600)
        try check(listener)
        listener.close()
        #expect(mode(path) == nil)
    }

    @Test
    func `a stale socket file is replaced`() throws {
        let folder = try TemporaryFolder()
        let path = "\(folder.path)/socket"
        try leaveSocketFile(at: path)
        try #require(mode(path) != nil)
        try check(try Listener(.unix(path: path, hybridPort: nil)))
    }

    @Test
    func `a socket file whose program still listens is left alone`() throws {
        let folder = try TemporaryFolder()
        let path = "\(folder.path)/socket"
        let first = try Listener(.unix(path: path, hybridPort: nil))
        let error = #expect(throws: TransportError.self) { try Listener(.unix(path: path, hybridPort: nil)) }
        #expect(error?.cause == .system(EADDRINUSE))
        // The probe of the second is still in the first one's queue.
        #expect(try first.accept(timeoutMilliseconds: patience) != nil)
        try check(first)
    }

    @Test
    func `a file that is no socket is left alone`() throws {
        let folder = try TemporaryFolder()
        let path = "\(folder.path)/notes"
        close(open(path, O_CREAT | O_WRONLY, 0o644))
        let error = #expect(throws: TransportError.self) { try Listener(.unix(path: path, hybridPort: nil)) }
        #expect(error?.cause == .system(EADDRINUSE))
        #expect(mode(path) == 0o644)
    }

    @Test
    func `a socket file that another program put in place of ours stays`() throws {
        let folder = try TemporaryFolder()
        let path = "\(folder.path)/socket"
        let listener = try Listener(.unix(path: path, hybridPort: nil))
        // Kept open beside, so that the new file cannot get the old one's inode number.
        rename(path, "\(path).old")
        try leaveSocketFile(at: path)
        listener.close()
        #expect(mode(path) != nil)
    }

    @Test
    func `a listening socket that the service manager opened is taken over`() throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        withUnsafePointer(to: address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                #expect(bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0)
            }
        }
        let early = #expect(throws: TransportError.self) { try Listener(.descriptor(descriptor)) }
        #expect(early?.cause == .system(EINVAL), "it does not listen yet")
        #expect(listen(descriptor, 1) == 0)
        let listener = try Listener(.descriptor(descriptor))
        #expect(fcntl(descriptor, F_GETFD) & FD_CLOEXEC != 0)
        guard case .tcp("127.0.0.1", _) = listener.localEndpoint else {
            Issue.record("\(listener.localEndpoint)")
            return
        }
        try check(listener)
    }

    @Test
    func `vsock can be listened on where the kernel has it`() throws {
        let listener: Listener
        do throws(TransportError) {
            listener = try Listener(.vsock(cid: nil, port: 0))
        } catch {
            // A kernel without vsock: then at least it is said.
            #expect([.system(EAFNOSUPPORT), .system(ENODEV)].contains(error.cause), "\(error)")
            #expect(error.advice != nil)
            return
        }
        guard case .vsock(_, let port) = listener.localEndpoint else {
            Issue.record("\(listener.localEndpoint)")
            return
        }
        #expect(port != 0 && port != .max)
        #expect(try listener.accept(timeoutMilliseconds: 1) == nil)
        try checkClosing(listener)
    }

    @Test
    func `where nobody can listen is said before anything is opened`() {
        let error = #expect(throws: TransportError.self) { try Listener(.tcp(address: "web1", port: 1)) }
        #expect(error?.description.contains("listen on a numeric address") == true)
    }

    /// What a killed program leaves: a socket file that nobody listens on.
    private func leaveSocketFile(at path: String) throws {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let result = withUnsafePointer(to: address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(result == 0)
    }
}
