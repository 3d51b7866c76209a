import Collector
import Decoding
import RecordingSupport
import SessionLog
import Timeline
import TraceFiles
import TraceModel
import Wire

/// `tandem-bench clock HOST.dat GUEST.dat…`: the map of a guest's clock that trace-cmd left in its files beside ours.
///
/// What both are held against is the host's own word on when each vCPU was in guest mode: an event of the guest that is
/// placed outside of every `kvm_entry`..`kvm_exit` of its vCPU is wrong by at least the distance to the nearest one. Ours
/// gets as little as the first probes of a session tell over a bad line: where the files' own map is, give or take 5 ms
/// (0.2 ms where it is exact), ten times a second. All else is from entries and exits. An import gets nothing but these. Where trace-cmd took KVM's numbers (`kvm`), they are the truth,
/// and the errors and bounds of every event are told as well.
enum ClockComparison {
    /// `ptp` itself was found to be off by 0.3 ms.
    private static func probeErrorNanoseconds(_ method: String?) -> Int64 { method == "kvm" ? 200_000 : 5_000_000 }
    private static let probeIntervalNanoseconds: Int64 = 100_000_000

    static func run(_ arguments: ArraySlice<String>) throws {
        guard let host = arguments.first else { return }
        let guests = arguments.dropFirst().map { SessionPaths.Guest(argument: $0) }
        let paths = SessionPaths(path: host, guests: guests)
        let session = try Session(TraceDatInput(paths, by: .own))
        var windows = GuestMode(session)
        let own = try ClockTruth.placements(of: session.replayed(), host: { windows.add($0) })
        windows.finish()
        let proved = try ClockTruth.placements(of: TraceDatInput(paths, by: .proved))
        let bare = session.withProbes(around: own)
        let live = try ClockTruth.placements(of: bare.replayed())
        let resync = try Resync(of: bare.replayed())
        let later = try ClockTruth.placements(of: ResyncedInput(bare.replayed(), maps: resync.maps))
        for (source, name) in session.guests.sorted(by: { $0.key < $1.key }) {
            print("\(name): \(own.keys.count { $0.source == source }) events")
            let method = session.methods[source] ?? "no map"
            show(method, own, source, windows)
            show("tandem import", proved, source, windows)
            show("ours, live", live, source, windows)
            show("ours, afterwards", later, source, windows)
        }
        if session.methods.values.contains("kvm") {
            ClockBenchmark.show("tandem import", proved, against: own)
            ClockBenchmark.show("ours, live", live, against: own)
            ClockBenchmark.show("ours, afterwards", later, against: own)
        }
    }

    private static func show(
        _ name: String, _ placed: ClockTruth.Placements, _ source: SourceID,
        _ windows: GuestMode
    ) {
        var distances: [Int64] = []
        var bounds: [Int64] = []
        for (key, place) in placed where key.source == source {
            guard let distance = windows.distance(of: place.time, source, cpu: key.cpu) else { continue }
            distances.append(distance)
            bounds.append(place.boundNanoseconds)
        }
        let outside = distances.filter { $0 > 0 }
        let thousandth = distances.isEmpty ? 0 : 1000 * (distances.count - outside.count) / distances.count
        print("    \(padded(name, 18)) \(thousandth / 10).\(thousandth % 10) % in guest mode; ", terminator: "")
        print("outside by ns: ", terminator: "")
        print(ClockTruth.distribution(outside))
        let isUnknown = bounds.contains(GivenClock.Knot.unknownBoundNanoseconds)
        print("    \(padded("", 18)) bound ns: \(isUnknown ? "unknown" : ClockTruth.distribution(bounds))")
    }

    /// The inputs of a session, and what they say of its guests.
    private struct Session {
        var inputs: [PipelineInput] = []
        var guests: [SourceID: String] = [:]
        /// What the files' own maps rest on.
        var methods: [SourceID: String] = [:]
        var links: [SourceID: Int32] = [:]
        var machines: [Int32: VMFacts] = [:]
        var hostEvents: [String] = []

