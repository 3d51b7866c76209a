import AllocationCounting
import Analysis
import Testing
import TraceModel

/// What a session costs in memory once everybody in it is known: nothing per event.
struct AllocationTests {
    /// Simulated kernels' stories, told one after the other without an end: the same threads, exits and tasks each time.
    private struct Session {
        var batches: [(batch: EventBatch, time: Int64, source: SourceID)] = []
        var length: Int64 = 0
        var analyzer: Analyzer

        init(seeds: Range<UInt64>) {
            var writer = EventWriter(KernelFormats.sched + KernelFormats.kvm, without: [])
            analyzer = writer.analyzer(start: 0)
            for machine in SimulatedKernel.machines { analyzer.identify(machine) }
            analyzer.link(SourceID(1), vmmPID: SimulatedKernel.machines[0].vmmPID)
            for seed in seeds {
                let story = SimulatedKernel(seed: seed, events: 500, losses: true, start: length)
                for observation in story.observations {
                    var batch = EventBatch(cpu: observation.cpu)
                    let isGuests = writer.appendGuestEvent(observation.happening, to: &batch)
                    if !isGuests {
                        writer.setCurrent(observation.current, on: observation.cpu)
                        if !writer.appendHostEvent(observation.happening, to: &batch) {
                            batch.losses = [LossMark(index: 0, place: .ringBuffer, count: nil)]
                        }
                    }
                    batches.append((batch, observation.at, isGuests ? SourceID(1) : .host))
                    length = max(length, observation.at)
                }
            }
        }

        /// Analyzes all events once more. Returns how many allocations it took, and how many of the blocks were kept.
        mutating func tell(round: Int64) -> (allocations: UInt, kept: Int) {
            var times = [HostTime(nanoseconds: 0)]
            var (count, kept): (UInt, Int) = (0, 0)
            for (batch, time, source) in batches {
                times[0] = HostTime(nanoseconds: round * length + time)
                let before = (allocationsOfThisThread(), blocksKeptByThisThread())
                analyzer.apply(
                    batch, times: times, range: 0..<batch.headers.count, source: source, boundNanoseconds: 10)
                count += allocationsOfThisThread() - before.0
                kept += blocksKeptByThisThread() - before.1
            }
            return (count, kept)
        }
    }

    private static let isOptimized: Bool = {
        #if DEBUG
            false
        #else
            true
        #endif
    }()

    @Test(.enabled(if: isOptimized, "without optimization copies of large values are allocated"))
    func `nothing is allocated per event, losses and guests' tasks included`() {
        var session = Session(seeds: 0..<40)
        #expect(session.tell(round: 0).allocations > 0, "allocations are counted")
        for round: Int64 in 1...2 { _ = session.tell(round: round) }
        #expect(session.batches.count > 20_000)
        #expect(session.tell(round: 3).allocations == 0)
    }

    /// Optimized or not: what a copy takes is given back, and nothing grows.
    @Test
    func `nothing that events allocate is kept, however many come`() {
        var session = Session(seeds: 0..<40)
        #expect(session.tell(round: 0).kept > 0, "blocks are counted")
        for round: Int64 in 1...2 { _ = session.tell(round: round) }
        for round: Int64 in 3...5 { #expect(session.tell(round: round).kept == 0, "round \(round)") }
    }
}
