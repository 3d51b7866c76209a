package import SessionLog
import Synchronization
import Threading
import TraceModel
import Wire

/// An input that a thread of its own reads ahead: while one core decompresses and decodes files, another one does with the
/// inputs what they are for.
///
/// The inputs and their order are the same, and what waits is bounded. `RecordedInput` needs none: it is cheap to read, and
/// its index is made of how far it was read.
package final class ReadAhead: SessionInput {
    private enum Step: Sendable {
        case input(PipelineInput)
        case end(shortfall: String?)
        case failure(any Error)
    }

    /// What both threads have.
    private final class Shared: @unchecked Sendable {
        // @unchecked: the input is touched by the reading thread only, once that runs.
        let input: any SessionInput
        let steps = BoundedQueue<[Step]>(maximumWeight: Limits.readAheadBytes)
        /// The bits of a Double.
        let progress = Atomic<UInt64>(0)

        init(_ input: any SessionInput) { self.input = input }

        func read() {
            var (steps, weight): ([Step], Int) = ([], 0)
            var isDone = false
            while !isDone {
                do {
                    if let next = try input.next() {
                        steps.append(.input(next))
                        weight += ReadAhead.weight(of: next)
                    } else {
                        steps.append(.end(shortfall: input.shortfall))
                        isDone = true
                    }
                } catch {
                    steps.append(.failure(error))
                    isDone = true
                }
                guard isDone || weight >= ReadAhead.handedBytes else { continue }
                progress.store(input.progress.bitPattern, ordering: .relaxed)
                // Nobody wants more: the reader of the text has seen enough.
                guard self.steps.push(steps, weight: weight) else { return }
                (steps, weight) = ([], 0)
            }
        }
    }

    private let shared: Shared
    /// Taken from the queue, the next one last.
    private var taken: [Step] = []
    private var hasEnded = false
    package private(set) var shortfall: String?
    /// Waking another thread for each input would cost more than many inputs.
    private static let handedBytes = 64 << 10

    package init(_ input: any SessionInput) {
        let shared = Shared(input)
        self.shared = shared
        Thread.start("read ahead") { shared.read() }
    }

    deinit { shared.steps.close() }

    package func next() throws -> PipelineInput? {
        guard !hasEnded else { return nil }
        if taken.isEmpty { taken = shared.steps.pop()?.reversed() ?? [] }
        switch taken.popLast() {
        case .input(let input): return input
        case .failure(let error):
            hasEnded = true
            throw error
        case .end(let shortfall):
            self.shortfall = shortfall
            hasEnded = true
            return nil
        case nil: return nil
        }
    }

    package var progress: Double { Double(bitPattern: shared.progress.load(ordering: .relaxed)) }

    /// Bytes that it holds, nearly.
    private static func weight(of input: PipelineInput) -> Int {
        switch input {
        case .batch(_, let batch):
            batch.records.count + batch.headers.count * MemoryLayout<EventHeader>.stride
        case .record(.message(_, .batch(let body))): body.count
        case .record(.symbols(_, let part)): part.count
        case .record(.sourceOpened(_, _, let formats, _)): formats.reduce(0) { $0 + $1.text.utf8.count }
        case .record: 256
        }
    }
}
