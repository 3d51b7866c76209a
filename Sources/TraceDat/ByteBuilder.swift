import TraceModel

/// Bytes of a file in the making, in the byte order of whoever is said to have written it.
struct ByteBuilder {
    let order: ByteOrder
    var bytes: [UInt8] = []

    init(order: ByteOrder) { self.order = order }

    mutating func removeAll() { bytes.removeAll(keepingCapacity: true) }

    mutating func put<Word: FixedWidthInteger>(_ value: Word) {
        withUnsafeBytes(of: order == .little ? value.littleEndian : value.bigEndian) { bytes.append(contentsOf: $0) }
    }

    mutating func put(long value: UInt64, size: Int) {
        if size == 4 { put(UInt32(truncatingIfNeeded: value)) } else { put(value) }
    }

    mutating func replace(long value: UInt64, size: Int, at place: Int) {
        var word = ByteBuilder(order: order)
        word.put(long: value, size: size)
        bytes.replaceSubrange(place..<place + size, with: word.bytes)
    }

    /// A text and its NUL; one that it holds itself would end it early.
    mutating func put(terminated text: String) {
        bytes += text.utf8.filter { $0 != 0 }
        bytes.append(0)
    }

    mutating func put(zeros count: Int) { bytes.append(contentsOf: repeatElement(0, count: max(0, count))) }

    /// Zeros up to the next multiple of `unit`.
    mutating func pad(to unit: Int) { put(zeros: (unit - bytes.count % unit) % unit) }
}
