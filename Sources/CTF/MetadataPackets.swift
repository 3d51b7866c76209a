import Glibc

/// Metadata in packets (CTF 1.8, section 7.1), as LTTng writes it: whether it is all there, and its text.
///
/// libbabeltrace2 2.0 never comes back from a packet whose content ends with the file: it reads nothing, again and again.
/// So what the packets say of their lengths is compared with the file before the library sees it. All else that may be wrong
/// it finds out itself.
enum MetadataPackets {
    private static let headerBytes = 37
    private static let magic: UInt32 = 0x75D1_1D57
    /// LTTng's of all kernel events is 1 MB.
    private static let mostBytes = 64 << 20

    /// What is declared; throws when something is missing. Nil when it cannot be read, which opening it will explain.
    static func text(_ path: String) throws(CTFError) -> String? {
        guard let bytes = ScratchDirectory.read(path, limit: mostBytes) else { return nil }
        func word(_ place: Int, isSwapped: Bool) -> UInt32? {
            guard place + 4 <= bytes.count else { return nil }
            let raw = bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: place, as: UInt32.self) }
            return isSwapped ? raw.byteSwapped : raw
        }
        let isSwapped = word(0, isSwapped: true) == magic
        guard isSwapped || word(0, isSwapped: false) == magic else { return String(decoding: bytes, as: UTF8.self) }
        var text: [UInt8] = []
        var offset = 0
        while offset < bytes.count {
            let sizes = [24, 28].map { Int(word(offset + $0, isSwapped: isSwapped) ?? 0) / 8 }
            guard word(offset, isSwapped: isSwapped) == magic, sizes.allSatisfy({ $0 >= headerBytes }),
                sizes[0] <= bytes.count - offset
            else {
                throw CTFError(
                    "'\(path)' is damaged: the packet at byte \(offset) is not all there in the file's "
                        + "\(bytes.count) bytes; copy the trace again")
            }
            text += bytes[offset + headerBytes..<offset + sizes[0]]
            offset += sizes[1]
        }
        return String(decoding: text, as: UTF8.self)
    }
}
