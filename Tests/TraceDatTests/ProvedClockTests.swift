import Decoding
import RecordingSupport
import SessionLog
import Testing
import Timeline
import TraceDat
import TraceFiles
import TraceModel
import Wire

/// Clocks that files do not tell exactly: proved by the entries and exits in the host's file, or of unknown error.
struct ProvedClockTests {
    /// A session's inputs, looked through: where its guests' events are placed, and when their vCPUs were in guest mode.
    private struct Placed {
        struct Event {
            var cpu: Int
            var ticks: TraceTicks
            var time: HostTime
            var boundNanoseconds: Int64
        }

        var events: [String: [Event]] = [:]
        var clocks: [String: [ClockFacts]] = [:]
        var threads: [String: [VMFacts.Thread]] = [:]
        /// Of each thread, from entry to exit.
        private var windows: [Int32: [ClosedRange<HostTime>]] = [:]

        init(_ input: TraceDatInput) throws {
            var names: [SourceID: String] = [:]
            var maps: [SourceID: ClockMap] = [:]
            var machines: [Int32: VMFacts] = [:]
            var hostEvents: [String] = []
            var crossings: [Int32: [(time: HostTime, isEntry: Bool)]] = [:]
            while let next = try input.next() {
                switch next {
                case .record(.sourceOpened(let source, let facts, let formats, _)):
                    names[source] = facts.name
                    maps[source] = ClockMap(clock: facts.prepared.clock, identity: facts.isHost)
                    if facts.isHost {
                        hostEvents = try formats.map { try EventFormatParser.parse($0.text, system: $0.system).name }
                    }
                case .record(.clock(let source, let facts)):
                    maps[source]?.learn(facts)
                    clocks[names[source] ?? "", default: []].append(facts)
                case .record(.machine(let facts)): machines[facts.vmmPID] = facts
                case .record(.link(let source, let pid, _)):
                    threads[names[source] ?? ""] = machines[pid]?.vcpuThreads
                case .batch(let source, let batch):
                    guard let placed = maps[source]?.place(batch, from: source) else { continue }
                    for (header, time) in zip(batch.headers, placed.times) {
                        if source == .host {
                            let name = hostEvents[Int(header.typeIndex)]
                            guard name == "kvm_entry" || name == "kvm_exit" else { continue }
                            crossings[header.pid, default: []].append((time, name == "kvm_entry"))
                        } else {
                            events[names[source] ?? "", default: []].append(
                                Event(
                                    cpu: batch.cpu, ticks: header.ticks, time: time,
                                    boundNanoseconds: placed.boundNanoseconds))
                        }
                    }
                default: break
                }
            }
            for (tid, crossings) in crossings {
                var entry: HostTime?
                for crossing in crossings.sorted(by: { $0.time < $1.time }) {
                    if let start = entry, !crossing.isEntry {
                        windows[tid, default: []].append(start...crossing.time)
                    }
                    entry = crossing.isEntry ? crossing.time : nil
                }
            }
        }

        /// How many events of a guest cannot have been in guest mode, whatever their clock's error, and how many were judged.
        func impossible(_ guest: String) -> (count: Int, of: Int) {
            var (count, judged) = (0, 0)
            for event in events[guest] ?? [] {
                guard let tid = threads[guest]?.first(where: { $0.vcpu == event.cpu })?.tid, let windows = windows[tid],
                    let first = windows.first, let last = windows.last
                else { continue }
                let low = event.time.advanced(by: -event.boundNanoseconds)
                let high = event.time.advanced(by: event.boundNanoseconds)
                guard first.lowerBound <= low, high <= last.upperBound else { continue }
                judged += 1
                let place = windows.partitionPoint { $0.upperBound < low }
                if place == windows.count || windows[place].lowerBound > high { count += 1 }
            }
            return (count, judged)
        }

        func methods(_ guest: String) -> [String] {
            (clocks[guest] ?? []).map { if case .given(let clock) = $0 { clock.method } else { "kvm" } }
        }
    }

    private func lab(_ name: String, _ guests: [String]) throws -> SessionPaths {
        let folder = "\(try #require(Samples.labFolder))/\(name)"
        return SessionPaths(
            path: "\(folder)/host.dat", guests: guests.map { .init(name: nil, path: "\(folder)/host-\($0).dat") })
    }

    private let sample = SessionPaths(
        path: Samples.path("host.dat"),
        guests: ["host-g1.dat", "host-g2.dat"].map { SessionPaths.Guest(argument: Samples.path($0)) })

