import Glibc
import TraceModel

/// A trace that cannot be opened whole, opened stream by stream: one damaged file must not take the others along.
///
/// libbabeltrace2 looks through all files of a trace before it gives one event, and a recording that a crash cut short ends
/// in half a packet. So each file is offered alone, beside the metadata; of one that still cannot be opened, the packets
/// that LTTng's index says are whole are offered as a copy. These directories are temporary and hold links, but for that
/// copy.
enum SalvagedTrace {
    /// Readers of what can be read; `problems` gets the rest.
    static func open(
        _ directories: [String], _ plugin: CTFPlugin, problems: inout [String]
    ) -> [TraceReader] {
        var readers: [TraceReader] = []
        for directory in directories {
            let layout = (try? PacketLayout(directory: directory)) ?? nil
            for file in files(in: directory) {
                let path = "\(directory)/\(file)"
                do throws(CTFError) {
                    try check(path, layout)
                    let part = try ScratchDirectory()
                    try part.link("\(directory)/metadata", as: "metadata")
                    try part.link(path, as: file)
                    readers.append(try TraceReader(directories: [part.path], shownAs: path, plugin, keeping: part))
                } catch {
                    let bearable = layout?.firstUnbearable(in: path)
                    guard let whole = bearable ?? wholePackets(of: file, in: directory), whole > 0,
                        let reader = try? prefix(of: path, file, bytes: whole, directory, plugin)
                    else {
                        problems.append("'\(path)' is damaged and not used: \(error)")
                        continue
                    }
                    problems.append("'\(path)' is damaged: only its first \(whole) bytes are used")
                    readers.append(reader)
                }
            }
        }
        return readers
    }

    /// Throws where the library would not come back.
    static func check(_ directories: [String]) throws(CTFError) {
        for directory in directories {
            guard let layout = try PacketLayout(directory: directory) else { continue }
            for file in files(in: directory) { try check("\(directory)/\(file)", layout) }
        }
    }

    private static func check(_ path: String, _ layout: PacketLayout?) throws(CTFError) {
        guard let place = layout?.firstUnbearable(in: path) else { return }
        throw CTFError("the packet at byte \(place) has an impossible size")
    }

    private static func files(in directory: String) -> [String] {
        (TraceDirectories.names(in: directory) ?? []).sorted().filter { name in
            name != "metadata" && !name.hasPrefix(".") && TraceDirectories.isFile("\(directory)/\(name)")
        }
    }

    private static func prefix(
        of path: String, _ file: String, bytes: Int, _ directory: String, _ plugin: CTFPlugin
    ) throws(CTFError) -> TraceReader {
        let part = try ScratchDirectory()
        try part.link("\(directory)/metadata", as: "metadata")
        try part.copy(path, bytes: bytes, as: file)
        return try TraceReader(directories: [part.path], shownAs: path, plugin, keeping: part)
    }

    /// Bytes of the packets that `index/FILE.idx` tells and the file has in full; nil when there are none.
    ///
    /// The index (lttng-tools, include/lttng/ctf-index.h) is big-endian: magic, major, minor and the length of an entry,
    /// 32 bits each; an entry begins with the packet's offset in bytes and its size in bits, 64 bits each.
    private static func wholePackets(of file: String, in directory: String) -> Int? {
        guard let index = ScratchDirectory.read("\(directory)/index/\(file).idx", limit: Limits.packetIndexBytes),
            index.count >= 16, number(index, at: 0, bytes: 4) == 0xC1F1_DCC1
        else { return nil }
        let size = ScratchDirectory.size("\(directory)/\(file)")
        let entry = Int(number(index, at: 12, bytes: 4))
        guard entry >= 16 else { return nil }
        var whole: UInt64 = 0
        for at in stride(from: 16, through: index.count - entry, by: entry) {
            let end = number(index, at: at, bytes: 8).addingReportingOverflow(number(index, at: at + 8, bytes: 8) / 8)
            guard !end.overflow, end.partialValue <= UInt64(size) else { break }
            whole = max(whole, end.partialValue)
        }
        return whole == 0 ? nil : Int(whole)
    }

    private static func number(_ bytes: [UInt8], at: Int, bytes count: Int) -> UInt64 {
        bytes[at..<at + count].reduce(0) { $0 << 8 | UInt64($1) }
    }
}

/// A directory of our own that is gone when nobody reads from it any more.
final class ScratchDirectory {
    let path: String

    init() throws(CTFError) {
        var name = Array("/tmp/tandem-ctf-XXXXXX".utf8CString)
        guard mkdtemp(&name) != nil else {
            throw CTFError("making a temporary directory failed: \(String(cString: strerror(errno)))")
        }
        path = String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit {
        for name in TraceDirectories.names(in: path) ?? [] { unlink("\(path)/\(name)") }
        rmdir(path)
    }

    func link(_ target: String, as name: String) throws(CTFError) {
        guard let whole = realpath(target, nil) else { throw CTFError("'\(target)' cannot be found") }
        defer { free(whole) }
        guard symlink(whole, "\(path)/\(name)") == 0 else {
            throw CTFError("linking '\(target)' failed: \(String(cString: strerror(errno)))")
        }
    }

    func copy(_ source: String, bytes: Int, as name: String) throws(CTFError) {
        let input = open(source, O_RDONLY | O_CLOEXEC)
        let output = open("\(path)/\(name)", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        defer {
            if input >= 0 { close(input) }
            if output >= 0 { close(output) }
        }
        var left = bytes
        while left > 0 {
            let count = sendfile(output, input, nil, left)
            guard count > 0 else { throw CTFError("copying '\(source)' failed: \(String(cString: strerror(errno)))") }
            left -= count
        }
    }

    static func size(_ path: String) -> Int {
        var status = stat()
        return stat(path, &status) == 0 ? Int(status.st_size) : 0
    }

    static func read(_ path: String, limit: Int) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        let size = min(size(path), limit)
        return [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            count = max(0, Glibc.read(descriptor, buffer.baseAddress, size))
        }
    }
}
