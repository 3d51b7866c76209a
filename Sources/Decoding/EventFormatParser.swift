package import TraceModel

/// Reads the text of a tracefs `events/SYSTEM/EVENT/format` file.
///
/// The text is lines of `key: value`, then one line for each field (kernel/trace/trace_events.c, `f_show`):
/// `\tfield:DECLARATION;\toffset:N;\tsize:N;\tsigned:N;`, then `print fmt:` and an expression that is kept as text only.
/// Kernels before 2.6.32 lack `signed:` and write `field special:` for arrays. Only offsets and sizes are trusted. A
/// guest sends these texts, so that each number is checked and the work is linear in the length. Lines of an unknown
/// kind are skipped: newer kernels may add some.
package enum EventFormatParser {
    /// `system` is the name of the folder that holds the event's folder; the text does not have it.
    package static func parse(_ text: String, system: String) throws(EventFormatError) -> EventFormat {
        let bytes = Array(text.utf8)
        guard bytes.count <= Limits.formatBytes else {
            throw EventFormatError(.textTooLong(bytes: bytes.count), line: 0)
        }
        let systemName = Array(system.utf8)
        guard isEventName(systemName, systemName.indices) else { throw EventFormatError(.badName, line: 0) }
        var name: String?
        var id: UInt16?
        var fields: [EventField] = []
        var common: [EventField] = []
        var start = 0
        var number = 0
        while start < bytes.count {
            let end = ByteScanner.first(UInt8(ascii: "\n"), bytes, start..<bytes.count) ?? bytes.count
            number += 1
            var line = ByteScanner(bytes, start..<end, line: number)
            start = end + 1
            line.skipSpaces()
            // The expression may itself span lines; nothing of it is looked at here.
            if line.skip("print fmt:") { break }
            if line.skip("name:") {
                let rest = line.trimmedRest
                guard isEventName(bytes, rest) else { throw line.error(.badName) }
                name = String(decoding: bytes[rest], as: UTF8.self)
            } else if line.skip("ID:") {
                line.skipSpaces()
                guard let value = line.number(), let value = UInt16(exactly: value) else { throw line.error(.badID) }
                id = value
            } else if line.skip("field:") || line.skip("field special:") {
                let field = try parseField(bytes, &line)
                if field.name.hasPrefix("common_") {
                    try checkCommon(field, line)
                    common.append(field)
                } else {
                    fields.append(field)
                }
            }
        }
        guard let name else { throw EventFormatError(.missing("name"), line: 0) }
        guard let id else { throw EventFormatError(.missing("ID"), line: 0) }
        for (needed, _, _) in commonLayout where !common.contains(where: { $0.name == needed }) {
            throw EventFormatError(.missing(needed), line: 0)
        }
        return EventFormat(kernelID: id, system: system, name: name, fields: fields, text: text)
    }

    /// `struct trace_entry` (include/linux/trace_events.h), which the decoder reads without asking. Other common fields
    /// come after it in some kernels (`common_tgid`, `common_preempt_lazy_count`).
    private static let commonLayout: [(name: String, offset: Int, size: Int)] = [
        ("common_type", 0, 2), ("common_flags", 2, 1), ("common_preempt_count", 3, 1), ("common_pid", 4, 4),
    ]

    private static func checkCommon(_ field: EventField, _ line: ByteScanner) throws(EventFormatError) {
        guard let known = commonLayout.first(where: { $0.name == field.name }) else { return }
        guard field.offset == known.offset, field.size == known.size else {
            throw line.error(.commonFieldMoved(field.name))
        }
    }

    /// What follows `field:`.
    private static func parseField(
        _ text: [UInt8], _ line: inout ByteScanner
    ) throws(EventFormatError) -> EventField {
        guard let words = line.take(upTo: UInt8(ascii: ";")) else { throw line.error(.badField) }
        guard let declaration = FieldDeclaration(text, words) else { throw line.error(.badDeclaration) }
        var offset: Int?
        var size: Int?
        var isSigned: Bool?
        while true {
            line.skipSpaces()
            if line.isAtEnd { break }
            guard let key = line.take(upTo: UInt8(ascii: ":")) else { throw line.error(.badField) }
            line.skipSpaces()
            guard let value = line.number() else { throw line.error(.badNumber) }
            guard line.skip(";") else { throw line.error(.badField) }
            if ByteScanner.isEqual(text, key, "offset") { offset = value }
            if ByteScanner.isEqual(text, key, "size") { size = value }
            if ByteScanner.isEqual(text, key, "signed") { isSigned = value != 0 }
        }
        guard let offset, let size else { throw line.error(.badField) }
        // A record lies in one sub-buffer, and those have at most 64 KiB.
        guard offset + size <= 1 << 16 else { throw line.error(.badNumber) }
        return EventField(
            name: declaration.name, type: declaration.type, offset: offset, size: size,
            isSigned: isSigned ?? declaration.looksSigned, kind: declaration.kind(size: size))
    }

    /// Letters, digits and `_-.`: what kernel/trace/trace.h (`is_good_name`) allows, and what some static events have.
    /// A name with anything else could do harm where it is printed or used as part of a path.
    private static func isEventName(_ text: [UInt8], _ name: Range<Int>) -> Bool {
        guard let first = name.first, name.count <= 256, text[first] != UInt8(ascii: ".") else { return false }
        return name.allSatisfy { place in
            ByteScanner.isIdentifier(text[place]) || text[place] == UInt8(ascii: "-")
                || text[place] == UInt8(ascii: ".")
        }
    }
}
