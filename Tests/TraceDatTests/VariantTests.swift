import Compression
import RecordingSupport
import SessionLog
import Testing
import Timeline
import TraceDat
import TraceFiles
import TraceModel

/// What the recordings at hand do not have: other byte orders, compressions, several buffers, losses, scaled clocks.
struct VariantTests {
    private static let times: [Int: [UInt64]] = [
        0: (0..<2000).map { 1_000_000 + $0 * 1000 }, 2: (0..<500).map { 1_000_500 + $0 * 4000 },
    ]

    @Test(arguments: [ByteOrder.little, .big], [4, 8])
    func `a file of any byte order and size of a long is read`(order: ByteOrder, longSize: Int) throws {
        try check(SyntheticFile.bytes(order: order, longSize: longSize, events: Self.times) { $0.traceID = 7 }) {
            file in
            #expect(file.byteOrder == order)
            #expect(file.longSize == longSize)
            #expect(file.options.traceID == 7)
            #expect(file.tasks == [TraceDatFile.Task(tid: 42, comm: "a task")])
        }
    }

    @Test(arguments: CompressionAlgorithm.allCases)
    func `a compressed file is the plain one`(algorithm: CompressionAlgorithm) throws {
        let codec = try #require(Codec(algorithm))
        let plain = SyntheticFile.bytes(events: Self.times) { $0.traceID = 7 }
        let small = try SyntheticFile.compressed(plain, algorithm.rawValue) { try codec.compress($0.span.bytes) }
        #expect(small.count < plain.count)
        try check(small) { file in
            #expect(file.compression == algorithm.rawValue)
            #expect(file.options.traceID == 7)
        }
    }

    @Test
    func `an unknown compression is named`() throws {
        let plain = SyntheticFile.bytes(events: Self.times) { _ in }
        let other = SyntheticFile.compressed(plain, "lz9") { $0 }
        let error = #expect(throws: TraceDatError.self) { try Self.read(other) }
        #expect(error?.description.contains("lz9") == true)
    }

    @Test
    func `several buffers of one CPU become one order`() throws {
        let bytes = SyntheticFile.bytes(events: Self.times) { _ in }
        let (file, once) = try Self.read(bytes)
        let (_, twice) = try Self.read(bytes, buffers: file.buffers + file.buffers)
        for (cpu, events) in once {
            #expect(twice[cpu]?.headers.map(\.ticks) == events.headers.flatMap { [$0.ticks, $0.ticks] })
            #expect(twice[cpu]?.records.count == events.records.count * 2)
        }
    }

    @Test
    func `lost events are marks in their places`() throws {
        let marks = [
            LossMark(index: 0, place: .ringBuffer, count: 5), LossMark(index: 700, place: .ringBuffer, count: nil),
            LossMark(index: 2000, place: .ringBuffer, count: 9),
        ]
        let bytes = SyntheticFile.bytes(events: Self.times, losses: [0: marks]) { _ in }
        let (file, events) = try Self.read(bytes)
        #expect(events[0]?.losses == marks)
        #expect(events[2]?.losses == [])
        // Through the merge of several buffers, too: the same buffer twice has every gap twice.
        let (_, twice) = try Self.read(bytes, buffers: file.buffers + file.buffers)
        #expect(twice[0]?.losses.count == 6)
        #expect(twice[0]?.losses.compactMap(\.count).reduce(0, +) == 28)
    }

