import Foundation
import TraceModel

/// The one JSON form of a snapshot: keys sorted, so that two outputs can be compared.
enum SnapshotJSON {
    static func text(_ snapshot: Snapshot) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // A snapshot holds numbers and text only; what JSON cannot say (infinities) cannot be in it.
        guard let data = try? encoder.encode(snapshot) else { return "{}" }
        return String(decoding: data, as: UTF8.self)
    }
}
