import Collector
import SessionLog
import Testing
import TraceModel

/// Inputs that another thread reads ahead.
struct ReadAheadTests {
    /// Batches of numbered events, and then an end or an error.
    private final class Numbers: SessionInput {
        let count: Int
        let failure: LateError?
        var told = 0

        init(count: Int, failure: LateError? = nil) {
            self.count = count
            self.failure = failure
        }

        func next() throws -> PipelineInput? {
            guard told < count else {
                if let failure { throw failure }
                return nil
            }
            told += 1
            return .batch(.host, ReadAheadTests.batch(told))
        }

        var shortfall: String? { told == count ? "the end is missing" : nil }
        var progress: Double { Double(told) / Double(count) }
    }

    private struct LateError: Error, Equatable {}

    private static func batch(_ number: Int) -> EventBatch {
        var batch = EventBatch(cpu: number % 3)
        batch.records = [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: 8 + number * 37 % 20_000)
        batch.headers = [
            EventHeader(
                ticks: TraceTicks(UInt64(number)), offset: 0, length: UInt32(batch.records.count), pid: 1, typeIndex: 0,
                flags: 0, preemptCount: 0)
        ]
        return batch
    }

    private func check(count: Int, _ failure: LateError? = nil, sourceLocation: SourceLocation = #_sourceLocation)
        throws
    {
        let ahead = ReadAhead(Numbers(count: count, failure: failure))
        for number in 0..<count {
            let next = try ahead.next()
            #expect(next == .batch(.host, Self.batch(number + 1)), sourceLocation: sourceLocation)
        }
        if let failure {
            #expect(throws: failure, sourceLocation: sourceLocation) { try ahead.next() }
            #expect(ahead.shortfall == nil, sourceLocation: sourceLocation)
        } else {
            #expect(try ahead.next() == nil, sourceLocation: sourceLocation)
            #expect(ahead.shortfall == "the end is missing", sourceLocation: sourceLocation)
            #expect(ahead.progress == 1, sourceLocation: sourceLocation)
        }
        #expect(try ahead.next() == nil, "nothing follows the end", sourceLocation: sourceLocation)
    }

    @Test func `the same inputs come in the same order, and then what the input ended with`() throws {
        // Twenty megabytes are more than may wait.
        for count in [1, 2, 7, 2000] {
            try check(count: count)
            try check(count: count, LateError())
        }
    }

    @Test func `what nobody takes is not read beyond the bound`() throws {
        let numbers = Numbers(count: 1_000_000)
        var ahead: ReadAhead? = ReadAhead(numbers)
        #expect(try ahead?.next() == .batch(.host, Self.batch(1)))
        ahead = nil
        // The reader holds the input until it has seen that nobody wants more.
        #expect(numbers.told < numbers.count)
    }
}