    @Test
    func `a scaled TSC is put on the host's time line the right way round`() throws {
        let folder = try TemporaryFolder()
        // A guest at 1.25 of the host's frequency, with 48 bits behind the point, as Intel has them.
        let (ratio, fraction, offset) = (UInt64(5) << 46, 48, Int64(-123_456_789_012))
        let scale = TSCScale(multiplier: 827_183_298, shift: 31, zero: 0)
        let host = (0..<400).map { UInt64(300_000_000_000) + $0 * 1_000_003 }
        let guest = host.map {
            UInt64(truncatingIfNeeded: (UInt128($0) * UInt128(ratio)) >> UInt128(fraction))
                &+ UInt64(bitPattern: offset)
        }
        try Files.write(
            SyntheticFile.bytes(events: [0: host]) {
                $0.clock = "x86-tsc"
                $0.traceID = 1
                $0.ticksToNanoseconds = TraceDatOptions.TicksToNanoseconds(multiplier: 827_183_298, shift: 31)
                $0.guests = [
                    TraceDatOptions.Guest(
                        name: "fast", traceID: 2, cpus: [TraceDatOptions.GuestCPU(vcpu: 0, tid: 42)])
                ]
            }, to: "\(folder.path)/host.dat")
        try Files.write(
            SyntheticFile.bytes(events: [0: guest]) {
                $0.clock = "x86-tsc"
                $0.traceID = 2
                $0.timeShift = TraceDatOptions.TimeShift(
                    peerTraceID: 1, isInterpolated: false,
                    cpus: [
                        [
                            TraceDatOptions.ClockSample(
                                ticks: guest[0], offset: -offset, scaling: Int64(ratio), fraction: Int64(fraction))
                        ]
                    ])
            }, to: "\(folder.path)/guest.dat")
        let input = try TraceDatInput(
            SessionPaths(
                path: "\(folder.path)/host.dat",
                guests: [SessionPaths.Guest(argument: "\(folder.path)/guest.dat")]))
        var clock = ClockMap(clock: .x86TSC)
        var placed = 0
        while let next = try input.next() {
            if case .record(.sourceOpened(SourceID(1), let facts, _, _)) = next { #expect(facts.name == "fast") }
            if case .record(.clock(SourceID(1), let facts)) = next { clock.learn(facts) }
            guard case .batch(SourceID(1), let batch) = next else { continue }
            for header in batch.headers {
                let (time, bound) = try #require(clock.hostTime(header.ticks, cpu: 0))
                #expect(bound <= 3)
                #expect(abs(time - scale.hostTime(host[placed])) <= bound)
                placed += 1
            }
        }
        #expect(placed == host.count)
    }

    @Test
    func `cycles without a length need --ts2secs`() throws {
        let folder = try TemporaryFolder()
        let path = "\(folder.path)/host.dat"
        try Files.write(SyntheticFile.bytes(events: Self.times) { $0.clock = "x86-tsc" }, to: path)
        var paths = SessionPaths(path: path)
        let error = #expect(throws: TraceDatError.self) { _ = try TraceDatInput(paths) }
        #expect(error?.description.contains("--ts2secs") == true)
        paths.clockHints.ticksPerSecond = 2.5e9
        let input = try TraceDatInput(paths)
        var scales: [TSCScale] = []
        while let next = try input.next() {
            if case .record(.clock(.host, .scale(let scale))) = next { scales.append(scale) }
        }
        #expect(scales.count == 1)
        #expect(scales.first?.hostTime(2_500_000_000).nanoseconds ?? 0 >= 999_999_999)
        #expect(scales.first?.hostTime(2_500_000_001).nanoseconds ?? 0 <= 1_000_000_000)
    }

    /// The file's events are `times`, in their order and numbered.
    private func check(_ bytes: [UInt8], _ look: (TraceDatFile) -> Void) throws {
        let (file, events) = try Self.read(bytes)
        look(file)
        #expect(events.keys.sorted() == [0, 2])
        let number = try #require(IntegerField("number", of: file.formats.formats[0], byteOrder: file.byteOrder))
        for (cpu, batch) in events {
            #expect(batch.headers.map(\.ticks.rawValue) == Self.times[cpu])
            #expect(batch.headers.allSatisfy { $0.pid == 42 && $0.flags == 1 && $0.preemptCount == 2 })
            var numbers: [Int64?] = []
            for header in batch.headers { numbers.append(number.value(in: batch.records.span.bytes, of: header)) }
            #expect(numbers == (0..<Int64(batch.headers.count)).map { $0 })
        }
    }

    /// The file, and each CPU's events in one batch.
    @discardableResult
    private static func read(
        _ bytes: [UInt8], buffers: [TraceDatFile.Buffer]? = nil
    ) throws -> (TraceDatFile, [Int: EventBatch]) {
        let codecs = Codecs()
        let file = try TraceDatFile.read(bytes.span.bytes, decompress: codecs.decompress)
        var events = try TraceDatEvents(
            file, buffers: buffers ?? file.buffers, in: bytes.span.bytes, decompress: codecs.decompress)
        var all: [Int: EventBatch] = [:]
        var batch = EventBatch(cpu: 0)
        while try events.read(in: bytes.span.bytes, into: &batch, decompress: codecs.decompress) {
            var whole = all[batch.cpu] ?? EventBatch(cpu: batch.cpu)
            for loss in batch.losses {
                whole.losses.append(
                    LossMark(index: loss.index + whole.headers.count, place: loss.place, count: loss.count))
            }
            for header in batch.headers {
                var moved = header
                moved.offset += UInt32(whole.records.count)
                whole.headers.append(moved)
            }
            whole.records += batch.records
            all[batch.cpu] = whole
        }
        #expect(events.anomalies.nonZero.isEmpty)
        return (file, all)
    }
}
