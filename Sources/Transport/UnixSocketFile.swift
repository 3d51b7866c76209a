import CLinux
import Glibc

/// The file that a listening Unix socket leaves in the file system: made for this user only, replaced when stale,
/// removed when it is still ours.
///
/// A program that was killed leaves its file, and bind(2) then fails with EADDRINUSE for ever; so the file is replaced
/// when connecting to it is refused, which means that nobody listens. Anything that is no socket is left alone.
struct UnixSocketFile: Sendable {
    let path: String
    private let device: UInt
    private let inode: UInt

    /// Binds `descriptor` to `path`.
    init(binding descriptor: Int32, to path: String, _ address: SocketAddress) throws(Errno) {
        self.path = path
        // On Linux the mode of the unbound socket is the one that bind gives to the file (net/unix/af_unix.c,
        // unix_bind_bsd): there is no moment in which others could connect, and umask, which is all threads', stays.
        if fchmod(descriptor, 0o600) != 0 { throw Errno.last }
        do throws(Errno) {
            try address.call { bind(descriptor, $0, $1) }
        } catch {
            guard error.code == EADDRINUSE, let stale = UnixSocketFile.status(path), isSocket(stale) else {
                throw error
            }
            guard try UnixSocketFile.isAbandoned(address) else { throw error }
            // Somebody else may have replaced it meanwhile.
            guard let now = UnixSocketFile.status(path), now.st_ino == stale.st_ino, now.st_dev == stale.st_dev else {
                throw error
            }
            if unlink(path) != 0, errno != ENOENT { throw Errno.last }
            try address.call { bind(descriptor, $0, $1) }
        }
        guard let made = UnixSocketFile.status(path) else { throw Errno.last }
        device = UInt(made.st_dev)
        inode = UInt(made.st_ino)
    }

    /// Removes the file unless another program has put its own there.
    func remove() {
        guard let found = UnixSocketFile.status(path), UInt(found.st_dev) == device, UInt(found.st_ino) == inode else {
            return
        }
        unlink(path)
    }

    private static func status(_ path: String) -> stat? {
        var result = stat()
        return lstat(path, &result) == 0 ? result : nil
    }

    /// A full queue (EAGAIN) is somebody's; only a refusal is nobody's.
    private static func isAbandoned(_ address: SocketAddress) throws(Errno) -> Bool {
        let probe = clinux_stream_socket(AF_UNIX)
        if probe < 0 { throw Errno.last }
        defer { close(probe) }
        do throws(Errno) {
            try address.call { connect(probe, $0, $1) }
            return false
        } catch {
            return error.code == ECONNREFUSED
        }
    }
}

private func isSocket(_ status: stat) -> Bool { status.st_mode & S_IFMT == S_IFSOCK }
