import TraceModel

/// Writes one ring-buffer sub-buffer the way a kernel does, item by item, so that a test reads like the page it decodes.
struct PageWriter {
    enum Missed {
        case none
        case some
        case count(UInt64)
    }

    let order: ByteOrder
    let longSize: Int
    let size: Int
    let ticks: UInt64
    private(set) var data: [UInt8] = []

    init(ticks: UInt64, order: ByteOrder = .little, longSize: Int = 8, size: Int = 4096) {
        self.ticks = ticks
        self.order = order
        self.longSize = longSize
        self.size = size
    }

    /// Bytes of data that the sub-buffer has room for.
    var capacity: Int { size - 8 - longSize }
    var room: Int { capacity - data.count }

    /// A record whose length fits into `type_len`; `payload` is a multiple of four bytes, four to 112.
    mutating func record(delta: UInt32, _ payload: [UInt8]) {
        item(UInt32(payload.count / 4), delta)
        data += payload
    }

    /// A record that states its length in the word that follows, rounded up to four bytes with `filler`.
    mutating func longRecord(delta: UInt32, _ payload: [UInt8], filler: UInt8 = 0xee) {
        item(0, delta)
        word(UInt32(payload.count + 4))
        data += payload + [UInt8](repeating: filler, count: (4 - payload.count % 4) % 4)
    }

    mutating func timeExtend(_ delta: UInt64) {
        item(30, UInt32(delta & 0x7ff_ffff))
        word(UInt32(truncatingIfNeeded: delta >> 27))
    }

    /// The low 59 bits of a time.
    mutating func absoluteStamp(_ ticks: UInt64) {
        item(31, UInt32(ticks & 0x7ff_ffff))
        word(UInt32(truncatingIfNeeded: (ticks & ((1 << 59) - 1)) >> 27))
    }

    /// An event that was written and then discarded: it keeps its place and its time.
    mutating func discarded(delta: UInt32, payloadBytes: Int) {
        item(29, delta)
        word(UInt32(payloadBytes))
        data += [UInt8](repeating: 0xdd, count: payloadBytes - 4)
    }

    /// Nothing was written from here on.
    mutating func voidRest() { item(29, 0) }

    mutating func item(_ typeLength: UInt32, _ delta: UInt32) {
        word(order == .little ? delta << 5 | typeLength : typeLength << 27 | delta)
    }

    mutating func word(_ value: UInt32) { data += bytes(value) }

    func bytes(_ value: some FixedWidthInteger) -> [UInt8] {
        let ordered = order == .little ? value.littleEndian : value.bigEndian
        return withUnsafeBytes(of: ordered) { unsafe [UInt8]($0) }
    }

    /// The sub-buffer, filled up with zeros; `commit` overrides the true length of the data.
    func page(missed: Missed = .none, commit: Int? = nil) -> [UInt8] {
        var flags = Int64(commit ?? data.count)
        var after: [UInt8] = []
        switch missed {
        case .none: break
        case .some: flags |= Int64(Int32(bitPattern: 1 << 31))
        case .count(let count):
            flags |= Int64(Int32(bitPattern: 3 << 30))
            after = longSize == 8 ? bytes(count) : bytes(UInt32(truncatingIfNeeded: count))
        }
        // Sign-extended, as a 64-bit kernel's `long` is.
        let long = longSize == 8 ? bytes(flags) : bytes(Int32(truncatingIfNeeded: flags))
        let page = bytes(ticks) + long + data + after
        return page + [UInt8](repeating: 0, count: max(0, size - page.count))
    }

    /// A record's eight common bytes and `payload` after them.
    func event(_ id: UInt16, pid: Int32, flags: UInt8 = 0, preempt: UInt8 = 0, _ payload: [UInt8] = []) -> [UInt8] {
        bytes(id) + [flags, preempt] + bytes(pid) + payload
    }
}

/// Bytes from labelled lines: `label: 00 11 22`, everything up to the colon is for the reader.
func hex(_ text: String) -> [UInt8] {
    text.split(separator: "\n").flatMap { line in
        line.drop { $0 != ":" }.dropFirst().split(separator: " ").compactMap { UInt8($0, radix: 16) }
    }
}
