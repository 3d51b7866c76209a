package import Thresholds
package import TraceModel

/// When a recording that keeps only its newest part is saved: names of the saved ones, and thresholds that ask for it.
package struct FlightRecorder: Sendable {
    private let thresholds: [Threshold]
    /// `run` of `run.tandem`.
    private let baseName: String
    private let quietNanoseconds: Int64
    private var quietUntil: HostTime?
    private var previous: Snapshot?
    private var savedCount = 0
    private var hasToldBlindness = false

    /// After a save, thresholds rest for `quietNanoseconds`: as long as what was saved reaches back, it is not saved again.
    package init(directory: String, thresholds: [Threshold], quietNanoseconds: Int64) {
        self.thresholds = thresholds
        self.quietNanoseconds = quietNanoseconds
        var name = directory
        while name.count > 1, name.hasSuffix("/") { name.removeLast() }
        baseName = name.hasSuffix(".tandem") ? String(name.dropLast(".tandem".count)) : name
    }

    /// The next save's directory.
    package mutating func nextDirectory() -> String {
        savedCount += 1
        return "\(baseName)-saved-\(savedCount).tandem"
    }

    /// Thresholds that this session never sees exceeded, and why, each told once: before anybody relies on them.
    package mutating func takeBlindThresholds(_ snapshot: Snapshot) -> [String] {
        // What the host sends is known with its source.
        guard !hasToldBlindness, !snapshot.sources.isEmpty else { return [] }
        hasToldBlindness = true
        return thresholds.compactMap { $0.blindness(in: snapshot) }
    }

    /// What exceeds a threshold now, if that is a reason to save. To be asked with every snapshot, in their order.
    package mutating func reason(_ snapshot: Snapshot) -> String? {
        defer { previous = snapshot }
        guard !thresholds.isEmpty else { return nil }
        let now = HostTime(nanoseconds: snapshot.window.endNanoseconds)
        // The first look has the whole past behind it: only what lasts counts, and shares are those since the start.
        let found = thresholds.flatMap { $0.violations(from: previous, to: snapshot) }
        guard let first = found.first else { return nil }
        if let quietUntil, now < quietUntil { return nil }
        quietUntil = now.advanced(by: quietNanoseconds)
        return found.count == 1 ? first : "\(first), and \(found.count - 1) more"
    }
}
