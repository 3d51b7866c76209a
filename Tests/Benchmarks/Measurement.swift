import RecordingSupport

/// Several runs of the same work, in nanoseconds per event.
struct Measurement {
    private var runs: [Double]

    /// Runs `work`, which gives the number of events it handled, once to warm up and then `count` times. Without another
    /// `clock`, it is the CPU time of this thread.
    init(
        runs count: Int = 9, by clock: () -> UInt64 = Clock.threadCPUNanoseconds, _ work: () throws -> Int
    ) rethrows {
        _ = try work()
        runs = []
        for _ in 0..<count {
            let start = clock()
            let events = try work()
            runs.append(Double(clock() - start) / Double(max(events, 1)))
        }
        runs.sort()
    }

    init(nanosecondsPerEvent: [Double]) { runs = nanosecondsPerEvent.sorted() }

    var minimum: Double { runs.first ?? 0 }
    var median: Double { runs.isEmpty ? 0 : runs[runs.count / 2] }

    func show(_ name: String) {
        print("\(padded(name, 44)) min \(tenths(minimum))  median \(tenths(median)) ns/event, \(runs.count) runs")
    }
}

/// `text` with spaces up to `width`.
func padded(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
}

/// A number with one digit after the point.
func tenths(_ value: Double) -> String {
    let tenths = Int((value * 10).rounded())
    return "\(tenths / 10).\(tenths % 10)"
}
