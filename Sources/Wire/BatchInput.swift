/// The reading position in the body of a batch message that has `BatchPlan.eventBytes` zeros behind it.
///
/// The loads do not look where the body ends. That is safe as long as `isInside` is asked often enough: between two times
/// no more than `BatchPlan.eventBytes` may be read, which is what one event's integers can take at the very most. Strings,
/// whose lengths a peer chooses, go through `skip`.
struct BatchInput {
    var at = 0

    /// Whether nothing was read of the zeros yet.
    @inline(__always)
    func isInside(_ body: borrowing RawSpan) -> Bool { at <= body.byteCount &- BatchPlan.eventBytes }

    @inline(__always)
    func word(_ body: borrowing RawSpan) -> UInt64 {
        body.word(atUnchecked: at)
    }

    /// Up to eight bytes, the first one lowest.
    @inline(__always)
    mutating func bytes(_ count: Int, _ body: borrowing RawSpan) -> UInt64 {
        let word = word(body)
        at &+= count
        return count == 8 ? word : word & ((1 &<< UInt64(truncatingIfNeeded: 8 &* count)) &- 1)
    }

    @inline(__always)
    mutating func varint(_ body: borrowing RawSpan) throws(BatchDefect) -> UInt64 {
        let word = word(body)
        if word & 0x80 == 0 {
            at &+= 1
            return word & 0x7f
        }
        let width = Varint.width(encoded: word)
        guard width > 0 else {
            var rest = self
            defer { self = rest }
            return try rest.longVarint(body)
        }
        at &+= width
        return Varint.gather(word, width: width)
    }

    private mutating func longVarint(_ body: borrowing RawSpan) throws(BatchDefect) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            let next = bytes(1, body)
            guard shift < 63 || next <= 1 else { throw .tooLong }
            value |= (next & 0x7f) << shift
            if next < 0x80 { return value }
            shift += 7
        }
    }

    /// Passes over bytes that are there; false when they are not.
    mutating func skip(_ count: Int, _ body: borrowing RawSpan) -> Bool {
        guard isInside(body), count <= body.byteCount - BatchPlan.eventBytes - at else { return false }
        at += count
        return true
    }
}

/// What can be wrong with the body of a batch message.
enum BatchDefect: String, Error {
    case endsEarly = "it ends early"
    case tooLong = "an integer is longer than 64 bits"
    case cpu = "its CPU is beyond the limit"
    case eventCount = "it claims more events than fit"
    case lossCount = "it claims more loss marks than fit"
    case recordBytes = "its records do not have the size that it claims"
    case lossMark = "a loss mark is out of order, or of an unknown kind"
    case type = "an event's type was never described"
    case ticks = "an event's time lies beyond 64 bits"
    case recordLength = "a record is shorter than its common part, or reaches past the last one"
    case string = "a string refers to one that is not there, or does not fit into its field"
}
