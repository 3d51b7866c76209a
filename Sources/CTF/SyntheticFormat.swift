import TraceModel

/// Writes the format that a kernel's tracefs would have for an event, so that a CTF event can go where ftrace's go.
///
/// The text is what the rest of the house reads (and `trace.dat` keeps), the fields lie as the kernel's compiler would put
/// them: in their order, each aligned to its size, strings and sequences behind them through a `__data_loc` word.
struct SyntheticFormat {
    enum Shape: Hashable {
        case integer(bytes: Int, isSigned: Bool)
        /// A task name of sixteen bytes.
        case comm
        /// A text or a sequence of numbers whose length each event tells.
        case dynamic(element: String)
        /// So many numbers of so many bytes.
        case array(count: Int, bytes: Int, isSigned: Bool)
    }

    private(set) var fields: [EventField] = []
    /// Bytes up to the end of the last fixed field: the first eight are common to all events.
    private(set) var fixedBytes = 8

    mutating func add(_ name: String, _ shape: Shape) {
        let name = unique(name)
        switch shape {
        case .integer(let bytes, let isSigned):
            add(name, Self.typeName(bytes, isSigned), bytes, alignment: bytes, isSigned, .integer)
        case .comm: add(name, "char[16]", 16, alignment: 1, false, .text)
        case .dynamic(let element): add(name, "__data_loc \(element)[]", 4, alignment: 4, false, .dynamic)
        case .array(let count, let bytes, let isSigned):
            let type = "\(Self.typeName(bytes, isSigned))[\(count)]"
            add(name, type, count * bytes, alignment: bytes, isSigned, .bytes)
        }
    }

    private mutating func add(
        _ name: String, _ type: String, _ size: Int, alignment: Int, _ isSigned: Bool, _ kind: EventField.Kind
    ) {
        let offset = (fixedBytes + alignment - 1) / alignment * alignment
        fields.append(
            EventField(name: name, type: type, offset: offset, size: size, isSigned: isSigned, kind: kind))
        fixedBytes = offset + size
    }

    /// C wants each member's name once; CTF's nested structures, taken apart, may give one twice.
    private func unique(_ name: String) -> String {
        var candidate = name
        var number = 2
        while fields.contains(where: { $0.name == candidate }) {
            candidate = "\(name)_\(number)"
            number += 1
        }
        return candidate
    }

    static func typeName(_ bytes: Int, _ isSigned: Bool) -> String {
        switch bytes {
        case 1: isSigned ? "signed char" : "unsigned char"
        case 2: isSigned ? "short" : "unsigned short"
        case 4: isSigned ? "int" : "unsigned int"
        default: isSigned ? "long" : "unsigned long"
        }
    }

    func format(id: UInt16, system: String, name: String) -> EventFormat {
        var text = "name: \(name)\nID: \(id)\nformat:\n"
        for common in Self.common { text += Self.line(common) }
        text += "\n"
        for field in fields { text += Self.line(field) }
        text += "\n\(Self.printMark)\(printFormat)\n"
        return EventFormat(kernelID: id, system: system, name: name, fields: fields, text: text)
    }

    static let printMark = "print fmt: "

    /// `struct trace_entry`, include/linux/trace_events.h.
    private static let common = [
        EventField(name: "common_type", type: "unsigned short", offset: 0, size: 2, isSigned: false, kind: .integer),
        EventField(name: "common_flags", type: "unsigned char", offset: 2, size: 1, isSigned: false, kind: .integer),
        EventField(
            name: "common_preempt_count", type: "unsigned char", offset: 3, size: 1, isSigned: false, kind: .integer),
        EventField(name: "common_pid", type: "int", offset: 4, size: 4, isSigned: true, kind: .integer),
    ]

    private static func line(_ field: EventField) -> String {
        // An array's brackets stand behind the name, as C has them; those of a `__data_loc` stay with its type.
        var declaration = "\(field.type) \(field.name)"
        if field.kind != .dynamic, let bracket = field.type.firstIndex(of: "[") {
            declaration = "\(field.type[..<bracket]) \(field.name)\(field.type[bracket...])"
        }
        return "\tfield:\(declaration);\toffset:\(field.offset);\tsize:\(field.size);"
            + "\tsigned:\(field.isSigned ? 1 : 0);\n"
    }

    private var printFormat: String {
        var format: [String] = []
        var arguments = ""
        for field in fields {
            switch field.kind {
            case .integer:
                format.append("\(field.name)=\(field.isSigned ? "%lld" : "%llu")")
                arguments += ", (\(field.isSigned ? "long long" : "unsigned long long"))REC->\(field.name)"
            case .text:
                format.append("\(field.name)=%s")
                arguments += ", REC->\(field.name)"
            case .dynamic where field.type.contains("char["):
                format.append("\(field.name)=%s")
                arguments += ", __get_str(\(field.name))"
            default: break
            }
        }
        return "\"\(format.joined(separator: " "))\"\(arguments)"
    }
}
