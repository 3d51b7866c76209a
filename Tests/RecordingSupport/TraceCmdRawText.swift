package import TraceModel

/// Events in the words of `trace-cmd report -R -t`: what libtraceevent prints without an event's print format.
///
/// Found by looking at its output (trace-cmd 3.1.6, libtraceevent 1.7.1): pointers and whatever has `long` in its type
/// are hexadecimal, character and byte arrays are text as long as they are printable, other arrays are lists of bytes.
package struct TraceCmdRawText {
    package struct Line {
        /// `-PID  [CPU]`; the task's name before it comes from a cache of the recorder and is not compared.
        package var task: [UInt8]
        /// From the time to the last field.
        package var rest: [UInt8]

        /// Whether trace-cmd's line says the same. The padding between its two parts depends on the time.
        package func isShown(by line: ArraySlice<UInt8>) -> Bool {
            guard line.count > rest.count, line.suffix(rest.count).elementsEqual(rest) else { return false }
            var before = line.dropLast(rest.count)
            while before.last == 0x20 { before = before.dropLast() }
            return before.suffix(task.count).elementsEqual(task)
        }
    }

    private enum Style {
        case decimal(width: Int)
        case unsigned
        case hexadecimal
        /// Cleared for the rest of the run by the first value that is not printable, as libtraceevent does.
        case text
        case list
    }

    private struct Field {
        let label: [UInt8]
        let field: EventField
        let number: IntegerField?
        var style: Style
    }

    private struct Event {
        let name: [UInt8]
        var fields: [Field]
    }

    private var events: [Event]
    private let areTicksPlain: Bool

    /// With `areTicksPlain`, times are the numbers that the clock gave, as `report --raw-ts` shows them.
    package init(_ table: FormatTable, areTicksPlain: Bool = false) {
        self.areTicksPlain = areTicksPlain
        events = table.formats.map { format in
            let name = "\(format.name):"
            return Event(
                name: Array((name + String(repeating: " ", count: max(0, 21 - name.utf8.count)) + " ").utf8),
                fields: format.fields.map {
                    Field(
                        label: Array(" \($0.name)=".utf8), field: $0,
                        number: IntegerField($0, byteOrder: table.byteOrder), style: Self.style($0))
                })
        }
    }

    private static func style(_ field: EventField) -> Style {
        func has(_ word: String) -> Bool { field.type.contains(word) }
        if has("[") { return has("char") || has("u8") || has("s8") ? .text : .list }
        if has("*") { return .hexadecimal }
        if field.isSigned {
            if field.size == 4, has("long") { return .hexadecimal }
            return .decimal(width: field.size == 2 ? 2 : 1)
        }
        return has("long") ? .hexadecimal : .unsigned
    }

    package mutating func line(_ header: EventHeader, in batch: EventBatch) -> Line {
        let type = Int(header.typeIndex)
        var text: [UInt8] = []
        text.reserveCapacity(512)
        if areTicksPlain {
            Self.append(header.ticks.rawValue, to: &text)
        } else {
            Self.append(header.ticks.rawValue / 1_000_000_000, to: &text)
            text.append(UInt8(ascii: "."))
            Self.append(header.ticks.rawValue % 1_000_000_000, minimumDigits: 9, to: &text)
        }
        text += [UInt8(ascii: ":"), UInt8(ascii: " ")]
        text += events[type].name
        for index in events[type].fields.indices {
            text += events[type].fields[index].label
            Self.append(&events[type].fields[index], header, batch, to: &text)
        }
        let pid = "\(header.pid)"
        let cpu = "\(batch.cpu)"
        let task =
            "-\(pid)\(String(repeating: " ", count: max(0, 5 - pid.utf8.count)))"
            + " [\(String(repeating: "0", count: max(0, 3 - cpu.utf8.count)))\(cpu)]"
        return Line(task: Array(task.utf8), rest: text)
    }

    private static func append(_ field: inout Field, _ header: EventHeader, _ batch: EventBatch, to text: inout [UInt8])
    {
        let start = Int(header.offset)
        let value = field.number?.value(in: batch.records.span.bytes, of: header) ?? 0
        switch field.style {
        case .decimal(let width):
            if value < 0 { text.append(UInt8(ascii: "-")) }
            if value >= 0, value < 10, width == 2 { text.append(UInt8(ascii: " ")) }
            append(value.magnitude, to: &text)
        case .unsigned: append(UInt64(bitPattern: value), to: &text)
        case .hexadecimal:
            let bits = field.field.size == 4 ? UInt64(UInt32(truncatingIfNeeded: value)) : UInt64(bitPattern: value)
            text += Array("0x\(String(bits, radix: 16))".utf8)
        case .text, .list:
            var place = start + field.field.offset
            var size = field.field.size
            if field.field.kind == .dynamic || field.field.kind == .relativeDynamic {
                let word = Int(UInt32(truncatingIfNeeded: value))
                place =
                    (field.field.kind == .dynamic ? start : start + field.field.offset + field.field.size)
                    + word & 0xffff
                size = word >> 16
            }
            guard place + size <= start + Int(header.length) else {
                text += Array("outside of the record".utf8)
                return
            }
            let bytes = batch.records[place..<place + size]
            let string = bytes.prefix { $0 != 0 }
            if case .text = field.style, string.allSatisfy(isPrintable) {
                text += string
                return
            }
            field.style = .list
            text += Array("ARRAY[".utf8)
            for (index, byte) in bytes.enumerated() {
                if index > 0 { text += [UInt8(ascii: ","), UInt8(ascii: " ")] }
                text += [digit(byte >> 4), digit(byte & 15)]
            }
            text.append(UInt8(ascii: "]"))
        }
    }

    private static func isPrintable(_ byte: UInt8) -> Bool { byte >= 0x20 && byte < 0x7f || byte >= 9 && byte <= 13 }

    private static func digit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
    }

    private static func append(_ value: UInt64, minimumDigits: Int = 1, to text: inout [UInt8]) {
        let digits = Array(String(value).utf8)
        if digits.count < minimumDigits {
            text += [UInt8](repeating: UInt8(ascii: "0"), count: minimumDigits - digits.count)
        }
        text += digits
    }
}
