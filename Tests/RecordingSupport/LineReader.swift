import Glibc

/// Lines of a child's output, as they come.
package struct LineReader {
    private let file: Int32
    private var buffer = [UInt8](repeating: 0, count: 1 << 20)
    private var start = 0
    private var end = 0

    package init(_ file: Int32) { self.file = file }

    package mutating func next() -> ArraySlice<UInt8>? {
        var searched = start
        while true {
            let found = unsafe buffer.withUnsafeBytes { bytes -> Int? in
                guard let base = bytes.baseAddress, let match = unsafe memchr(base + searched, 10, end - searched)
                else {
                    return nil
                }
                return unsafe UnsafeRawPointer(match) - base
            }
            if let found {
                defer { start = found + 1 }
                return buffer[start..<found]
            }
            searched = end - start
            buffer.replaceSubrange(0..<(end - start), with: buffer[start..<end])
            end -= start
            start = 0
            if end == buffer.count { buffer.append(contentsOf: repeatElement(0, count: end)) }
            let count = unsafe buffer.withUnsafeMutableBytes { bytes in
                unsafe read(file, bytes.baseAddress.map { unsafe $0 + end }, bytes.count - end)
            }
            guard count > 0 else { return nil }
            end += count
        }
    }
}
