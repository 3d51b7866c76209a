import CTF
import Collector
import Foundation
import SessionLog
import Testing
import TraceModel
import Wire

/// CTF directories as a session: the rules of `SessionInput`, the roles, the clocks, and who ran what.
struct InputTests {
    private static let host = Fixtures.path("lttng-plain/host")
    private static let guest = Fixtures.path("lttng-plain/g2")

    private func inputs(_ path: String, guests: [SessionPaths.Guest] = []) throws -> [PipelineInput] {
        let input = try CTFInput(SessionPaths(path: path, guests: guests))
        var all: [PipelineInput] = []
        while let next = try input.next() { all.append(next) }
        #expect(input.shortfall == nil)
        #expect(input.progress == 1)
        return all
    }

    private func openings(_ inputs: [PipelineInput]) -> [SourceFacts] {
        inputs.compactMap { if case .record(.sourceOpened(_, let facts, _, _)) = $0 { facts } else { nil } }
    }

    @Test func `the session comes first, then the host, and each source is closed once`() throws {
        let all = try inputs(Self.host, guests: [.init(name: "web", path: Self.guest)])
        guard case .record(.session(let session)) = all[0], case .record(.sourceOpened(.host, _, _, _)) = all[1] else {
            Issue.record("the first inputs are \(all.prefix(2))")
            return
        }
        #expect(session.hostname == "l1")
        #expect(openings(all).map(\.name) == ["l1", "web"])
        let closed = all.compactMap { if case .record(.sourceClosed(let id, _, _)) = $0 { id } else { nil } }
        #expect(closed.sorted() == [.host, SourceID(1)])
        let events = all.reduce(0) { if case .batch(_, let batch) = $1 { $0 + batch.headers.count } else { $0 } }
        #expect(events == 1452 + 954)
    }

    @Test func `after a watermark nothing earlier of that source comes`() throws {
        var promised: [SourceID: TraceTicks] = [:]
        for input in try inputs(Self.host, guests: [.init(name: "web", path: Self.guest)]) {
            switch input {
            case .record(.message(let id, .watermark(let ticks))): promised[id] = max(promised[id] ?? ticks, ticks)
            case .batch(let id, let batch):
                let limit = promised[id] ?? TraceTicks(0)
                #expect(batch.headers.allSatisfy { $0.ticks >= limit })
            default: break
            }
        }
        #expect(promised.count == 2)
    }

    @Test func `the machine that ran vCPUs is the host, in whatever order the directories are`() throws {
        // g2 sorts before host.
        #expect(openings(try inputs(Fixtures.path("lttng-plain"))).map(\.hostname) == ["l1", "g2"])
    }

    @Test func `a guest's clock and thread are found by its events alone`() throws {
        let all = try inputs(Self.host, guests: [.init(name: "web", path: Self.guest)])
        check(all, guest: SourceID(1), thread: 187, offset: 19_787_595_156, within: 20_000)
    }

    @Test func `a guest's events are placed where its vCPU was in guest mode`() throws {
        let paths = SessionPaths(path: Self.host, guests: [.init(name: "web", path: Self.guest)])
        let snapshot = try pipeline(CTFInput(paths)).snapshot()
        #expect(try #require(snapshot.sources.last?.clock).containment == 1)
    }

    /// The true thread comes from the lab's notes. The offset is where the widest band of offsets lies that puts every guest
    /// event of the whole recording into guest mode (20 µs to either side), by a program of its own.
    private func check(_ all: [PipelineInput], guest: SourceID, thread: Int32, offset: Int64, within: Int64) {
        var links = 0
        for input in all {
            switch input {
            case .record(.link(guest, _, let evidence)):
                #expect(evidence.hasSuffix("of thread \(thread)"))
                links += 1
            case .record(.clock(guest, .given(let clock))):
                #expect(clock.method == "kvm_entry/kvm_exit")
                for knot in clock.knots {
                    let distance = abs(knot.host.nanoseconds - Int64(knot.ticks.rawValue) - offset)
                    #expect(distance < within + knot.boundNanoseconds)
                }
                links += 1
            default: break
            }
        }
        #expect(links == 2)
    }

    @Test
    func `a guest that nothing relates to the host is placed by the wall clocks, with the bound that they deserve`()
        throws
    {
        // The guest's trace stands for a host without kvm events.
        let all = try inputs(Self.guest, guests: [.init(name: "other", path: Self.host)])
        let clocks = all.compactMap { if case .record(.clock(_, .given(let clock))) = $0 { clock } else { nil } }
        #expect(clocks.map(\.method) == ["wall clocks"])
        #expect(clocks.first?.knots.first?.boundNanoseconds ?? 0 >= 1_000_000_000)
    }

    @Test(.enabled(if: Fixtures.lab != nil, "set TANDEM_LAB_DATA to the lab's recordings"))
    func `the lab's two guests are told apart, and their clocks are found`() throws {
        let lab = "\(try #require(Fixtures.lab))/lttng-plain"
        let all = try inputs(
            "\(lab)/host", guests: [.init(name: "g1", path: "\(lab)/g1"), .init(name: "g2", path: "\(lab)/g2")])
        check(all, guest: SourceID(1), thread: 159, offset: 13_123_013_563, within: 20_000)
        check(all, guest: SourceID(2), thread: 187, offset: 19_787_595_156, within: 20_000)
    }
}
