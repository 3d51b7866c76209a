import Glibc

/// Whether metadata in packets (CTF 1.8, section 7.1), as LTTng writes it, is all there.
///
/// libbabeltrace2 2.0 never comes back from a packet whose content ends with the file: it reads nothing, again and again.
/// So what the packets say of their lengths is compared with the file before the library sees it. All else that may be wrong
/// it finds out itself.
enum MetadataPackets {
    private static let headerBytes = 37
    private static let magic: UInt32 = 0x75D1_1D57

    static func check(_ path: String) throws(CTFError) {
        let file = open(path, O_RDONLY)
        // Opening it will say what is wrong with it.
        guard file >= 0 else { return }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0 else { return }
        let size = Int(status.st_size)
        var offset = 0
        while offset < size {
            var header = [UInt8](repeating: 0, count: headerBytes)
            let count = pread(file, &header, headerBytes, offset)
            func word(_ place: Int, isSwapped: Bool) -> UInt32 {
                let raw = header.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: place, as: UInt32.self) }
                return isSwapped ? raw.byteSwapped : raw
            }
            let isSwapped = word(0, isSwapped: true) == magic
            // Plain text.
            guard isSwapped || word(0, isSwapped: false) == magic else { return }
            let content = Int(word(24, isSwapped: isSwapped)) / 8
            let packet = Int(word(28, isSwapped: isSwapped)) / 8
            guard count == headerBytes, packet >= headerBytes, content >= headerBytes, content <= size - offset else {
                throw CTFError(
                    "'\(path)' is damaged: the packet at byte \(offset) is not all there in the file's \(size) bytes; copy the trace again"
                )
            }
            offset += packet
        }
    }
}
