import CLinux
import Glibc

/// The few socket options that are used, by what they are for.
enum SocketOptions {
    /// A frame goes out when it is written; with Nagle's algorithm a clock probe would wait for an acknowledgement.
    static func sendAtOnce(_ descriptor: Int32) { set(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, 1) }

    /// A restarted listener need not wait until the connections of its forerunner have left TIME_WAIT.
    static func reuseAddress(_ descriptor: Int32) { set(descriptor, SOL_SOCKET, SO_REUSEADDR, 1) }

    /// An inherited socket is one, is a stream, does what it is expected to, and goes to no child of this process.
    static func checkInherited(_ descriptor: Int32, isListening: Bool) throws(Errno) {
        guard try get(descriptor, SOL_SOCKET, SO_TYPE) == Int32(SOCK_STREAM.rawValue) else {
            throw Errno(code: EPROTOTYPE)
        }
        guard (try get(descriptor, SOL_SOCKET, SO_ACCEPTCONN) != 0) == isListening else {
            throw Errno(code: isListening ? EINVAL : ENOTCONN)
        }
        if fcntl(descriptor, F_SETFD, FD_CLOEXEC) != 0 { throw Errno.last }
    }

    /// How a connection attempt ended: SO_ERROR.
    static func pendingError(_ descriptor: Int32) throws(Errno) -> Int32 { try get(descriptor, SOL_SOCKET, SO_ERROR) }

    static func localEndpoint(of descriptor: Int32) -> Endpoint? {
        let address = try? SocketAddress { getsockname(descriptor, $0, $1) }
        return address?.endpoint
    }

    static func peer(of descriptor: Int32) throws(Errno) -> Peer {
        let address = try SocketAddress { getpeername(descriptor, $0, $1) }
        switch address.endpoint {
        case .vsock(let cid?, let port): return .vsock(cid: cid, port: port)
        case .tcp(let address, let port): return .tcp(address: address, port: port)
        case .unix:
            var process: Int32 = 0
            var user: UInt32 = 0
            if clinux_peer_process(descriptor, &process, &user) != 0 { throw Errno.last }
            return .unix(pid: process, uid: user)
        case .vsock(nil, _), .descriptor, nil: return .unknown
        }
    }

    /// For options that only tune: a kernel without one works all the same.
    private static func set(_ descriptor: Int32, _ level: Int32, _ name: Int32, _ value: Int32) {
        withUnsafePointer(to: value) {
            _ = setsockopt(descriptor, level, name, $0, socklen_t(MemoryLayout<Int32>.size))
        }
    }

    private static func get(_ descriptor: Int32, _ level: Int32, _ name: Int32) throws(Errno) -> Int32 {
        var value: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        if getsockopt(descriptor, level, name, &value, &length) != 0 { throw Errno.last }
        return value
    }
}
