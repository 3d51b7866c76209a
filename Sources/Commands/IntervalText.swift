import Foundation
import TraceModel
import Views

/// A list of intervals in one of the formats, collected until it is worth a call.
struct IntervalText {
    private let format: OutputFormat
    private var text = ""
    private var view: IntervalsView?
    private var hasHeading = false
    private let encoder: JSONEncoder = {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return encoder
    }()

    init(format: OutputFormat) { self.format = format }

    /// Times of the table count from `start`.
    mutating func append(_ intervals: [StateInterval], start: HostTime) {
        switch format {
        case .table:
            let view = view ?? IntervalsView(start: start.nanoseconds, width: Terminal.width ?? 120)
            self.view = view
            if !hasHeading { add(view.heading.text) }
            for interval in intervals { add(view.line(interval).text) }
        case .csv:
            if !hasHeading { text += CSVTable.intervalHeader }
            for interval in intervals { text += CSVTable.row(interval) }
        case .json:
            for interval in intervals {
                // Numbers and text only: nothing that JSON cannot say.
                guard let data = try? encoder.encode(interval) else { continue }
                add(String(decoding: data, as: UTF8.self))
            }
        }
        hasHeading = true
    }

    private mutating func add(_ line: String) { text += line + "\n" }

    var isLong: Bool { text.utf8.count >= 256 << 10 }

    /// False when nobody reads it any more.
    mutating func write() throws -> Bool {
        defer { text = "" }
        return try text.withUTF8 { try StandardOutput.write(UnsafeRawBufferPointer($0), of: "the intervals") }
    }
}
