import Glibc

/// How a recording lies on disk. The normative page is `SessionLog.docc/Recording.md`.
///
/// ```
/// NAME.tandem/stream, stream.2, stream.3, …
///     8 bytes "TANDEM\0" and the version: 1, or 2 where groups of records may be compressed
///     then records: u32 source id and u32 its complement (little-endian), one Frame (see Wire/Frame.swift)
/// NAME.tandem/index, checkpoints     see LogIndex.swift; they may be missing
/// ```
/// The complement finds what the frame's checksum does not cover: a damaged id must not give events to another source.
///
/// One stream for all sources, because their interleaving *is* the session: the pipeline was told these things in this
/// order, and only the same order gives the same analysis again. A stream cut anywhere is readable up to its last whole
/// record. It may be cut into segments on purpose, so that the oldest can be removed while the session goes on; each after
/// the first begins with a repetition of what a reader must know who has none before it.
package enum LogFile {
    static let magicBytes = 8
    /// Of a plain stream, which every version of this program reads, and of one with groups.
    static let (plainVersion, groupedVersion): (UInt8, UInt8) = (1, 2)

    static func magic(version: UInt8) -> [UInt8] { Array("TANDEM".utf8) + [0, version] }

    package static let streamName = "stream"
    /// The source id and its complement before each frame.
    static let recordPrefixBytes = 8
    /// The frame at a later segment's beginning; its body is the number of bytes of the repetition that follows it.
    static let segmentHeadType: UInt8 = 127

    /// Whether a directory holds the stream of a recording, or what is left of one.
    package static func isRecording(_ directory: String) -> Bool { !segments(in: directory).isEmpty }

    static func path(_ directory: String, segment: Int) -> String {
        segment == 1 ? "\(directory)/\(streamName)" : "\(directory)/\(streamName).\(segment)"
    }

    /// Numbers of the segments that are there, ascending.
    package static func segments(in directory: String) -> [Int] {
        guard let listing = opendir(directory) else { return [] }
        defer { closedir(listing) }
        var numbers: [Int] = []
        while let entry = readdir(listing) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name == streamName {
                numbers.append(1)
            } else if name.hasPrefix("\(streamName)."), let number = Int(name.dropFirst(streamName.count + 1)),
                number > 1
            {
                numbers.append(number)
            }
        }
        return numbers.sorted()
    }
}

/// A place in a recording: where a record begins.
package struct LogPosition: Hashable, Comparable, Sendable, Codable {
    /// Counts from 1.
    package var segment: Int
    /// Bytes from the beginning of the segment's file: to the record, or to the group that it is in.
    package var offset: UInt64
    /// Bytes from the beginning of the group, as it was before it was compressed.
    package var inside: Int

    package init(segment: Int, offset: UInt64, inside: Int = 0) {
        self.segment = segment
        self.offset = offset
        self.inside = inside
    }

    package static func < (a: LogPosition, b: LogPosition) -> Bool {
        (a.segment, a.offset, a.inside) < (b.segment, b.offset, b.inside)
    }
}

package struct LogError: Error, Hashable, Sendable, CustomStringConvertible {
    package var description: String

    init(_ description: String) { self.description = description }

    init(doing what: String, _ path: String, errno code: Int32, hint: String = "") {
        description = "\(what) '\(path)' failed: \(String(cString: strerror(code)))\(hint.isEmpty ? "" : "; \(hint)")"
    }
}