        init(_ input: any SessionInput) throws {
            while let next = try input.next() {
                inputs.append(next)
                guard case .record(let record) = next else { continue }
                switch record {
                case .sourceOpened(.host, _, let formats, _):
                    hostEvents = formats.map { (try? EventFormatParser.parse($0.text, system: $0.system))?.name ?? "" }
                case .sourceOpened(let source, let facts, _, _): guests[source] = facts.name
                case .clock(let source, .given(let clock)): methods[source] = clock.method
                case .clock(let source, .kvm): methods[source] = "kvm"
                case .machine(let facts): machines[facts.vmmPID] = facts
                case .link(let source, let pid, _): links[source] = pid
                default: break
                }
            }
        }

        func replayed() -> any SessionInput { Inputs(inputs) }

        /// The guests' clocks unknown, but for some readings that are close to `placed`.
        func withProbes(around placed: ClockTruth.Placements) -> Session {
            var probes: [SourceID: [ClockProbe]] = [:]
            for (key, place) in placed.sorted(by: { ($0.value.time, $0.key.ticks) < ($1.value.time, $1.key.ticks) }) {
                let error = probeErrorNanoseconds(methods[key.source])
                let sent = place.time.advanced(by: -error)
                if let last = probes[key.source]?.last, sent - last.hostSent < probeIntervalNanoseconds { continue }
                probes[key.source, default: []].append(
                    ClockProbe(
                        hostSent: sent, guestReceived: key.ticks, guestSent: key.ticks,
                        hostReceived: place.time.advanced(by: error)))
            }
            var session = self
            session.inputs = inputs.flatMap { input -> [PipelineInput] in
                guard case .record(let record) = input else { return [input] }
                switch record {
                case .clock(let source, _) where source != .host: return []
                case .sourceOpened(let source, _, _, _):
                    return [input] + (probes[source] ?? []).map { .record(.probe(source, $0)) }
                default: return [input]
                }
            }
            return session
        }
    }

    private final class Inputs: SessionInput {
        private var rest: ArraySlice<PipelineInput>

        init(_ inputs: [PipelineInput]) { rest = inputs[...] }

        func next() -> PipelineInput? { rest.popFirst() }

        let shortfall: String? = nil
        let progress = 1.0
    }

    /// When each vCPU was in guest mode, from its thread's entries and exits.
    private struct GuestMode {
        private struct Place: Hashable {
            var source: SourceID
            var cpu: Int
        }

        private let hostEvents: [String]
        private var placeOfThread: [Int32: Place] = [:]
        private var crossings: [Place: [(time: HostTime, isEntry: Bool)]] = [:]
        private var windows: [Place: [ClosedRange<HostTime>]] = [:]

        init(_ session: Session) {
            hostEvents = session.hostEvents
            for (source, pid) in session.links {
                for thread in session.machines[pid]?.vcpuThreads ?? [] {
                    if let cpu = thread.vcpu { placeOfThread[thread.tid] = Place(source: source, cpu: cpu) }
                }
            }
        }

        mutating func add(_ placed: PlacedBatch) {
            for (header, time) in zip(placed.batch.headers, placed.times) {
                let type = Int(header.typeIndex)
                let name = hostEvents.indices.contains(type) ? hostEvents[type] : ""
                guard name == "kvm_entry" || name == "kvm_exit", let place = placeOfThread[header.pid] else { continue }
                crossings[place, default: []].append((time, name == "kvm_entry"))
            }
        }

        mutating func finish() {
            for (place, crossings) in crossings {
                var entry: HostTime?
                for crossing in crossings.sorted(by: { $0.time < $1.time }) {
                    if let start = entry, !crossing.isEntry {
                        windows[place, default: []].append(start...crossing.time)
                    }
                    entry = crossing.isEntry ? crossing.time : nil
                }
            }
        }

        /// To the nearest time in guest mode; nil before the first and after the last, where nobody knows.
        func distance(of time: HostTime, _ source: SourceID, cpu: Int) -> Int64? {
            guard let windows = windows[Place(source: source, cpu: cpu)] else { return nil }
            var (low, high) = (0, windows.count)
            while low < high {
                let middle = (low + high) / 2
                if windows[middle].upperBound < time { low = middle + 1 } else { high = middle }
            }
            guard low < windows.count, low > 0 else { return nil }
            if windows[low].contains(time) { return 0 }
            return min(windows[low].lowerBound - time, time - windows[low - 1].upperBound)
        }
    }
}
