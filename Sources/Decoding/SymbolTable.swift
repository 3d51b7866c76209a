package import TraceModel

/// The kernel's own names for the values of a field, taken from the event's print format.
///
/// So that Tandem has no list of exit reasons, flags or states of its own that would age: the kernel that wrote the event
/// also says what its numbers mean.
package struct SymbolTable: Hashable, Sendable {
    package struct Entry: Hashable, Sendable {
        package let value: UInt64
        package let name: String
    }

    /// In the kernel's order, values cut to what the field can hold.
    package let entries: [Entry]
    /// What of a value is compared: the field's width, and any mask of the print format.
    private let mask: UInt64
    private let names: [UInt64: String]

    /// Nil when the print format has no table for `field`, or several that differ: then more than the value decides.
    package init?(printFormat format: EventFormat, field: String) {
        let calls = SymbolicCall.all(in: PrintFormatToken.scan(formatFile: format.text)).filter { $0.field == field }
        guard let first = calls.first, calls.allSatisfy({ $0.entries == first.entries && $0.mask == first.mask }) else {
            return nil
        }
        self.init(first, of: format)
    }

    /// Nil when the event has no such field.
    init?(_ call: SymbolicCall, of format: EventFormat) {
        guard let field = format.field(call.field), field.kind == .integer else { return nil }
        let mask = call.mask & (field.size >= 8 ? .max : (1 << UInt64(field.size * 8)) - 1)
        // `{ -1, "invalid_guest_state" }` stands for 0xffffffff in a field of 32 bits.
        entries = call.entries.map { Entry(value: $0.value & mask, name: $0.name) }
        self.mask = mask
        // The kernel takes the first entry that fits (kernel/trace/trace_output.c, `trace_print_symbols_seq`).
        names = Dictionary(entries.map { ($0.value, $0.name) }) { first, _ in first }
    }

    /// The name of a value of the field, sign-extended or not; nil when the kernel has none for it.
    package subscript(value: UInt64) -> String? { names[value & mask] }
}
