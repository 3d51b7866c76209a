import Glibc
import Synchronization
import Testing
import Transport

/// A thread of its own, for the other end of a blocking call.
final class Background<Value: Sendable>: Sendable {
    private let result = Mutex<Result<Value, any Error>?>(nil)
    private let thread: Mutex<pthread_t?> = Mutex(nil)

    init(_ body: @escaping @Sendable () throws -> Value) {
        let work = Unmanaged.passRetained(
            Work { [result = Box(self)] in
                let value = Result { try body() }
                result.owner.result.withLock { $0 = value }
            })
        var created = pthread_t()
        pthread_create(
            &created, nil,
            { argument in
                if let argument { Unmanaged<Work>.fromOpaque(argument).takeRetainedValue().body() }
                return nil
            }, work.toOpaque())
        thread.withLock { $0 = created }
    }

    /// Waits for its end.
    func value() throws -> Value {
        if let running = thread.withLock({ $0.take() }) { pthread_join(running, nil) }
        return try #require(result.withLock { $0 }).get()
    }

    private final class Box: Sendable {
        let owner: Background
        init(_ owner: Background) { self.owner = owner }
    }
}

private final class Work: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
}

/// A folder that is gone after the test.
final class TemporaryFolder {
    let path: String

    init() throws {
        var template = Array("/tmp/tandem-test-XXXXXX".utf8CString)
        let made = try #require(mkdtemp(&template))
        path = String(cString: made)
    }

    deinit {
        if let folder = opendir(path) {
            while let entry = readdir(folder) {
                let name = withUnsafeBytes(of: entry.pointee.d_name) {
                    String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
                }
                unlink("\(path)/\(name)")
            }
            closedir(folder)
        }
        rmdir(path)
    }
}

func sleep(milliseconds: UInt32) { usleep(milliseconds * 1000) }

/// Milliseconds on the monotonic clock.
func now() -> Int {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return time.tv_sec * 1000 + time.tv_nsec / 1_000_000
}

/// Long enough never to be reached, short enough not to hang a test run.
let patience = 20_000

/// The kinds of stream that can be opened on one machine.
enum Kind: CaseIterable, Sendable {
    case tcp
    case tcpIPv6
    case unix
    case inherited
}

/// Both ends of a connection of `kind`, through the doors.
func pair(_ kind: Kind) throws -> (client: Connection, server: Connection) {
    let folder = try TemporaryFolder()
    let endpoint: Endpoint
    switch kind {
    case .tcp: endpoint = .tcp(address: "127.0.0.1", port: 0)
    case .tcpIPv6: endpoint = .tcp(address: "::1", port: 0)
    case .unix: endpoint = .unix(path: "\(folder.path)/socket", hybridPort: nil)
    case .inherited:
        var ends: [Int32] = [0, 0]
        try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
        return (try Connection(inherited: ends[0]), try Connection(inherited: ends[1]))
    }
    let listener = try Listener(endpoint)
    let client = try Connection.connect(to: listener.localEndpoint, timeoutMilliseconds: patience)
    let server = try #require(try listener.accept(timeoutMilliseconds: patience))
    return (client, server)
}