    /// Against KVM's own numbers: no event is farther from its true place than the proved bound says.
    private func checkTruth(_ paths: SessionPaths, sourceLocation: SourceLocation = #_sourceLocation) throws {
        let truth = try Placed(TraceDatInput(paths))
        let proved = try Placed(TraceDatInput(paths, by: .proved))
        for guest in ["g1", "g2"] {
            #expect(truth.methods(guest) == ["kvm"], sourceLocation: sourceLocation)
            #expect(proved.methods(guest) == ["kvm_entry/kvm_exit"], sourceLocation: sourceLocation)
            let events = zip(truth.events[guest] ?? [], proved.events[guest] ?? [])
            var bounds: [Int64] = []
            for (right, found) in events {
                #expect(right.ticks == found.ticks)
                #expect(
                    abs(found.time - right.time) <= found.boundNanoseconds + right.boundNanoseconds, "\(guest)",
                    sourceLocation: sourceLocation)
                bounds.append(found.boundNanoseconds)
            }
            bounds.sort()
            // Emulated, an entry and an exit take some ten microseconds.
            #expect(try #require(bounds.dropFirst(bounds.count / 2).first) < 200_000, sourceLocation: sourceLocation)
        }
    }

    @Test func `entries and exits alone place guests within the bound that they state, by KVM's word`() throws {
        try checkTruth(sample)
    }

    @Test(.enabled(if: Samples.labFolder != nil, "needs TANDEM_LAB_DATA"))
    func `the same in a whole recording`() throws {
        try checkTruth(lab("vsock-kvm", ["g1", "g2"]))
    }

    @Test(.enabled(if: Samples.labFolder != nil, "needs TANDEM_LAB_DATA"))
    func `what ptp left is of unknown error, and what is proved instead holds for every event`() throws {
        let paths = try lab("vsock-ptp", ["g1", "g2"])
        let own = try Placed(TraceDatInput(paths, by: .own))
        let best = try Placed(TraceDatInput(paths))
        for guest in ["g1", "g2"] {
            #expect(own.methods(guest) == ["trace-cmd ptp"])
            let unknown = GivenClock.Knot.unknownBoundNanoseconds
            #expect(try #require(own.events[guest]).allSatisfy { $0.boundNanoseconds == unknown })
            #expect(best.methods(guest) == ["kvm_entry/kvm_exit"])
            let outside = best.impossible(guest)
            #expect(outside.count == 0, "\(guest): \(outside)")
            #expect(outside.of * 100 >= (best.events[guest]?.count ?? 0) * 95, "\(guest): \(outside)")
        }
    }

    @Test(.enabled(if: Samples.labFolder != nil, "needs TANDEM_LAB_DATA"))
    func `clocks that were never compared are found, and with them the threads`() throws {
        // Two guests over TCP, no word on clocks or threads. What ground-truth.txt beside the files says of them:
        let truth: [Int32: Int64] = [160: -19_883_104_502, 194: -33_860_772_686]
        let placed = try Placed(TraceDatInput(lab("tcp-nosync", ["10.77.0.11", "10.77.0.12"])))
        let host = try #require(placed.clocks.values.joined().compactMap(\.scale).first)
        #expect(placed.events.count == 2)
        var found: Set<Int32> = []
        for (guest, events) in placed.events {
            #expect(placed.methods(guest) == ["kvm_entry/kvm_exit"], "\(guest)")
            let thread = try #require(placed.threads[guest]?.first, "\(guest)")
            found.insert(thread.tid)
            var map = ClockMap(clock: .x86TSC)
            let offset = try #require(truth[thread.tid], "\(guest): \(thread)")
            map.learn(.kvm(KVMClock(scale: host, vcpus: [KVMClock.VCPU(vcpu: 0, offset: offset)])))
            for event in events {
                let right = try #require(map.hostTime(event.ticks, cpu: 0))
                #expect(
                    abs(event.time - right.time) <= event.boundNanoseconds + right.boundNanoseconds, "\(guest)")
            }
            let outside = placed.impossible(guest)
            #expect(outside.count == 0 && outside.of > 10_000, "\(guest): \(outside)")
        }
        #expect(found == Set(truth.keys))
    }

    @Test func `a clock that the user moves is where he wants it, and nobody knows how far it is off`() throws {
        var moved = sample
        moved.clockHints.offsets = [SessionPaths.ClockHints.Offset(name: "g2", nanoseconds: 1_000_000)]
        let input = try TraceDatInput(moved)
        #expect(input.notices.contains { $0.contains("g2") && $0.contains("nobody knows how far") }, "\(input.notices)")
        let placed = try Placed(input)
        #expect(placed.methods("g1") == ["kvm"])
        #expect(placed.methods("g2") == ["trace-cmd, --ts-offset"])
        #expect(placed.events["g2"]?.allSatisfy { $0.boundNanoseconds == .max } == true)
    }
}

extension ClockFacts {
    fileprivate var scale: TSCScale? { if case .scale(let scale) = self { scale } else { nil } }
}
