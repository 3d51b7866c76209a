import Foundation
import Glibc
import Threading

/// One of our programs (or another) as a child process, its output in files.
final class Program {
    private let process = Process()
    private let folder: TestFolder
    private let output: String
    private let errors: String

    /// `name` is one of ours, built beside the test bundle, or a path.
    init(_ name: String, _ arguments: [String], in folder: TestFolder) throws {
        self.folder = folder
        let label = "\(name.split(separator: "/").last ?? "")-\(UInt32.random(in: 0 ... .max))"
        output = "\(folder.path)/\(label).out"
        errors = "\(folder.path)/\(label).err"
        for path in [output, errors] { _ = FileManager.default.createFile(atPath: path, contents: nil) }
        process.executableURL = URL(filePath: name.hasPrefix("/") ? name : "\(Program.folder)/\(name)")
        process.arguments = arguments
        process.standardOutput = FileHandle(forWritingAtPath: output)
        process.standardError = FileHandle(forWritingAtPath: errors)
        process.standardInput = FileHandle.nullDevice
        try process.run()
    }

    deinit {
        if process.isRunning { end(SIGKILL) }
    }

    private static let folder: String = {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
        let path = String(decoding: buffer.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return path.split(separator: "/").dropLast().reduce("") { "\($0)/\($1)" }
    }()

    var pid: Int32 { process.processIdentifier }
    var isRunning: Bool { process.isRunning }
    var outputText: String { TracefsState.text(of: output) }
    var errorText: String { TracefsState.text(of: errors) }

    /// Sends the signal and waits for the end.
    @discardableResult
    func end(_ signal: Int32) -> Int32? {
        kill(pid, signal)
        return wait()
    }

    /// The exit status, or the signal's number with a minus; nil when it still runs after `seconds`.
    func wait(seconds: Double = 15) -> Int32? {
        guard eventually(seconds: seconds, { !self.process.isRunning }) else { return nil }
        return process.terminationReason == .exit ? process.terminationStatus : -process.terminationStatus
    }
}

/// Whether it becomes true in that time.
func eventually(seconds: Double, _ condition: () -> Bool) -> Bool {
    let deadline = MonotonicClock.nanoseconds() + Int64(seconds * 1e9)
    while !condition() {
        guard MonotonicClock.nanoseconds() < deadline else { return false }
        MonotonicClock.sleep(nanoseconds: 2_000_000)
    }
    return true
}

/// A folder of its own for one test, gone with it.
final class TestFolder {
    let path: String

    init() throws {
        // Short: a Unix socket's path has 107 bytes at most.
        path = "/tmp/tandem-test-\(UInt32.random(in: 0 ... .max))"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}
