import Foundation
import Glibc
import Threading
package import TraceModel
import Transport

/// Where `tandem top` finds a running session: a Unix socket that sends the latest snapshot, as one line of JSON, for every
/// line it receives.
///
/// The line is the same object that `--format json` prints, so any program can follow a session
/// (`echo | nc -U /run/tandem/PID.sock`). The directory is readable by its owner only.
package enum ControlSocket {
    /// `/run/tandem` for root, else under `$XDG_RUNTIME_DIR`, else under `/tmp` by user.
    package static func directory(environment: [String: String] = ProcessInfo.processInfo.environment) -> String {
        if getuid() == 0 { return "/run/tandem" }
        if let runtime = environment["XDG_RUNTIME_DIR"], !runtime.isEmpty { return "\(runtime)/tandem" }
        return "/tmp/tandem-\(getuid())"
    }

    /// In a directory that all may write to, somebody else may have made it first, to answer in our place or to listen.
    static func refuseForeign(_ directory: String) throws(SessionError) {
        var facts = stat()
        guard lstat(directory, &facts) == 0, facts.st_mode & S_IFMT == S_IFDIR else {
            throw SessionError("'\(directory)' for the control socket is no directory: remove it")
        }
        guard facts.st_uid == geteuid(), facts.st_mode & 0o022 == 0 else {
            throw SessionError(
                "'\(directory)' for the control socket belongs to somebody else, or others may write to it: remove it")
        }
    }

    /// Removes the sockets that killed sessions left.
    static func removeAbandoned() {
        for path in candidates() {
            let name = path.split(separator: "/").last ?? ""
            // Its program is gone; a process that took the number since then has its own file made anew.
            guard let pid = Int32(name.dropLast(".sock".count)), kill(pid, 0) != 0, errno == ESRCH else { continue }
            unlink(path)
        }
    }

    /// Sockets of this user's sessions, newest first. Dead ones are among them; connecting tells.
    package static func candidates() -> [String] {
        let directory = directory()
        guard (try? refuseForeign(directory)) != nil else { return [] }
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        func date(_ path: String) -> Date {
            (try? FileManager.default.attributesOfItem(atPath: path)[.modificationDate] as? Date) ?? .distantPast
        }
        return names.filter { $0.hasSuffix(".sock") }.map { "\(directory)/\($0)" }.sorted { date($0) > date($1) }
    }
}

/// Serves snapshots of one session.
package final class ControlServer: Sendable {
    package let path: String
    private let listener: Listener
    private let snapshot: @Sendable () -> Snapshot
    private static let maximumClients = 16
    private static let requestBytes = 4096

    /// `snapshot` is called for every request, from several threads.
    package init(snapshot: @escaping @Sendable () -> Snapshot) throws {
        let directory = ControlSocket.directory()
        do {
            try FileManager.default.createDirectory(
                atPath: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch {
            throw SessionError("creating '\(directory)' for the control socket failed: \(error.localizedDescription)")
        }
        try ControlSocket.refuseForeign(directory)
        ControlSocket.removeAbandoned()
        path = "\(directory)/\(getpid()).sock"
        listener = try Listener(.unix(path: path, hybridPort: nil))
        self.snapshot = snapshot
        Thread.start("control") { [self] in accept() }
    }

    package func close() { listener.close() }

    private func accept() {
        let clients = BoundedQueue<Int>(maximumWeight: Self.maximumClients)
        while true {
            let accepted: Connection?
            do throws(TransportError) {
                accepted = try listener.accept(timeoutMilliseconds: nil)
            } catch {
                // Out of descriptors or memory, usually for a moment.
                MonotonicClock.sleep(nanoseconds: 100_000_000)
                continue
            }
            // Closed on this side.
            guard let connection = accepted else { return }
            // A client holds one place in the queue for as long as it is served.
            guard clients.hasRoom(for: 1) else {
                connection.close()
                continue
            }
            clients.put(1, weight: 1)
            Thread.start("control client") { [self] in
                serve(connection)
                _ = clients.pop(timeoutNanoseconds: 0)
            }
        }
    }

    private func serve(_ connection: Connection) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        var buffer = [UInt8](repeating: 0, count: Self.requestBytes)
        while true {
            let count = try? buffer.withUnsafeMutableBytes { (bytes) throws(TransportError) in
                try connection.read(into: bytes, timeoutMilliseconds: nil)
            }
            guard let count, count > 0 else { return }
            for _ in buffer[..<count].filter({ $0 == 0x0a }) {
                guard let json = try? encoder.encode(snapshot()) else { return }
                guard (try? connection.write(Array(json) + [0x0a], timeoutMilliseconds: 5_000)) != nil else { return }
            }
        }
    }
}

/// Follows a session through its control socket.
package final class ControlClient {
    private let connection: Connection
    private var pending: [UInt8] = []
    package let path: String

    package init(path: String) throws {
        self.path = path
        connection = try Connection.connect(to: .unix(path: path, hybridPort: nil), timeoutMilliseconds: 1_000)
    }

    /// The session's latest snapshot; nil when the session has ended.
    package func next() throws -> Snapshot? {
        guard (try? connection.write([0x0a], timeoutMilliseconds: 5_000)) != nil else { return nil }
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            if let end = pending.firstIndex(of: 0x0a) {
                let line = Data(pending[..<end])
                pending.removeSubrange(...end)
                return try JSONDecoder().decode(Snapshot.self, from: line)
            }
            let count: Int
            do throws(TransportError) {
                count = try buffer.withUnsafeMutableBytes { bytes in
                    Result { () throws(TransportError) in
                        try connection.read(into: bytes, timeoutMilliseconds: 5_000)
                    }
                }.get()
            } catch {
                // A session that ends while we wait for its answer resets the connection.
                guard error.isTimeout else { return nil }
                throw error
            }
            guard count > 0 else { return nil }
            pending.append(contentsOf: buffer[..<count])
            guard pending.count < 64 << 20 else { throw SessionError("the control socket sends no end of line") }
        }
    }
}
