/// Who is at the other end of a connection, as far as the kernel vouches for it.
///
/// It names a place, never an identity: CIDs are given anew when a machine is gone, and TCP addresses can be anybody's.
/// For messages, and for the agent's rule about who may ask for a trace.
package enum Peer: Hashable, Sendable {
    case vsock(cid: UInt32, port: UInt32)
    case tcp(address: String, port: UInt16)
    /// The process that connected (or that made the listening socket), from SO_PEERCRED: unix(7). The pid is 0 when it
    /// lives in another PID namespace.
    case unix(pid: Int32, uid: UInt32)
    /// A kind of socket that has no such address.
    case unknown

    /// VMADDR_CID_HOST: vsock(7).
    package static let hostCID: UInt32 = 2

    /// Why an agent that serves only its own host turns this peer away; nil when it does not.
    ///
    /// On vsock any process of the guest, and of guests beside it where the VMM forwards between them, can connect; only
    /// the host has CID 2. Unix sockets are guarded by file modes.
    package func refusal(acceptedCIDs: Set<UInt32> = [Peer.hostCID]) -> String? {
        guard case .vsock(let cid, _) = self, !acceptedCIDs.contains(cid) else { return nil }
        return "\(self) is not the host (CID \(Peer.hostCID)), and only the host may ask for a trace"
    }
}

extension Peer: CustomStringConvertible {
    package var description: String {
        switch self {
        case .vsock(let cid, let port): "vsock CID \(cid) port \(port)"
        case .tcp(let address, let port): Endpoint.tcp(address: address, port: port).description
        case .unix(let pid, let uid): "process \(pid) of user \(uid)"
        case .unknown: "unknown peer"
        }
    }
}
