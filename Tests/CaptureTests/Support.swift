import Capture
import Glibc
import Testing
import TraceModel

/// A generator that can be repeated (splitmix64).
struct Seeded: RandomNumberGenerator {
    let seed: UInt64
    private var state: UInt64

    init(seed: UInt64) {
        self.seed = seed
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

/// A tree of plain files in a temporary folder, gone after the test.
final class FakeTree {
    let path: String
    private var made: [String] = []

    init(_ files: [String: String] = [:]) throws {
        var template = Array("/tmp/tandem-test-XXXXXX".utf8CString)
        path = String(cString: try #require(mkdtemp(&template)))
        for (name, text) in files.sorted(by: { $0.key < $1.key }) { try add(name, text) }
    }

    /// A file, with the folders above it; a name that ends in a slash is a folder.
    func add(_ name: String, _ text: String = "") throws {
        let parts = name.split(separator: "/", omittingEmptySubsequences: false)
        var current = path
        for part in parts.dropLast() {
            current += "/\(part)"
            if mkdir(current, 0o755) == 0 { made.append(current) }
        }
        guard let last = parts.last, !last.isEmpty else { return }
        current += "/\(last)"
        let descriptor = open(current, O_CREAT | O_TRUNC | O_WRONLY, 0o644)
        try #require(descriptor >= 0)
        made.append(current)
        let bytes = Array(text.utf8)
        try #require(write(descriptor, bytes, bytes.count) == bytes.count)
        close(descriptor)
    }

    subscript(_ name: String) -> String { text(ofFile: "\(path)/\(name)") ?? "" }

    deinit {
        for name in made.reversed() { Glibc.remove(name) }
        rmdir(path)
    }
}

func text(ofFile path: String) -> String? {
    let descriptor = open(path, O_RDONLY)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: 1 << 16)
    let count = read(descriptor, &bytes, bytes.count)
    return count < 0 ? nil : String(decoding: bytes[..<count], as: UTF8.self)
}

/// The kernel's number of this thread, as `prev_pid` has it: proc_thread-self(5) leads to PID/task/TID.
func currentThread() -> Int32 {
    var bytes = [CChar](repeating: 0, count: 64)
    let count = readlink("/proc/thread-self", &bytes, bytes.count)
    let path = String(decoding: bytes.prefix(max(0, count)).map(UInt8.init(bitPattern:)), as: UTF8.self)
    return path.split(separator: "/").last.flatMap { Int32($0) } ?? -1
}

func isThere(_ path: String) -> Bool { access(path, F_OK) == 0 }

/// The real tracefs, where it can be used; tests on it are skipped elsewhere and say what is missing.
enum RealTracefs {
    static let found: Result<Tracefs, CaptureError> = Result { () throws(CaptureError) in try Tracefs.find() }

    static var isUsable: Bool {
        guard case .success(let tracefs) = found else { return false }
        return access("\(tracefs.root)/instances", W_OK) == 0
    }

    static let need: Comment = "needs a mounted tracefs and the right to make instances in it (root)"

    static let settings = InstanceSettings(clock: .mono, bufferKibibytesPerCPU: 256, subBufferKibibytes: 4)
}
