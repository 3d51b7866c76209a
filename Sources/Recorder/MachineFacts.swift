import Glibc

/// What identifies the machine we run on. Whatever cannot be read stays empty.
package struct MachineFacts: Hashable, Sendable {
    package var hostname: String
    /// New at every boot, and different in machines cloned from one image.
    package var bootID: String
    /// SMBIOS UUID in lower case; readable by root only.
    package var productUUID: String
    package var macAddresses: [String]
    package var kernelRelease: String
    /// CPUs that the kernel could bring up.
    package var cpuCount: Int

    package static var current: MachineFacts {
        var names = utsname()
        uname(&names)
        return MachineFacts(
            hostname: text(of: names.nodename), bootID: firstLine("/proc/sys/kernel/random/boot_id"),
            productUUID: firstLine("/sys/class/dmi/id/product_uuid").lowercased(), macAddresses: readMACAddresses(),
            kernelRelease: text(of: names.release), cpuCount: max(1, sysconf(Int32(_SC_NPROCESSORS_CONF))))
    }

    /// Resident memory of this process: the second number of proc_pid_statm(5), in pages. 0 when it cannot be read.
    package static var residentBytes: UInt64 {
        let pages = firstLine("/proc/self/statm").split(separator: " ").dropFirst().first.flatMap { UInt64($0) } ?? 0
        return pages * UInt64(sysconf(Int32(_SC_PAGESIZE)))
    }

    private static func text<Tuple>(of tuple: Tuple) -> String {
        withUnsafeBytes(of: tuple) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }

    private static func readMACAddresses() -> [String] {
        names(in: "/sys/class/net").filter { $0 != "lo" }
            .map { firstLine("/sys/class/net/\($0)/address").lowercased() }
            .filter { $0.count == 17 && $0 != "00:00:00:00:00:00" }
            .prefix(32).sorted()
    }

    private static func names(in directory: String) -> [String] {
        guard let stream = opendir(directory) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = text(of: entry.pointee.d_name)
            if !name.hasPrefix(".") { names.append(name) }
        }
        return names
    }

    private static func firstLine(_ path: String) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: 256)
        let count = buffer.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
        guard count > 0 else { return "" }
        return String(decoding: buffer[..<count].prefix { $0 != 0x0a }, as: UTF8.self)
    }
}
