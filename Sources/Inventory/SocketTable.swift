/// The listening Unix sockets of one network namespace (`/proc/PID/net/unix`, net/unix/af_unix.c, `unix_seq_show`).
struct SocketTable: Sendable {
    /// By socket inode.
    private(set) var listeningPaths: [UInt64: String] = [:]

    /// Lines are `Num: RefCount Protocol Flags Type St Inode Path`. A path is written as it is, line feeds included, so
    /// that anyone can forge a line: an inode that occurs twice is believed in neither.
    init(_ text: [UInt8]) {
        var seen: Set<UInt64> = []
        for line in text.split(separator: UInt8(ascii: "\n")) {
            // At most seven splits: the path may hold spaces.
            let fields = line.split(separator: UInt8(ascii: " "), maxSplits: 7)
            guard fields.count >= 7, let inode = UInt64(decimal: fields[6]) else { continue }
            guard seen.insert(inode).inserted else {
                listeningPaths[inode] = nil
                continue
            }
            // __SO_ACCEPTCON, include/uapi/linux/net.h.
            let isListening = UInt64(String(decoding: fields[3], as: UTF8.self), radix: 16).map { $0 & 0x10000 != 0 }
            guard isListening == true, fields.count == 8, fields[7].first != UInt8(ascii: "@") else { continue }
            listeningPaths[inode] = String(decoding: fields[7], as: UTF8.self)
        }
    }
}
