import Glibc
import Testing
import Transport

/// The pure rules beside the grammar: who may connect, what to advise, which descriptors were handed over.
struct RulesTests {
    @Test
    func `on vsock only the host may ask for a trace`() {
        #expect(Peer.vsock(cid: 2, port: 1).refusal() == nil)
        for cid: UInt32 in [0, 1, 3, .max] {
            #expect(Peer.vsock(cid: cid, port: 1).refusal()?.contains("CID \(cid)") == true)
            #expect(Peer.vsock(cid: cid, port: 1).refusal(acceptedCIDs: [2, cid]) == nil)
        }
        for peer in [Peer.tcp(address: "10.0.0.1", port: 5), .unix(pid: 1, uid: 0), .unknown] {
            #expect(peer.refusal() == nil)
        }
    }

    @Test(arguments: [
        (TransportError.Operation.connect, "vsock:3:1", ENODEV, "is the guest up"),
        (.listen, "vsock::1", ENODEV, "vmw_vsock_virtio_transport"),
        (.listen, "vsock::1", EAFNOSUPPORT, "AF_VSOCK"),
        (.connect, "vsock:3:1", ECONNRESET, "start tandem-agent"),
        (.read, "vsock:3:1", ECONNRESET, "went away"),
        (.connect, "vsock:3:1", ETIMEDOUT, "is the guest up"),
        (.listen, "vsock:9:1", EADDRNOTAVAIL, "vsock::PORT"),
        (.listen, "vsock::1", EACCES, "CAP_NET_BIND_SERVICE"),
        (.listen, "tcp:127.0.0.1:1", EACCES, "CAP_NET_BIND_SERVICE"),
        (.listen, "tcp:127.0.0.1:1", EADDRINUSE, "listens there already"),
        (.listen, "tcp:10.9.9.9:1", EADDRNOTAVAIL, "not this machine's"),
        (.connect, "tcp:10.9.9.9:1", ECONNREFUSED, "is tandem-agent running"),
        (.connect, "tcp:10.9.9.9:1", EHOSTUNREACH, "no route"),
        (.connect, "tcp:10.9.9.9:1", EPERM, "firewall"),
        (.connect, "tcp:[::1]:1", EAFNOSUPPORT, "IPv6 off"),
        (.connect, "unix:/a", ENOENT, "is the VMM running"),
        (.listen, "unix:/a/b", ENOENT, "make its directory"),
        (.connect, "unix:/a", ECONNREFUSED, "has ended"),
        (.connect, "unix:/a", EACCES, "may not be used"),
        (.listen, "fd:3", EBADF, "LISTEN_FDS"),
        (.accept, "tcp:127.0.0.1:1", EMFILE, "LimitNOFILE"),
        (.write, "tcp:127.0.0.1:1", EPIPE, "went away"),
    ])
    func `a failure says what to try`(
        operation: TransportError.Operation, address: String, code: Int32, part: String
    ) throws {
        let error = TransportError(operation, try Endpoint(parsing: address), .system(code))
        #expect(error.advice?.contains(part) == true, "\(error)")
        #expect(error.description.hasPrefix("cannot \(operation.rawValue) \(address): "))
    }

    @Test
    func `a failure names the error by its text and its constant`() throws {
        let error = TransportError(.connect, .vsock(cid: 3, port: 1), .system(ECONNRESET))
        #expect(error.description.contains("Connection reset by peer (ECONNRESET)"), "\(error)")
        #expect(TransportError(.read, .descriptor(3), .system(9999)).description.contains("error 9999"))
    }

    private func check(
        _ environment: [String: String], _ expected: [Int32], _ comment: Comment? = nil
    ) throws {
        #expect(try SocketActivation.descriptors(environment: environment, processID: 100) == expected, comment)
    }

    @Test
    func `the service manager's sockets are those meant for this process`() throws {
        try check([:], [])
        try check(["LISTEN_PID": "100", "LISTEN_FDS": "1"], [3])
        try check(["LISTEN_PID": "100", "LISTEN_FDS": "3"], [3, 4, 5])
        try check(["LISTEN_PID": "100", "LISTEN_FDS": "0"], [])
        try check(["LISTEN_PID": "99", "LISTEN_FDS": "1"], [], "inherited by a child")
        try check(["LISTEN_FDS": "1"], [], "not from a service manager")
    }

    @Test(arguments: [("100", "-1"), ("100", "x"), ("100", "65"), ("100", "99999999999"), ("", "1"), ("me", "1")])
    func `a service manager's mistake is told`(process: String, count: String) {
        #expect(throws: EndpointError.self) {
            try SocketActivation.descriptors(
                environment: ["LISTEN_PID": process, "LISTEN_FDS": count], processID: 100)
        }
    }
}
