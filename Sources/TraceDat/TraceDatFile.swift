package import TraceModel

/// What a trace.dat file of trace-cmd holds, without its events: where those lie, and all that is needed to read them.
///
/// Format: trace-cmd.dat.v6(5) and trace-cmd.dat.v7(5). The file's bytes are not kept; `TraceDatEvents` takes them again
/// with each step, because only the caller knows how long they stay mapped.
package struct TraceDatFile: Sendable {
    /// The data of one CPU in one buffer.
    package struct CPUData: Hashable, Sendable {
        package var cpu: Int
        /// Bytes of the file: sub-buffers one after another, or a compressed form of them.
        package var range: Range<Int>
        package var isCompressed: Bool
    }

    /// One ring buffer: the top-level one, whose name is empty, or an instance's.
    package struct Buffer: Hashable, Sendable {
        package var name: String
        /// The clock's tracefs name, or `tsc2nsec` for `x86-tsc` with a conversion in the options.
        package var clock: String
        package var subBufferBytes: Int
        /// Those with data, ascending.
        package var cpus: [CPUData]
    }

    package struct Task: Hashable, Sendable {
        package var tid: Int32
        package var comm: String

        package init(tid: Int32, comm: String) {
            self.tid = tid
            self.comm = comm
        }
    }

    /// A text of some megabytes that few need.
    enum TextPlace: Sendable {
        case plain(Range<Int>)
        case section(TraceDatSection)
    }

    package internal(set) var version: Int
    package internal(set) var byteOrder: ByteOrder
    /// `none`, `zlib` or `zstd`.
    package internal(set) var compression = "none"
    package internal(set) var subBufferBytes: Int
    /// Bytes of the *kernel's* long. The one in the file's header is that of the recording program.
    package internal(set) var longSize: Int
    package internal(set) var headerPage = ""
    package internal(set) var headerEvent = ""
    /// All formats of the file, those of ftrace's own events first.
    package internal(set) var formats: FormatTable
    /// Formats that cannot be used; their events are counted as of an unknown type.
    package internal(set) var unreadableFormats = 0
    /// Threads that had a name when the recording ended (of a guest: when it began).
    package internal(set) var tasks: [Task] = []
    package internal(set) var options = TraceDatOptions()
    package internal(set) var buffers: [Buffer] = []
    var kallsyms: TextPlace?

    /// Reads everything but the events.
    package static func read(
        _ file: RawSpan, decompress: TraceDatDecompressor
    ) throws(TraceDatError) -> TraceDatFile {
        var cursor = ByteCursor(file, order: .native)
        guard cursor.skip(magic, in: file) else {
            throw TraceDatError("the file", "it does not begin as a trace.dat file of trace-cmd does", offset: 0)
        }
        let version = try cursor.terminatedText(file, "the format's version")
        guard version == "6" || version == "7" else {
            throw TraceDatError(
                "the file", "its format has version \(version.prefix(8).debugDescription); 6 and 7 can be read")
        }
        guard let order = ByteOrder(rawValue: try cursor.byte(file, "the byte order")) else {
            throw TraceDatError("the byte order", "it is neither little nor big", offset: cursor.at - 1)
        }
        cursor = ByteCursor(file, from: cursor.at, order: order)
        let long = Int(try cursor.byte(file, "the size of a long"))
        guard long == 4 || long == 8 else {
            throw TraceDatError("the size of a long", "\(long) bytes; 4 and 8 exist", offset: cursor.at - 1)
        }
        let pageBytes = try checkedSubBufferBytes(try cursor.word32(file, "the size of a sub-buffer"))
        var result = TraceDatFile(
            version: version == "6" ? 6 : 7, byteOrder: order, subBufferBytes: pageBytes, longSize: long,
            formats: FormatTable(byteOrder: order, longSize: long))
        if result.version == 6 {
            try result.readVersion6(file, &cursor)
        } else {
            try result.readVersion7(file, &cursor, decompress)
        }
        return result
    }

    /// Every trace.dat file begins so.
    package static let magic: [UInt8] = [0x17, 0x08, 0x44] + Array("tracing".utf8)

    /// Sub-buffers have 4 KiB unless a kernel from 6.8 on was told otherwise.
    static func checkedSubBufferBytes(_ bytes: UInt32) throws(TraceDatError) -> Int {
        guard bytes >= 512, bytes <= Limits.traceDatSubBufferBytes else {
            throw TraceDatError(
                "the size of a sub-buffer",
                "\(bytes) bytes; sizes from 512 to \(Limits.traceDatSubBufferBytes) can be read")
        }
        return Int(bytes)
    }

    /// Where the file holds the recording kernel's symbols, compressed by zstd, perhaps with their length in front of them, a
    /// u32 in the file's byte order; nil when it holds them otherwise. Nobody has looked whether they can be decompressed.
    package func zstdSymbols(in file: RawSpan) throws(TraceDatError) -> Range<Int>? {
        guard case .section(let section) = kallsyms, compression == "zstd" else { return nil }
        return try section.block(in: file, order: byteOrder)
    }

    /// The recording kernel's symbols, as in `/proc/kallsyms`; nil when the file has none.
    package func symbols(
        in file: RawSpan, decompress: TraceDatDecompressor
    ) throws(TraceDatError) -> [UInt8]? {
        switch kallsyms {
        case nil: return nil
        case .plain(let range):
            guard range.upperBound <= file.byteCount else { throw TraceDatError("the symbols", "this is another file") }
            var cursor = ByteCursor(file, from: range.lowerBound, order: byteOrder)
            return try cursor.data(file, range.count, "the symbols")
        case .section(let section):
            let body = try section.body(in: file, order: byteOrder, algorithm: compression, decompress)
            var cursor = ByteCursor(body.span.bytes, order: byteOrder)
            let length = try cursor.length32(body.span.bytes, "the size of the symbols")
            return try cursor.data(body.span.bytes, length, "the symbols")
        }
    }
}
