import Inventory
import Testing
import TraceModel

struct GuestMatchTests {
    private static let uuid = "c7a5fdbd-edaf-9455-926a-d65c16db1809"
    private let machines = [
        VMFacts(vmmPID: 10, vmm: "qemu", name: "web1", cid: 3, uuid: uuid, macAddresses: ["52:54:00:00:00:01"]),
        VMFacts(vmmPID: 20, vmm: "qemu", name: "web2", cid: 4, macAddresses: ["52:54:00:00:00:02"]),
        VMFacts(vmmPID: 30, vmm: "firecracker", name: "vm-30", cid: 3, vsockPaths: ["/run/30.sock"]),
        VMFacts(vmmPID: 40, vmm: "firecracker", name: "vm-40", cid: 3, vsockPaths: ["/run/40.sock"]),
        VMFacts(vmmPID: 50, vmm: "qemu", name: "web1", cid: 9),
    ]

    private func check(_ guest: GuestEvidence, is expected: GuestMatch, at location: SourceLocation = #_sourceLocation)
    {
        #expect(match(guest, among: machines) == expected, sourceLocation: location)
        // The order in which machines are found decides nothing.
        guard case .found = expected else { return }
        #expect(match(guest, among: machines.reversed()) == expected, sourceLocation: location)
    }

    @Test
    func `each kind of evidence finds its machine`() {
        check(GuestEvidence(cid: 4), is: .found(vmmPID: 20, by: .cid))
        check(GuestEvidence(uuid: Self.uuid.uppercased()), is: .found(vmmPID: 10, by: .uuid))
        check(
            GuestEvidence(macAddresses: ["02:42:00:00:00:01", "52:54:00:00:00:02"]), is: .found(vmmPID: 20, by: .mac))
        check(GuestEvidence(endpointIsUnixPath: "/run/40.sock"), is: .found(vmmPID: 40, by: .unixPath))
        check(GuestEvidence(name: "web2"), is: .found(vmmPID: 20, by: .name))
        check(GuestEvidence(name: "nowhere"), is: .unknown)
        check(GuestEvidence(), is: .unknown)
    }

    @Test
    func `better evidence wins, and weaker evidence decides among equals`() {
        check(GuestEvidence(cid: 4, uuid: Self.uuid, name: "web1"), is: .found(vmmPID: 20, by: .cid))
        check(GuestEvidence(cid: 3, uuid: Self.uuid), is: .found(vmmPID: 10, by: .uuid))
        check(GuestEvidence(cid: 3, name: "vm-40"), is: .found(vmmPID: 40, by: .name))
    }

    @Test
    func `a CID says nothing of a guest behind a Unix socket`() {
        check(GuestEvidence(cid: 4, endpointIsUnixPath: "/run/30.sock"), is: .found(vmmPID: 30, by: .unixPath))
        check(GuestEvidence(cid: 4, endpointIsUnixPath: "/run/unknown.sock"), is: .unknown)
    }

    @Test
    func `equal machines are not guessed between, and the reason names them`() {
        check(
            GuestEvidence(cid: 3),
            is: .ambiguous("3 virtual machines have this guest's vsock CID: processes 10, 30, 40"))
        check(
            GuestEvidence(name: "web1"), is: .ambiguous("2 virtual machines have this guest's name: processes 10, 50"))
    }

    @Test
    func `a name does not stand against a CID that differs`() {
        check(GuestEvidence(cid: 77, name: "web2"), is: .unknown)
        check(GuestEvidence(cid: 77, name: "nobody"), is: .unknown)
    }
}
