/// Small texts of tracefs, read by pure functions: which clocks there are, how large a sub-buffer is, what is wrong with
/// a filter.

/// `trace_clock`: `[local] global counter …`, the chosen one in brackets.
package struct TraceClockList: Hashable, Sendable {
    package var available: [String]
    package var chosen: String?

    package init(parsing text: String) {
        let words = text.split { $0 == " " || $0 == "\n" }.map(String.init)
        let bracketed = words.first { $0.hasPrefix("[") && $0.hasSuffix("]") }
        chosen = bracketed.map { String($0.dropFirst().dropLast()) }
        available = words.map { $0 == bracketed ? String($0.dropFirst().dropLast()) : $0 }
    }
}

/// `events/header_page`: the layout of a sub-buffer, a line for each part. The data comes last and fills it up.
package struct HeaderPage: Hashable, Sendable {
    package var subBufferBytes: Int

    /// Nil when the text does not say where the data lies, or says something that no page is.
    package init?(parsing text: String) {
        guard let line = text.split(separator: "\n").first(where: { $0.contains(" data;") }) else { return nil }
        var values: [Substring: Int] = [:]
        for part in line.split(separator: ";") {
            let words = part.split(whereSeparator: { $0 == ":" || $0 == " " || $0 == "\t" })
            if words.count == 2, let value = Int(words[1]) { values[words[0]] = value }
        }
        // Nine bytes are less than any header; the kernel allows sub-buffers up to 2^7 pages of at most 64 KiB.
        guard let offset = values["offset"], let size = values["size"], (8...64).contains(offset),
            (64...8 << 20).contains(size)
        else { return nil }
        subBufferBytes = offset + size
    }
}

/// An event's `filter` file after the kernel refused a filter (kernel/trace/trace_events_filter.c, append_filter_err):
/// the filter, a caret below the place where its reading ended, then `parse_error: Field not found`.
package enum FilterAnswer {
    /// `Field not found after 'prev_pidx'`; nil when the text holds no error.
    package static func message(parsing text: String) -> String? {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard let filter = lines.first, let error = lines.last(where: { $0.hasPrefix("parse_error:") }) else {
            return nil
        }
        let words = error.dropFirst("parse_error:".count).drop { $0 == " " }
        guard let caret = lines.last(where: { $0.hasSuffix("^") && $0.dropLast().allSatisfy { $0 == " " } }) else {
            return String(words)
        }
        var read = filter.prefix(caret.count - 1)
        while read.last == " " { read.removeLast() }
        return "\(words) after '\(read)'"
    }
}
