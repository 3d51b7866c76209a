import Decoding
import TraceModel

/// The parts that both versions of the format have, written alike: formats, names, the layout of a sub-buffer.
extension TraceDatFile {
    /// `header_page` and `header_event`: the texts of the two tracefs files.
    mutating func readHeaderInfo(_ bytes: RawSpan, _ cursor: inout ByteCursor) throws(TraceDatError) {
        for (name, path) in [("header_page", \TraceDatFile.headerPage), ("header_event", \TraceDatFile.headerEvent)] {
            guard cursor.skip(Array(name.utf8) + [0], in: bytes) else {
                throw TraceDatError(name, "it is not where it should be", offset: cursor.at)
            }
            let length = try cursor.length64(bytes, "the size of \(name)")
            guard length <= Limits.textBytes else { throw TraceDatError(name, "\(length) bytes are too many") }
            self[keyPath: path] = try cursor.text(bytes, length, name)
        }
        if let size = Self.longSize(headerPage) {
            longSize = size
            formats = FormatTable(byteOrder: byteOrder, longSize: size)
        }
    }

    /// The size of `commit`, which is a long of the kernel: `field: local_t commit; offset:8; size:8; signed:1;`.
    private static func longSize(_ headerPage: String) -> Int? {
        guard let line = headerPage.split(separator: "\n").first(where: { $0.contains(" commit;") }) else { return nil }
        let parts = line.split { $0 == ";" || $0 == "\t" || $0 == " " }
        guard let size = parts.first(where: { $0.hasPrefix("size:") }).flatMap({ Int($0.dropFirst(5)) }) else {
            return nil
        }
        return size == 4 || size == 8 ? size : nil
    }

    /// ftrace's own events (`print`, `function`, …): a number, then each format's size and text.
    mutating func readFtraceEvents(_ bytes: RawSpan, _ cursor: inout ByteCursor) throws(TraceDatError) {
        let count = try cursor.count(bytes, unit: 8, "the number of ftrace's events")
        for _ in 0..<count { try readFormat(system: "ftrace", bytes, &cursor) }
    }

    /// The events by system: a number of systems; for each its name, a number, and each format's size and text.
    mutating func readEventFormats(_ bytes: RawSpan, _ cursor: inout ByteCursor) throws(TraceDatError) {
        let systems = try cursor.count(bytes, unit: 5, "the number of event systems")
        for _ in 0..<systems {
            let system = try cursor.terminatedText(bytes, "an event system's name")
            let count = try cursor.count(bytes, unit: 8, "the number of events of '\(system.sanitized)'")
            for _ in 0..<count { try readFormat(system: system, bytes, &cursor) }
        }
    }

    private mutating func readFormat(
        system: String, _ bytes: RawSpan, _ cursor: inout ByteCursor
    ) throws(TraceDatError) {
        let length = try cursor.length64(bytes, "the size of an event format")
        let text = try cursor.text(bytes, length, "an event format")
        guard formats.formats.count < Limits.formats else {
            throw TraceDatError("the event formats", "there are more than \(Limits.formats), a kernel's largest number")
        }
        do throws(EventFormatError) {
            formats.append(try EventFormatParser.parse(text, system: system))
        } catch {
            unreadableFormats += 1
        }
    }

    /// `saved_cmdlines`: lines of a thread id and its name.
    mutating func readTasks(_ text: String) {
        for line in text.split(separator: "\n").prefix(Limits.taskNames) {
            guard let space = line.firstIndex(of: " "), let tid = Int32(line[..<space]) else { continue }
            tasks.append(Task(tid: tid, comm: String(line[line.index(after: space)...])))
        }
    }
}
