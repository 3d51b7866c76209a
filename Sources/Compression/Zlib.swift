import CZlib

/// zlib's one-call functions (zlib.h, "Utility Functions"): a zlib stream for each block.
enum Zlib {
    static var version: String { unsafe String(cString: zlibVersion()) }

    static func compress(_ bytes: RawSpan, level: Int?) -> Result<[UInt8], Codec.Reason> {
        run(room: Int(compressBound(UInt(bytes.byteCount))), bytes) { room, length, input, count in
            unsafe compress2(room, length, input, count, Int32(clamping: level ?? Int(Z_DEFAULT_COMPRESSION)))
        }
    }

    static func decompress(_ bytes: RawSpan, maximumBytes: Int) -> Result<[UInt8], Codec.Reason> {
        // A stream does not say how long it is, but never is longer than 1,032 times itself (zlib's technical details).
        let longest = bytes.byteCount.multipliedReportingOverflow(by: 1032)
        let room = longest.overflow ? maximumBytes : min(maximumBytes, longest.partialValue)
        return run(room: max(0, room), bytes) { room, length, input, count in
            unsafe uncompress(room, length, input, count)
        }
    }

    private static func run(
        room: Int, _ bytes: RawSpan,
        _ call: (UnsafeMutablePointer<UInt8>?, UnsafeMutablePointer<UInt>, UnsafePointer<UInt8>?, UInt) -> Int32
    ) -> Result<[UInt8], Codec.Reason> {
        var code = Z_OK
        let output = unsafe [UInt8](unsafeUninitializedCapacity: room) { room, used in
            var length = UInt(room.count)
            unsafe bytes.withUnsafeBytes { input in
                let start = unsafe input.baseAddress?.assumingMemoryBound(to: UInt8.self)
                code = unsafe call(room.baseAddress, &length, start, UInt(input.count))
            }
            used = code == Z_OK ? Int(length) : 0
        }
        guard code != Z_OK else { return .success(output) }
        return .failure(Codec.Reason(text: unsafe String(cString: zError(code))))
    }
}
