import CTF
import SessionLog
import Synchronization
import Testing
import Threading
import TraceModel
import Wire

/// How a live session is followed, whatever is at the other end: what it is told, and when it waits.
@Suite(.timeLimit(.minutes(1)))
struct FeedTests {
    /// A session that says what is written, one step at a time; then it waits for ever.
    private final class Script: LiveSource, @unchecked Sendable {
        // @unchecked: belongs to the feed's thread, but for the count.
        let facts: CTFMachineFacts?
        let formats: [EventFormat]
        private var steps: [LiveReader.Step]
        private let asked: Asked

        init(_ steps: [LiveReader.Step], _ model: MachineReader, _ asked: Asked = Asked()) {
            facts = model.facts
            formats = model.formats
            self.steps = steps
            self.asked = asked
        }

        func step() -> LiveReader.Step {
            asked.count.add(1, ordering: .relaxed)
            return steps.isEmpty ? .waiting : steps.removeFirst()
        }
    }

    private final class Asked: Sendable {
        let count = Atomic<Int>(0)
    }

    /// Inputs as they come, and notices.
    private final class Told: Sendable {
        let inputs = BoundedQueue<PipelineInput>(maximumWeight: 1 << 30)
        let notices = Mutex<[String]>([])

        func next() throws -> PipelineInput {
            try #require(inputs.pop(timeoutNanoseconds: 10_000_000_000), "nothing is told")
        }
    }

    private func model() throws -> MachineReader { try #require(try open(Fixtures.path("lttng-plain/g2")).first) }

    private func events(_ times: [UInt64]) -> LiveReader.Step {
        var batch = EventBatch(cpu: 0)
        for time in times {
            batch.headers.append(
                EventHeader(
                    ticks: TraceTicks(time), offset: UInt32(batch.records.count), length: 8, pid: 1, typeIndex: 0,
                    flags: 0, preemptCount: 0))
            batch.records += [UInt8](repeating: 0, count: 8)
        }
        return .events([batch], watermark: times.last.map { TraceTicks($0) })
    }

    private func feed(_ told: Told, _ connections: [Script]) -> LiveFeed {
        let left = Mutex(connections)
        return LiveFeed(
            source: SourceID(1), name: "web", url: "net://here", tell: { told.inputs.put($0, weight: 1) },
            notice: { notice in told.notices.withLock { $0.append(notice) } },
            connect: {
                left.withLock { $0.isEmpty ? .failure(CTFError("nobody is there")) : .success($0.removeFirst()) }
            })
    }

    @Test func `inactivity is a watermark without events`() throws {
        let told = Told()
        let feed = feed(told, [Script([events([10]), .events([], watermark: TraceTicks(500))], try model())])
        _ = try feed.prepare()
        feed.run()
        defer { feed.stop() }
        var last: [PipelineInput] = []
        for _ in 0..<3 { last.append(try told.next()) }
        guard case .batch(SourceID(1), _) = last[0] else {
            Issue.record("\(last[0])")
            return
        }
        #expect(last[1] == .record(.message(SourceID(1), .watermark(TraceTicks(10)))))
        #expect(last[2] == .record(.message(SourceID(1), .watermark(TraceTicks(500)))))
    }

    @Test func `a silent session is asked less and less often`() throws {
        let (told, asked) = (Told(), Asked())
        let feed = feed(told, [Script([events([10])], try model(), asked)])
        _ = try feed.prepare()
        feed.run()
        MonotonicClock.sleep(nanoseconds: 400_000_000)
        feed.stop()
        // 2, 4, 8, 16 and 32 ms, then every 50: some ten times; a busy loop would ask a million times.
        #expect(asked.count.load(ordering: .relaxed) < 20)
    }

    @Test func `a session that broke is followed again, and what was missed is a loss on each CPU`() throws {
        let told = Told()
        let feed = feed(
            told,
            [
                Script([events([10, 20]), .ended(problem: "the connection broke")], try model()),
                Script([events([900])], try model()),
            ])
        _ = try feed.prepare()
        feed.run()
        defer { feed.stop() }
        var inputs: [PipelineInput] = []
        for _ in 0..<5 { inputs.append(try told.next()) }
        guard case .batch(_, let first) = inputs[0], case .batch(_, let gap) = inputs[2],
            case .batch(_, let again) = inputs[3]
        else {
            Issue.record("\(inputs)")
            return
        }
        #expect(first.headers.count == 2)
        #expect(gap.headers.isEmpty)
        #expect(gap.losses == [LossMark(index: 0, place: .ringBuffer, count: nil)])
        #expect(again.headers.map(\.ticks) == [TraceTicks(900)])
        #expect(inputs[4] == .record(.message(SourceID(1), .watermark(TraceTicks(900)))))
        let notices = told.notices.withLock { $0 }
        #expect(notices.first == "the connection broke; trying again every second")
        #expect(notices.last == "follows 'net://here' again")
    }

    @Test func `a session that ends is closed, and nothing follows`() throws {
        let told = Told()
        let feed = feed(told, [Script([events([10]), .ended(problem: nil)], try model())])
        _ = try feed.prepare()
        feed.run()
        var closed: PipelineInput?
        while closed == nil {
            let input = try told.next()
            if case .record(.sourceClosed) = input { closed = input }
        }
        #expect(
            closed == .record(.sourceClosed(SourceID(1), reason: "the LTTng session ended", isFailure: false)))
        feed.abandon()
        #expect(told.inputs.pop(timeoutNanoseconds: 50_000_000) == nil)
    }

    /// A relay daemon that takes a question and never answers.
    private final class Deaf: LiveSource, @unchecked Sendable {
        // @unchecked: belongs to the feed's thread.
        let facts: CTFMachineFacts?
        let formats: [EventFormat]
        private var first: LiveReader.Step?
        let answer = Latch()

        init(_ first: LiveReader.Step, _ model: MachineReader) {
            facts = model.facts
            formats = model.formats
            self.first = first
        }

        func step() -> LiveReader.Step {
            if let first {
                self.first = nil
                return first
            }
            answer.wait(nanoseconds: 30_000_000_000)
            return .ended(problem: nil)
        }
    }

    @Test func `a relay daemon that does not answer holds nobody up at the end`() throws {
        let told = Told()
        let deaf = Deaf(events([10]), try model())
        defer { deaf.answer.set(.drain) }
        let feed = LiveFeed(
            source: SourceID(1), name: "web", url: "", tell: { told.inputs.put($0, weight: 1) }, notice: { _ in },
            connect: { .success(deaf) })
        _ = try feed.prepare()
        feed.run()
        feed.abandon()
        var closed: PipelineInput?
        while closed == nil {
            let input = try told.next()
            if case .record(.sourceClosed) = input { closed = input }
        }
        #expect(
            closed
                == .record(
                    .sourceClosed(SourceID(1), reason: "the relay daemon does not answer", isFailure: true)))
    }
}
