package import TraceModel

/// What a guest's agent, and the way to it, tell about which virtual machine it is in.
package struct GuestEvidence: Hashable, Sendable {
    package var cid: UInt32?
    /// `product_uuid`, in any case.
    package var uuid: String?
    package var macAddresses: [String]
    /// What the user calls it, or its host name.
    package var name: String
    /// The Unix socket (hybrid vsock) through which it was reached.
    package var endpointIsUnixPath: String?

    package init(
        cid: UInt32? = nil, uuid: String? = nil, macAddresses: [String] = [], name: String = "",
        endpointIsUnixPath: String? = nil
    ) {
        self.cid = cid
        self.uuid = uuid
        self.macAddresses = macAddresses
        self.name = name
        self.endpointIsUnixPath = endpointIsUnixPath
    }
}

package enum GuestMatch: Hashable, Sendable {
    /// The raw value is the word to show.
    package enum Evidence: String, Hashable, Sendable, CaseIterable {
        case unixPath = "Unix socket"
        case cid = "vsock CID"
        case uuid = "SMBIOS UUID"
        case mac = "MAC address"
        case name
    }

    case found(vmmPID: Int32, by: Evidence)
    /// Several machines fit equally well; says which, and by what.
    case ambiguous(String)
    case unknown
}

/// The machine that a guest is in, by the best evidence that singles out one.
///
/// In the order CID, UUID, MAC address, name, as they are ever easier to have twice. Where several machines share one,
/// the next decides among those. A guest reached through a Unix socket belongs to the process that has this socket; there
/// a CID tells nothing, because CIDs of hybrid vsock are private to one VMM process and are mostly 3.
package func match(_ guest: GuestEvidence, among machines: [VMFacts]) -> GuestMatch {
    let order: [GuestMatch.Evidence] =
        guest.endpointIsUnixPath == nil ? [.cid, .uuid, .mac, .name] : [.unixPath, .uuid, .mac, .name]
    var candidates = machines
    var doubt: String?
    for evidence in order {
        let fitting = candidates.filter { fits(guest, $0, by: evidence) }
        if fitting.count == 1 { return .found(vmmPID: fitting[0].vmmPID, by: evidence) }
        guard fitting.count > 1 else { continue }
        candidates = fitting
        let pids = fitting.map { String($0.vmmPID) }.joined(separator: ", ")
        doubt = doubt ?? "\(fitting.count) virtual machines have this guest's \(evidence.rawValue): processes \(pids)"
    }
    return doubt.map { .ambiguous($0) } ?? .unknown
}

private func fits(_ guest: GuestEvidence, _ machine: VMFacts, by evidence: GuestMatch.Evidence) -> Bool {
    switch evidence {
    case .unixPath: return guest.endpointIsUnixPath.map { machine.vsockPaths.contains($0) } ?? false
    case .cid: return guest.cid != nil && guest.cid == machine.cid
    case .uuid: return guest.uuid != nil && guest.uuid?.lowercased() == machine.uuid
    case .mac: return guest.macAddresses.contains { machine.macAddresses.contains($0.lowercased()) }
    case .name:
        // The weakest: it does not stand against what is known to differ.
        let contradicts =
            guest.endpointIsUnixPath == nil && guest.cid != nil && machine.cid != nil && guest.cid != machine.cid
        return !guest.name.isEmpty && guest.name == machine.name && !contradicts
    }
}
