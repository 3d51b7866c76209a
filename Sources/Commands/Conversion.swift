import Glibc
import SessionLog

/// A session in files on its way into other files: progress for whoever watches, and a way out that leaves nothing half.
///
/// Output is written under a name that nobody looks for and gets its own at the end, so that under that name there is the
/// whole result or nothing, also after a crash. Ctrl-C ends it and takes the rest away.
struct Conversion {
    /// What the user asked for: `run.tandem`.
    let destination: String
    /// Beside it, so that the last step is a rename within one file system.
    let temporary: String
    private let status = StatusLine(descriptor: STDERR_FILENO)
    private let signals = SignalCounter([SIGINT, SIGTERM, SIGHUP])

    struct Interrupted: Error, CustomStringConvertible {
        let description = "interrupted; nothing was written"
    }

    init(into destination: String) throws {
        var path = destination
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        guard access(path, F_OK) != 0 else {
            throw SessionArguments.Problem(
                description: "'\(path)' is there already: give another -o, or remove it")
        }
        self.destination = path
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        let folder = parts.dropLast().map { "\($0)/" }.joined()
        temporary = "\(folder).\(parts.last ?? "").\(getpid()).partial"
    }

    /// Hands all of `input` to `take`, in order, and shows how far it is.
    func run(_ input: any SessionInput, _ what: String, take: (PipelineInput) throws -> Void) throws {
        let waiting = WaitingLine(what)
        defer { waiting.clear() }
        while let next = try input.next() {
            try take(next)
            if waiting.step(input.progress), signals.count > 0 { throw Interrupted() }
        }
        if signals.count > 0 { throw Interrupted() }
    }

    /// Takes a directory of files away that will not be finished.
    func discard() {
        guard let folder = opendir(temporary) else { return }
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { unlink("\(temporary)/\(name)") }
        }
        closedir(folder)
        rmdir(temporary)
    }

    /// Gives the result its name.
    func finish() throws {
        guard rename(temporary, destination) == 0 else {
            throw SessionArguments.Problem(
                description: "naming the result '\(destination)' failed: \(String(cString: strerror(errno)))")
        }
    }

    func note(_ text: String) { status.note(text) }
}
