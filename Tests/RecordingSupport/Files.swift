import Glibc

/// Files, as tests and benchmarks need them: whole, and with the reason when it does not work.
package enum Files {
    package struct Failure: Error, CustomStringConvertible {
        package let description: String

        init(_ action: String, _ path: String) {
            description = "cannot \(action) \(path): \(String(cString: strerror(errno)))"
        }
    }

    package static func read(_ path: String) throws(Failure) -> [UInt8] {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw Failure("open", path) }
        defer { close(file) }
        guard let bytes = readToEnd(file, chunk: 1 << 16) else { throw Failure("read", path) }
        return bytes
    }

    package static func readText(_ path: String) throws(Failure) -> String {
        String(decoding: try read(path), as: UTF8.self)
    }

    package static func write(_ bytes: some Sequence<UInt8>, to path: String) throws(Failure) {
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw Failure("open", path) }
        defer { close(file) }
        let bytes = Array(bytes)
        var done = 0
        while done < bytes.count {
            let count = unsafe bytes[done...].withUnsafeBytes { unsafe Glibc.write(file, $0.baseAddress, $0.count) }
            guard count > 0 else { throw Failure("write", path) }
            done += count
        }
    }

    package static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// Names in a folder, sorted.
    package static func list(_ path: String) throws(Failure) -> [String] {
        guard let folder = opendir(path) else { throw Failure("list", path) }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                unsafe $0.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// Everything up to the end, or to where a non-blocking read would wait; nil on an error. Each read asks for `chunk`
    /// bytes: a ring buffer gives one sub-buffer for each.
    package static func readToEnd(_ file: Int32, chunk: Int) -> [UInt8]? {
        var bytes: [UInt8] = []
        while true {
            var count = 0
            bytes.append(addingCapacity: chunk) { span in
                unsafe span.withUnsafeMutableBufferPointer { buffer, used in
                    count = unsafe Glibc.read(file, buffer.baseAddress.map { unsafe $0 + used }, chunk)
                    used += max(count, 0)
                }
            }
            if count == 0 || (count < 0 && errno == EAGAIN) { return bytes }
            if count < 0, errno != EINTR { return nil }
        }
    }
}
