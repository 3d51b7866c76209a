/// Why the text of an event's `format` file cannot be used: the event stays off, all others go on.
package struct EventFormatError: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Reason: Hashable, Sendable {
        case textTooLong(bytes: Int)
        /// A line that every format file has is absent: `name:`, `ID:` or one of the common fields.
        case missing(String)
        case badName
        case badID
        /// A field line without a terminated declaration, an `offset:` or a `size:`.
        case badField
        /// A declaration in which no field name can be found, or with characters that no C declaration has.
        case badDeclaration
        /// A number that is none, or reaches beyond the largest record.
        case badNumber
        /// A common field that does not lie where `struct trace_entry` puts it: the decoder would read other fields.
        case commonFieldMoved(String)
    }

    package var reason: Reason
    /// Counted from 1; 0 when it is about the whole text.
    package var line: Int

    package init(_ reason: Reason, line: Int) {
        self.reason = reason
        self.line = line
    }

    package var description: String {
        let what =
            switch reason {
            case .textTooLong(let bytes): "\(bytes) bytes are more than any kernel's format file has"
            case .missing(let what): "there is no \(what)"
            case .badName: "the event's name is empty or has characters that no event name has"
            case .badID: "the ID is no number from 0 to 65535"
            case .badField: "the field has no offset, no size or no end"
            case .badDeclaration: "no field name can be found in the declaration"
            case .badNumber: "a number is malformed, or reaches beyond the largest ring-buffer record"
            case .commonFieldMoved(let name): "\(name) does not lie where all known kernels have it"
            }
        let place = line > 0 ? "line \(line): " : ""
        return "event format, \(place)\(what); the event cannot be decoded, report its format file"
    }
}
