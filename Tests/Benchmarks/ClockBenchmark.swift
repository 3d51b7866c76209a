import Collector
import SessionLog
import Timeline
import TraceModel

/// How far maps of a guest's clock are off, on a recording of a host and guests that all stamped with the TSC: KVM's own
/// numbers are the truth, and what probes say without them, with and without the help of entries and exits, is judged by
/// it. The bound of every event is compared with its error.
enum ClockBenchmark {
    enum Estimators: String, CaseIterable {
        case probesOnly = "probes only"
        case probesAndEntries = "probes and entries"
    }

    static func run(_ folder: String) throws {
        let truth = try placements(of: recording(folder)) { _ in true }
        guard !truth.isEmpty else {
            print("nothing of a guest with a clock that KVM told is in '\(folder)'")
            return
        }
        for estimators in Estimators.allCases {
            let placed = try placements(of: recording(folder)) { input in
                guard case .record(let record) = input else { return true }
                switch record {
                case .clock(let source, _): return source == .host
                // Without its machine no entry is a guest's.
                case .link: return estimators == .probesAndEntries
                default: return true
                }
            }
            show(estimators.rawValue, placed, against: truth)
        }
    }

    struct Key: Hashable {
        var source: SourceID
        var cpu: Int
        var ticks: TraceTicks
    }

    struct Placement {
        var time: HostTime
        var boundNanoseconds: Int64
    }

    private static func recording(_ folder: String) throws -> RecordedInput {
        RecordedInput(try LogReader(opening: folder))
    }

    /// Where the guests' events lie; what the pipeline says of the host's is given to `host`.
    static func placements(
        of input: any SessionInput, host: (PlacedBatch) -> Void = { _ in }, where isTold: (PipelineInput) -> Bool
    ) throws -> [Key: Placement] {
        var pipeline = CollectorPipeline()
        _ = pipeline.takePlacements()
        var result: [Key: Placement] = [:]
        while let input = try input.next() {
            guard isTold(input) else { continue }
            pipeline.apply(input)
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

    static func show(_ name: String, _ placed: [Key: Placement], against truth: [Key: Placement]) {
        for source in Set(truth.keys.map(\.source)).sorted() {
            var errors: [Int64] = []
            var bounds: [Int64] = []
            var violations = 0
            for (key, right) in truth where key.source == source {
                guard let found = placed[key] else { continue }
                let error = abs(found.time - right.time)
                errors.append(error)
                bounds.append(found.boundNanoseconds)
                if error > found.boundNanoseconds + right.boundNanoseconds { violations += 1 }
            }
            print(
                "\(padded(name, 20)) guest \(source.rawValue): \(errors.count) of \(truth.keys.count { $0.source == source })"
                    + " events, \(violations) beyond the bound")
            print("    error ns  \(distribution(errors))")
            print("    bound ns  \(distribution(bounds))")
        }
    }

    static func distribution(_ values: [Int64]) -> String {
        let sorted = values.sorted()
        guard let least = sorted.first, let most = sorted.last else { return "none" }
        func at(_ share: Double) -> Int64 { sorted[Int(Double(sorted.count - 1) * share)] }
        return "min \(least)  p10 \(at(0.1))  median \(at(0.5))  p90 \(at(0.9))  p99 \(at(0.99))  max \(most)"
    }
}
