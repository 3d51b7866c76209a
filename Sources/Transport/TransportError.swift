import CLinux
import Glibc

/// A call on a socket that failed: doing what, to what, why, and what to try.
package struct TransportError: Error, Hashable, Sendable {
    package enum Operation: String, Hashable, Sendable {
        case connect = "connect to"
        case listen = "listen on"
        case accept = "accept a connection on"
        case read = "read from"
        case write = "write to"
    }

    package enum Cause: Hashable, Sendable {
        /// The kernel refused, with this `errno`.
        case system(Int32)
        /// Nothing moved for as long as the caller would wait.
        case timedOut(milliseconds: Int)
        /// This side shut the connection down or closed it.
        case shutDown
        /// The endpoint cannot be used like this; the text says why.
        case unusable(String)
        /// The host's name could not be turned into an address; the text says why.
        case unresolved(String)
        /// The VMM whose Unix socket leads to the guest did not answer `OK`; nil when it closed the connection.
        case greeting(reply: String?)
    }

    package var operation: Operation
    package var endpoint: Endpoint
    package var cause: Cause

    package init(_ operation: Operation, _ endpoint: Endpoint, _ cause: Cause) {
        self.operation = operation
        self.endpoint = endpoint
        self.cause = cause
    }

    package var isTimeout: Bool {
        if case .timedOut = cause { true } else { false }
    }

    /// What the person at the keyboard can do about it; nil when the cause says it all.
    package var advice: String? {
        switch cause {
        case .system(let code): TransportError.advice(for: operation, at: endpoint, errno: code)
        case .timedOut: operation == .connect ? "is the guest up, and tandem-agent running in it?" : nil
        case .greeting(nil): "does tandem-agent listen on that port in the guest?"
        case .greeting: "is it the vsock socket of a VMM (Firecracker, Cloud Hypervisor)?"
        case .shutDown, .unusable, .unresolved: nil
        }
    }

    /// The table of advice, pure. Facts: connect(2), bind(2), vsock(7), unix(7); for vsock net/vmw_vsock/af_vsock.c and
    /// drivers/vhost/vsock.c, which answer ENODEV for a CID that nobody has and ECONNRESET for a port without listener.
    package static func advice(for operation: Operation, at endpoint: Endpoint, errno code: Int32) -> String? {
        switch (endpoint, code) {
        case (.vsock, ENODEV):
            operation == .connect
                ? "no vsock transport, or no guest with this CID: is the guest up, and vhost_vsock loaded on the host?"
                : "no vsock transport: load vmw_vsock_virtio_transport in a guest, vhost_vsock on a host"
        case (.vsock, EAFNOSUPPORT):
            "this kernel or service has no vsock: load vsock, or allow AF_VSOCK in RestrictAddressFamilies="
        case (.vsock, EADDRNOTAVAIL): "that CID is not this machine's; write vsock::PORT to listen on any"
        case (.vsock, ECONNRESET) where operation == .connect, (.vsock, ECONNREFUSED):
            "the guest is up and nothing listens on that port: start tandem-agent in it"
        case (.vsock, EACCES) where operation == .listen, (.tcp, EACCES) where operation == .listen:
            "ports up to 1023 need CAP_NET_BIND_SERVICE; the default is \(Endpoint.defaultPort)"
        case (_, ETIMEDOUT) where operation == .connect: "is the guest up, and its CID or address right?"
        case (_, EADDRINUSE): "another program, perhaps another Tandem, listens there already"
        case (.tcp, EADDRNOTAVAIL): "that address is not this machine's"
        case (.tcp, EAFNOSUPPORT):
            "this kernel or service allows no such address family: IPv6 off, or RestrictAddressFamilies="
        case (.tcp, ECONNREFUSED): "the machine is up and nothing listens on that port: is tandem-agent running there?"
        case (.tcp, EHOSTUNREACH), (.tcp, ENETUNREACH): "no route to that address: is the guest's network up?"
        case (.tcp, EPERM), (.tcp, EACCES): "a firewall or the service's IPAddressDeny= forbids it"
        case (.unix, ENOENT): operation == .listen ? "make its directory first" : "no such socket: is the VMM running?"
        case (.unix, ECONNREFUSED): "the socket was left behind by a program that has ended"
        case (.unix, EACCES), (.unix, EPERM): "the file or a directory above it may not be used by this user"
        case (.unix, EROFS): "its directory is on a read-only file system; /run is not"
        case (.unix, ENOTSOCK), (.unix, EPROTOTYPE): "there is something else than a stream socket at that path"
        case (.descriptor, EBADF), (.descriptor, ENOTSOCK):
            "the parent process handed over no socket under that number; with systemd, see LISTEN_FDS"
        case (_, EMFILE), (_, ENFILE): "too many open files: raise LimitNOFILE= or ulimit -n"
        case (_, ECONNRESET), (_, EPIPE): "the other side went away in the middle"
        default: nil
        }
    }
}

extension TransportError: CustomStringConvertible {
    package var description: String {
        let what = "cannot \(operation.rawValue) \(endpoint): \(reason)"
        return advice.map { "\(what); \($0)" } ?? what
    }

    private var reason: String {
        switch cause {
        case .system(let code): Errno(code: code).description
        case .timedOut(let milliseconds): "nothing happened for \(milliseconds) ms"
        case .shutDown: "it was closed on this side"
        case .unusable(let text), .unresolved(let text): text
        case .greeting(nil): "the VMM closed the connection instead of passing it on to the guest"
        case .greeting(let reply?): "the answer to CONNECT was '\(reply)' and not 'OK PORT'"
        }
    }
}

/// A failed system call's number, before it is known what it was for.
struct Errno: Error, CustomStringConvertible {
    var code: Int32

    /// That of the call that failed just now in this thread.
    static var last: Errno { Errno(code: errno) }

    var description: String {
        guard let name = clinux_errno_name(code), let text = clinux_errno_text(code) else { return "error \(code)" }
        return "\(String(cString: text)) (\(String(cString: name)))"
    }
}
