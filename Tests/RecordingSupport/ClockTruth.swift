import Collector
package import SessionLog
package import Timeline
package import TraceModel

/// How far maps of guests' clocks are off, event by event, on sessions whose guests stamped with the TSC: KVM's own numbers
/// are the truth, and what is said without them is judged by it.
package enum ClockTruth {
    /// What a map is made from without KVM's numbers.
    package enum Estimators: String, CaseIterable, Sendable {
        case probesOnly = "probes only"
        case probesAndEntries = "probes and entries"
        /// Of the same, when everything was known (`report --resync`).
        case afterwards = "afterwards"
    }

    package struct Key: Hashable, Sendable {
        package var source: SourceID
        package var cpu: Int
        package var ticks: TraceTicks
    }

    package struct Placement: Sendable {
        package var time: HostTime
        package var boundNanoseconds: Int64
    }

    package typealias Placements = [Key: Placement]

    /// One guest's events by one map.
    package struct Errors: Sendable {
        package var source: SourceID
        /// Events whose place is known by both.
        package fileprivate(set) var compared = 0
        package fileprivate(set) var all = 0
        /// Those that are farther off than their bound says.
        package fileprivate(set) var violations = 0
        package fileprivate(set) var errors: [Int64] = []
        package fileprivate(set) var bounds: [Int64] = []

        package var text: String {
            """
            guest \(source.rawValue): \(compared) of \(all) events, \(violations) beyond the bound
                error ns  \(distribution(errors))
                bound ns  \(distribution(bounds))
            """
        }
    }

    /// Where the guests' events lie; what the pipeline says of the host's is given to `host`.
    package static func placements(
        of input: any SessionInput, host: (PlacedBatch) -> Void = { _ in },
        where isTold: (PipelineInput) -> Bool = { _ in true }
    ) throws -> Placements {
        var pipeline = CollectorPipeline()
        _ = pipeline.takePlacements()
        var result: Placements = [:]
        while let input = try input.next() {
            guard isTold(input) else { continue }
            pipeline.apply(input)
            _ = pipeline.takeUnidentifiedThreads()
            for placed in pipeline.takePlacements() {
                guard placed.source != .host else {
                    host(placed)
                    continue
                }
                for (header, time) in zip(placed.batch.headers, placed.times) {
                    result[Key(source: placed.source, cpu: placed.batch.cpu, ticks: header.ticks)] = Placement(
                        time: time, boundNanoseconds: placed.boundNanoseconds)
                }
            }
        }
        return result
    }

    /// The same by maps that KVM's numbers have no part in; `session` begins it anew.
    package static func placements(
        by estimators: Estimators, _ session: () throws -> any SessionInput
    ) throws -> Placements {
        func bare() throws -> any SessionInput { Untold(try session(), withLinks: estimators != .probesOnly) }
        guard estimators == .afterwards else { return try placements(of: bare()) }
        return try placements(of: ResyncedInput(bare(), maps: Resync(of: bare()).maps))
    }

    /// By guest.
    package static func errors(_ placed: Placements, against truth: Placements) -> [Errors] {
        var all: [SourceID: Errors] = [:]
        for (key, right) in truth {
            var errors = all.removeValue(forKey: key.source) ?? Errors(source: key.source)
            errors.all += 1
            if let found = placed[key] {
                let error = abs(found.time - right.time)
                errors.compared += 1
                errors.errors.append(error)
                errors.bounds.append(found.boundNanoseconds)
                if error - right.boundNanoseconds > found.boundNanoseconds { errors.violations += 1 }
            }
            all[key.source] = errors
        }
        return all.values.sorted { $0.source < $1.source }
    }

    package static func distribution(_ values: [Int64]) -> String {
        let sorted = values.sorted()
        guard let least = sorted.first, let most = sorted.last else { return "none" }
        func at(_ share: Double) -> Int64 { sorted[Int(Double(sorted.count - 1) * share)] }
        return "min \(least)  p10 \(at(0.1))  median \(at(0.5))  p90 \(at(0.9))  p99 \(at(0.99))  max \(most)"
    }
}

/// A session without what KVM says of the guests' clocks.
private final class Untold: SessionInput {
    private let input: any SessionInput
    /// Without its machine no entry is a guest's.
    private let withLinks: Bool

    init(_ input: any SessionInput, withLinks: Bool) {
        self.input = input
        self.withLinks = withLinks
    }

    func next() throws -> PipelineInput? {
        while let next = try input.next() {
            switch next {
            case .record(.clock(let source, _)) where source != .host: continue
            case .record(.link) where !withLinks: continue
            default: return next
            }
        }
        return nil
    }

    var shortfall: String? { input.shortfall }
    var progress: Double { input.progress }
}
