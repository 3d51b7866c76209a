import CBabeltrace2
import TraceModel

/// The clock that stamps a machine's events.
package struct CTFClock: Hashable, Sendable {
    package var name: String
    /// LTTng takes the boot id of the machine for it: clocks with the same one are one clock.
    package var uuid: String
    package var frequency: UInt64
    /// From the clock's zero to the epoch of 1970, in nanoseconds; nil when it has no known origin.
    package var epochOffsetNanoseconds: Int64?

    init(name: String, uuid: String, frequency: UInt64, epochOffsetNanoseconds: Int64?) {
        self.name = name
        self.uuid = uuid
        self.frequency = frequency
        self.epochOffsetNanoseconds = epochOffsetNanoseconds
    }

    init(_ clockClass: OpaquePointer) {
        name = bt_clock_class_get_name(clockClass).map { String(cString: $0).sanitized } ?? ""
        uuid = bt_clock_class_get_uuid(clockClass).map { UUIDText.text($0) } ?? ""
        frequency = max(1, bt_clock_class_get_frequency(clockClass))
        var seconds: Int64 = 0
        var cycles: UInt64 = 0
        bt_clock_class_get_offset(clockClass, &seconds, &cycles)
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, carry) = whole.addingReportingOverflow(
            Int64(clamping: CTFClock.nanoseconds(cycles, frequency: frequency)))
        let hasOrigin = bt_clock_class_origin_is_unix_epoch(clockClass) != 0
        epochOffsetNanoseconds = hasOrigin && !overflow && !carry ? sum : nil
    }

    func nanoseconds(_ cycles: UInt64) -> UInt64 { CTFClock.nanoseconds(cycles, frequency: frequency) }

    /// Saturates: the numbers come from a file.
    @inline(__always)
    static func nanoseconds(_ cycles: UInt64, frequency: UInt64) -> UInt64 {
        if frequency == 1_000_000_000 { return cycles }
        let product = cycles.multipliedFullWidth(by: 1_000_000_000)
        guard product.high < frequency else { return .max }
        return frequency.dividingFullWidth(product).quotient
    }
}

/// UUIDs as sixteen bytes and as text.
enum UUIDText {
    static func text(_ bytes: UnsafePointer<UInt8>) -> String {
        var text = ""
        for index in 0..<16 {
            if [4, 6, 8, 10].contains(index) { text += "-" }
            let digits = String(bytes[index], radix: 16)
            text += digits.count == 1 ? "0" + digits : digits
        }
        return text
    }

    /// Nil when it is no UUID.
    static func bytes(_ text: String) -> [UInt8]? {
        let digits = text.filter { $0 != "-" }
        guard digits.utf8.count == 32 else { return nil }
        var bytes: [UInt8] = []
        var rest = Substring(digits)
        while !rest.isEmpty {
            guard let byte = UInt8(rest.prefix(2), radix: 16) else { return nil }
            bytes.append(byte)
            rest = rest.dropFirst(2)
        }
        return bytes
    }
}
