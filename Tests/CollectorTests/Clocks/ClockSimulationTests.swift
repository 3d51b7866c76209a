import Collector
import Foundation
import Testing
import TraceModel

/// The law of the clocks, on machines of which the truth is known: no event is farther from its true time than is stated.
///
/// Every run is another world: offsets of zero to years, drift of ±200 ppm and wandering rates, steps that the host tells
/// and that it does not, scaled TSCs, pauses up to an hour, delays that are asymmetric, jitter from 1 µs to 50 ms, lost
/// probes and lost host events, vCPUs that never run, clones. The whole way is walked: intake, windows, map, placing.
struct ClockSimulationTests {
    /// `TANDEM_CLOCK_RUNS=10000 swift test -c release` takes minutes.
    private static let runs = ProcessInfo.processInfo.environment["TANDEM_CLOCK_RUNS"].flatMap { UInt64($0) } ?? 200
    private static let firstSeed = ProcessInfo.processInfo.environment["TANDEM_CLOCK_SEED"].flatMap { UInt64($0) } ?? 0

    /// Bounds of events, by what their clocks rest on.
    private struct Bounds {
        var known: [Int64] = []
        /// Less what an entry and an exit take at least: nothing can be known better than that.
        var measured: [Int64] = []

        /// From the second second on, of clocks that nothing happens to and vCPUs that all run.
        mutating func add(_ world: ClockWorld) {
            for judgement in world.judgements where judgement.trueInstant > 1.2e9 && !world.isHostLossy {
                let guest = world.guests[judgement.guest]
                guard guest.steps.isEmpty, guest.pause == nil, guest.idle.isEmpty else { continue }
                if guest.clock == .known {
                    known.append(judgement.boundNanoseconds)
                } else if guest.link.jitter < 1e6, guest.link.toGuest + guest.link.toHost < 1e6 {
                    measured.append(judgement.boundNanoseconds - Int64(guest.crossingNanoseconds))
                }
            }
        }
    }

    private func median(_ values: [Int64]) -> Int64? { values.isEmpty ? nil : values.sorted()[values.count / 2] }

    @Test
    func `the true error is within the stated bound at every event, whatever happens to clocks and links`() throws {
        var events = 0
        var excused = 0
        var bounds = Bounds()
        for seed in Self.firstSeed..<Self.firstSeed + Self.runs {
            let world = try ClockWorld(seed: seed)
            events += world.judgements.count
            excused += world.judgements.count { $0.isExcused }
            bounds.add(world)
            let wrong = world.judgements.filter { !$0.isExcused && $0.errorNanoseconds > $0.boundNanoseconds }
            if let first = wrong.first {
                Issue.record(
                    "seed \(seed): \(wrong.count) of \(world.judgements.count) events, first \(first) of \(world.guests[first.guest])"
                )
            }
        }
        print("\(Self.runs) runs, \(events) events, \(excused) of them after a step that nothing had told yet")
        guard Self.runs >= 100 else { return }
        #expect(events > Int(Self.runs) * 100)
        let (known, measured) = try (#require(median(bounds.known)), #require(median(bounds.measured)))
        print("median bound with KVM's numbers \(known) ns, measured \(measured) ns beside the crossing itself")
        #expect(known <= 4)
        #expect(measured <= 100)
    }

    private func checkFiltered(
        _ filter: ClockWorld.Filter, where counts: (ClockWorld, ClockWorld.Judgement) -> Bool = { _, _ in true },
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> [ClockWorld] {
        let worlds = try (0..<40).map { try ClockWorld(seed: $0, filter: filter) }
        for (seed, world) in worlds.enumerated() {
            let wrong = world.judgements.filter {
                !$0.isExcused && $0.errorNanoseconds > $0.boundNanoseconds && counts(world, $0)
            }
            if let first = wrong.first {
                Issue.record(
                    "seed \(seed): \(wrong.count) of \(world.judgements.count) events, first \(first)",
                    sourceLocation: sourceLocation)
            }
        }
        return worlds
    }

    @Test
    func `a filter on exits alone makes no bound wrong`() throws {
        let worlds = try checkFiltered(.exits)
        #expect(worlds.allSatisfy { $0.pipeline.snapshot().health.limits.allSatisfy { !$0.contains("filter") } })
    }

    @Test
    func `where entries and exits are filtered they bound nothing, and that is said`() throws {
        for world in try checkFiltered(.told) {
            let snapshot = world.pipeline.snapshot()
            #expect(snapshot.health.limits.contains { $0.hasPrefix("kvm_entry and kvm_exit are filtered") })
            #expect(snapshot.sources.allSatisfy { $0.clock?.estimators.contains("entries") == false })
            #expect(snapshot.sources.dropFirst().allSatisfy { $0.clock?.containment == nil })
        }
    }

    @Test
    func `entries and exits that turn out to be filtered bound nothing from then on`() throws {
        let worlds = try checkFiltered(.untold) { world, judgement in
            world.distrusted[judgement.guest].map { judgement.trueInstant > $0 + 2e8 } ?? false
        }
        #expect(worlds.count { !$0.distrusted.isEmpty } > 20)
    }
}
