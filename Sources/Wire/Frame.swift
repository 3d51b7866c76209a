import TraceModel

/// The envelope of every message, on the wire and in the session log: a twelve-byte header and a body.
///
/// ```
/// 0  u32  length of the body, at most Limits.frameBytes; of the first frame of a stream, Limits.greetingBytes
/// 4  u8   message type
/// 5  u8   flags: bit 0 = a receiver that does not know the type may skip the frame
/// 6  u16  zero
/// 8  u32  low half of XXH64(body, seed = the first eight bytes as a little-endian word)
/// 12 …    body
/// ```
/// All integers are little-endian. The first eight bytes seed the checksum, so that a flipped length or type is found too.
package struct Frame: Hashable, Sendable {
    package static let headerBytes = 12

    package var type: UInt8
    package var isSkippable: Bool
    package var body: [UInt8]

    package init(type: UInt8, isSkippable: Bool = false, body: [UInt8]) {
        self.type = type
        self.isSkippable = isSkippable
        self.body = body
    }

    package var byteCount: Int { Frame.headerBytes + body.count }

    private var head: UInt64 {
        UInt64(UInt32(body.count)) | UInt64(type) << 32 | (isSkippable ? 1 << 40 : 0)
    }

    /// Appends the frame's bytes.
    package func append(to output: inout [UInt8]) {
        precondition(body.count <= Limits.frameBytes, "a message was built larger than a frame may be")
        let check = body.withUnsafeBytes { UInt32(truncatingIfNeeded: Checksum.xxh64($0, seed: head)) }
        output.reserveCapacity(output.count + byteCount)
        withUnsafeBytes(of: head.littleEndian) { output.append(contentsOf: $0) }
        withUnsafeBytes(of: check.littleEndian) { output.append(contentsOf: $0) }
        output.append(contentsOf: body)
    }

    package var bytes: [UInt8] {
        var output: [UInt8] = []
        append(to: &output)
        return output
    }
}

extension Frame {
    /// The frame that is all of `bytes`; nil when they are none.
    package init?(whole bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= Frame.headerBytes else { return nil }
        let head = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
        let check = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
        let body = UnsafeRawBufferPointer(rebasing: bytes[Frame.headerBytes...])
        guard head >> 41 == 0, UInt32(truncatingIfNeeded: head) == UInt32(clamping: body.count),
            UInt32(truncatingIfNeeded: Checksum.xxh64(body, seed: head)) == check
        else { return nil }
        self.init(type: UInt8(truncatingIfNeeded: head >> 32), isSkippable: head >> 40 & 1 == 1, body: Array(body))
    }
}

/// Why a stream of bytes is not a stream of frames. After one of these the stream cannot be trusted any more.
package enum FrameError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The very first bytes are no frame header.
    case notTandem(firstBytes: [UInt8])
    case tooLong(length: Int, atByte: UInt64)
    case checksumMismatch(type: UInt8, length: Int, atByte: UInt64)
    case reservedBitsSet(atByte: UInt64)

    package var description: String {
        switch self {
        case .notTandem(let firstBytes):
            let text = String(decoding: firstBytes.prefix(16), as: UTF8.self).sanitized
            return
                "the peer does not speak Tandem's protocol (it began with '\(text)'); is another program on this port?"
        case .tooLong(let length, let at):
            return "a frame at byte \(at) claims \(length) bytes, more than the limit of \(Limits.frameBytes): "
                + "the stream is damaged"
        case .checksumMismatch(let type, let length, let at):
            return "the frame at byte \(at) (type \(type), \(length) bytes) fails its checksum: the stream is damaged"
        case .reservedBitsSet(let at):
            return "the frame at byte \(at) has reserved header bits set: the stream is damaged, or of a later version"
        }
    }
}

/// Cuts a stream of bytes into frames, whatever pieces it arrives in.
package struct FrameReader: Sendable {
    private var buffer: [UInt8] = []
    private var start = 0
    /// Bytes of the stream before `buffer[start]`.
    package private(set) var position: UInt64 = 0

    package init() {}

    /// Bytes that wait for the rest of their frame.
    package var pendingBytes: Int { buffer.count - start }

    package mutating func append(_ bytes: UnsafeRawBufferPointer) {
        if start == buffer.count {
            buffer.removeAll(keepingCapacity: true)
            start = 0
        } else if start > 64 << 10 {
            buffer.removeSubrange(..<start)
            start = 0
        }
        buffer.append(contentsOf: bytes)
    }

    package mutating func append(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { append($0) }
    }

    /// The next whole frame, or nil until more bytes arrive.
    package mutating func next() throws(FrameError) -> Frame? {
        do throws(FrameError) {
            return try nextFrame()
        } catch {
            // Nothing of the first frame was good: this is another protocol rather than a damaged stream of ours.
            guard position == 0 else { throw error }
            throw .notTandem(firstBytes: Array(buffer[start...].prefix(32)))
        }
    }

    private mutating func nextFrame() throws(FrameError) -> Frame? {
        let available = buffer.count - start
        // The length and the reserved bits are looked at as soon as they are there: a foreign greeting is short, and its
        // sender waits for an answer.
        guard available >= 8 else { return nil }
        let head = buffer.withUnsafeBytes {
            UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: start, as: UInt64.self))
        }
        let length = Int(UInt32(truncatingIfNeeded: head))
        let type = UInt8(truncatingIfNeeded: head >> 32)
        guard head >> 41 == 0 else { throw .reservedBitsSet(atByte: position) }
        guard length <= (position == 0 ? Limits.greetingBytes : Limits.frameBytes) else {
            throw .tooLong(length: length, atByte: position)
        }
        guard available >= Frame.headerBytes + length else { return nil }
        let check = buffer.withUnsafeBytes {
            UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: start + 8, as: UInt32.self))
        }
        let bodyStart = start + Frame.headerBytes
        let actual = buffer.withUnsafeBytes {
            Checksum.xxh64(UnsafeRawBufferPointer(rebasing: $0[bodyStart..<bodyStart + length]), seed: head)
        }
        guard UInt32(truncatingIfNeeded: actual) == check else {
            throw .checksumMismatch(type: type, length: length, atByte: position)
        }
        let frame = Frame(
            type: type, isSkippable: head >> 40 & 1 == 1, body: Array(buffer[bodyStart..<bodyStart + length]))
        start = bodyStart + length
        position += UInt64(frame.byteCount)
        return frame
    }
}
