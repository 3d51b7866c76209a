import CZstd

/// libzstd (zstd_manual.html, "Explicit context"): one frame for each block.
final class Zstd {
    private let compressor: OpaquePointer
    private let decompressor: OpaquePointer

    init?() {
        guard let compressor = unsafe ZSTD_createCCtx() else { return nil }
        guard let decompressor = unsafe ZSTD_createDCtx() else {
            unsafe ZSTD_freeCCtx(compressor)
            return nil
        }
        unsafe (self.compressor, self.decompressor) = (compressor, decompressor)
    }

    deinit {
        unsafe ZSTD_freeCCtx(compressor)
        unsafe ZSTD_freeDCtx(decompressor)
    }

    static var version: String { unsafe String(cString: ZSTD_versionString()) }

    func compress(_ bytes: RawSpan, level: Int?) -> Result<[UInt8], Codec.Reason> {
        var code = 0
        let output = unsafe [UInt8](unsafeUninitializedCapacity: ZSTD_compressBound(bytes.byteCount)) { room, used in
            unsafe bytes.withUnsafeBytes { input in
                code = unsafe ZSTD_compressCCtx(
                    compressor, room.baseAddress, room.count, input.baseAddress, input.count,
                    Int32(clamping: level ?? Int(ZSTD_defaultCLevel())))
            }
            used = ZSTD_isError(code) == 0 ? code : 0
        }
        return Self.result(output, code)
    }

    func decompress(_ bytes: RawSpan, maximumBytes: Int) -> Result<[UInt8], Codec.Reason> {
        let claimed = unsafe bytes.withUnsafeBytes { unsafe ZSTD_getFrameContentSize($0.baseAddress, $0.count) }
        // A frame need not say its size; then the bound is the room.
        let room = claimed == unknownSize ? UInt64(max(0, maximumBytes)) : claimed
        guard claimed != noSize else {
            return .failure(Codec.Reason(text: "they are not the beginning of a frame"))
        }
        guard room <= UInt64(max(0, maximumBytes)) else {
            return .failure(Codec.Reason(text: "the frame says that it holds \(claimed)"))
        }
        var code = 0
        let output = unsafe [UInt8](unsafeUninitializedCapacity: Int(room)) { room, used in
            unsafe bytes.withUnsafeBytes { input in
                code = unsafe ZSTD_decompressDCtx(
                    decompressor, room.baseAddress, room.count, input.baseAddress, input.count)
            }
            used = ZSTD_isError(code) == 0 ? code : 0
        }
        return Self.result(output, code)
    }

    private static func result(_ output: [UInt8], _ code: Int) -> Result<[UInt8], Codec.Reason> {
        ZSTD_isError(code) == 0
            ? .success(output) : .failure(Codec.Reason(text: unsafe String(cString: ZSTD_getErrorName(code))))
    }
}

/// `ZSTD_CONTENTSIZE_UNKNOWN` and `ZSTD_CONTENTSIZE_ERROR` (zstd.h): expressions, which are not imported.
private let unknownSize = UInt64.max
private let noSize = UInt64.max - 1
