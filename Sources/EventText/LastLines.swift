/// Of a text that comes piece by piece, the last lines: some megabytes are kept, or twice what the lines need.
package struct LastLines: Sendable {
    private let count: Int
    private var bytes: [UInt8] = []
    /// Looking for the lines costs as much as all that is kept, so it is done when that has doubled.
    private var nextCut = LastLines.leastBytes
    private static let leastBytes = 1 << 20

    package init(_ count: Int) { self.count = count }

    package mutating func append(_ more: UnsafeRawBufferPointer) {
        bytes.append(contentsOf: more)
        guard bytes.count >= nextCut else { return }
        cut()
        nextCut = max(LastLines.leastBytes, 2 * bytes.count)
    }

    /// The last lines of all that was appended.
    package mutating func take() -> [UInt8] {
        cut()
        return bytes
    }

    private mutating func cut() {
        var (lines, at) = (0, bytes.count)
        while at > 0 {
            if bytes[at - 1] == UInt8(ascii: "\n") {
                if lines == count { break }
                lines += 1
            }
            at -= 1
        }
        bytes.removeFirst(at)
    }
}
