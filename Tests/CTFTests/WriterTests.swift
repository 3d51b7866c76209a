import CTF
import Collector
import Foundation
import SessionLog
import Testing
import TraceModel

/// Exports: what was written is what babeltrace2 and we ourselves read.
struct WriterTests {
    private static let bootID = "01234567-89ab-cdef-0123-456789abcdef"

    private let paths = SessionPaths(
        path: Fixtures.path("lttng-plain/host"), guests: [.init(name: "web", path: Fixtures.path("lttng-plain/g2"))])

    @Test func `babeltrace2 reads an export without a word and prints the same events`() throws {
        try #require(Fixtures.hasBabeltrace, "babeltrace2 is not installed (Debian: babeltrace2)")
        let scratch = try Scratch()
        try export({ try CTFInput(paths) }, into: "\(scratch.path)/out")
        // Its complaints go where its events go.
        let printed = try output(["/bin/sh", "-c", "/usr/bin/babeltrace2 '\(scratch.path)/out' 2>&1"])
        #expect(printed.split(separator: "\n").count == 1452 + 954)
        for (name, original) in [("host", "host"), ("web", "g2")] {
            let exported = try payloads("\(scratch.path)/out/\(name)")
            let source = try payloads(Fixtures.path("lttng-plain/\(original)"))
            #expect(exported == source)
        }
    }

    /// Name and payload of every line.
    private func payloads(_ path: String) throws -> [String] {
        try output(["/usr/bin/babeltrace2", path]).split(separator: "\n").map { line in
            let name = line.split(separator: ": {", maxSplits: 1).first?.split(separator: " ").last ?? ""
            let fields = line.range(of: "}, { ", options: .backwards).map { line[$0.upperBound...] } ?? ""
            // The probe of this version writes an address there, which the reader drops.
            guard name != "kvm_x86_entry" else { return "\(name)" }
            // LTTng shows addresses in hexadecimal digits; the numbers are the same.
            let plain = String(fields).replacing(/0x([0-9A-F]+)/) { "\(UInt64($0.output.1, radix: 16) ?? 0)" }
            return "\(name) \(plain)"
        }
    }

    @Test func `an export read back gives the same analysis`() throws {
        let scratch = try Scratch()
        try export({ try CTFInput(paths) }, into: "\(scratch.path)/out")
        check(
            try pipeline(CTFInput(paths)).snapshot(),
            readBack: try pipeline(CTFInput(SessionPaths(path: "\(scratch.path)/out"))).snapshot())
    }

    /// Recordings of a real host with two guests: what the host saw of each vCPU is the same, with the names that its kernel
    /// has for the reasons of exits, and why it was woken, and so is what the guests told: their tasks, their steal time, and
    /// what is uncertain of it. Of events of guests that came late, after the time of the host's around them had been
    /// analyzed, an export has the places where they belong: there what their tasks did is another matter. So is a sample of
    /// steal time that falls into a gap of the host's events: the recording counts it when it knows of the gap, or before.
    @Test(arguments: ["two-guests", "two-guests-backports", "losses", "pause"])
    func `a recording exported and read back gives the same analysis`(name: String) throws {
        let scratch = try Scratch()
        // These recordings are older than the samples of steal time.
        func session() throws -> any SessionInput { WithSteal(try recording(name)) }
        try export(session, into: "\(scratch.path)/out")
        let before = try pipeline(session()).snapshot()
        let after = try pipeline(CTFInput(SessionPaths(path: "\(scratch.path)/out"))).snapshot()
        #expect(before.guests.contains { !$0.vcpus.allSatisfy(\.exits.isEmpty) })
        #expect(before.guests.contains { $0.vcpus.contains { $0.steal != nil } })
        check(
            before, readBack: after, isLate: before.sources.contains { $0.lateEvents > 0 },
            hasGaps: before.health.eventsLost > 0)
    }

    @Test func `that a guest's agent was lost, and why, comes back, too`() throws {
        let scratch = try Scratch()
        func session() throws -> any SessionInput {
            WithoutAgent(try recording("two-guests-backports"), of: SourceID(1), afterWatermarks: 20)
        }
        try export(session, into: "\(scratch.path)/out")
        let before = try pipeline(session()).snapshot()
        let after = try pipeline(CTFInput(SessionPaths(path: "\(scratch.path)/out"))).snapshot()
        #expect(before.sources.map(\.state) == ["drained", "gone", "drained"])
        #expect(after.sources.map(\.state) == before.sources.map(\.state))
        let limit = "g1 is gone (reset by peer): what its guest did since is unknown"
        #expect(before.health.limits.contains(limit))
        #expect(after.health.limits.contains(limit))
    }

    private func check(_ before: Snapshot, readBack after: Snapshot, isLate: Bool = false, hasGaps: Bool = false) {
        #expect(after.window == before.window)
        if !hasGaps {
            #expect(after.guests.map(\.clock?.containment) == before.guests.map(\.clock?.containment))
        }
        #expect(after.guests.map(\.name) == before.guests.map(\.name))
        #expect(after.sources.map(\.name) == before.sources.map(\.name))
        for (guest, same) in zip(before.guests, after.guests) {
            #expect(guest.vcpus.count == same.vcpus.count)
            for (var vcpu, var other) in zip(guest.vcpus, same.vcpus) {
                if isLate {
                    (vcpu.guestTask, other.guestTask) = (nil, nil)
                    (vcpu.guestTID, other.guestTID) = (nil, nil)
                    (vcpu.guestRunning, other.guestRunning) = (nil, nil)
                }
                if hasGaps { (vcpu.steal, other.steal) = (nil, nil) }
                #expect(other == vcpu, "\(guest.name)")
            }
            if !isLate { #expect(same.tasks == guest.tasks, "\(guest.name)") }
        }
    }

    // MARK: By hand

    private static func format(_ order: ByteOrder) -> FormatTable {
        let fields = [
            EventField(name: "small", type: "unsigned char", offset: 8, size: 1, isSigned: false, kind: .integer),
            EventField(name: "short", type: "short", offset: 10, size: 2, isSigned: true, kind: .integer),
            EventField(name: "comm", type: "char[16]", offset: 12, size: 16, isSigned: false, kind: .text),
            EventField(name: "big", type: "u64", offset: 32, size: 8, isSigned: false, kind: .integer),
            EventField(name: "path", type: "__data_loc char[]", offset: 40, size: 4, isSigned: false, kind: .dynamic),
            EventField(name: "list", type: "__data_loc int[]", offset: 44, size: 4, isSigned: false, kind: .dynamic),
        ]
        let format = EventFormat(kernelID: 77, system: "sched", name: "sched_made_up", fields: fields, text: "")
        return FormatTable(byteOrder: order, longSize: 8, formats: [format])
    }

    /// One record: 7, -2, "task", 0xfedcba9876543210, "/bin/sh", [1, -1].
    private static func record(_ order: ByteOrder) -> [UInt8] {
        func bytes<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
            withUnsafeBytes(of: order == .little ? number.littleEndian : number.bigEndian) { Array($0) }
        }
        var record = bytes(UInt16(77)) + [0, 0] + bytes(Int32(42)) + [7, 0] + bytes(Int16(-2))
        record += Array("task".utf8) + [UInt8](repeating: 0, count: 12) + [0, 0, 0, 0]
        record += bytes(UInt64(0xfedc_ba98_7654_3210)) + bytes(UInt32(8 << 16 | 48)) + bytes(UInt32(8 << 16 | 56))
        return record + Array("/bin/sh".utf8) + [0] + bytes(Int32(1)) + bytes(Int32(-1))
    }

    private static func batch(_ times: [UInt64], _ order: ByteOrder, losses: [LossMark] = []) -> EventBatch {
        var batch = EventBatch(cpu: 3)
        for time in times {
            let record = record(order)
            batch.headers.append(
                EventHeader(
                    ticks: TraceTicks(time), offset: UInt32(batch.records.count), length: UInt32(record.count), pid: 42,
                    typeIndex: 0, flags: 0, preemptCount: 0))
            batch.records += record
        }
        batch.losses = losses
        return batch
    }

    private func written(_ batch: EventBatch, _ order: ByteOrder, in scratch: Scratch) throws -> Everything {
        let machine = ExportedMachine(
            name: "host", hostname: "h", bootID: Self.bootID, kernelRelease: "6.1", isHost: true,
            formats: Self.format(order))
        let writer = try CTFWriter(
            directory: "\(scratch.path)/out", machines: [machine],
            clock: ExportedClock(hostBootID: Self.bootID, epochOffsetNanoseconds: 1_700_000_000_123_456_789))
        let times = batch.headers.map { HostTime(nanoseconds: Int64($0.ticks.rawValue)) }
        try writer.append(
            batch, times: times, range: 0..<batch.headers.count, boundNanoseconds: 5, machine: 0)
        try writer.finish()
        #expect(writer.eventsWritten == UInt64(batch.headers.count))
        let reader = try #require(try open("\(scratch.path)/out").first)
        #expect(reader.facts.bootID == Self.bootID)
        #expect(reader.facts.clock.epochOffsetNanoseconds == 1_700_000_000_123_456_789)
        return Everything(reader)
    }

    @Test(arguments: [ByteOrder.little, .big])
    func `every kind of field comes back, from kernels of both byte orders`(order: ByteOrder) throws {
        let all = try written(Self.batch([1000, 2000], order), order, in: try Scratch())
        let line =
            "sched_made_up { small = 7, short = -2, comm = \"task\", big = 18364758544493064720, "
            + "path = \"/bin/sh\", _list_length = 2, list = [ [0] = 1, [1] = 4294967295 ] }"
        #expect(all.lines.map(\.text) == [line, line])
        #expect(all.lines.map(\.ticks.rawValue) == [1000, 2000])
        #expect(all.batches.flatMap(\.headers).allSatisfy { $0.pid == 42 })
        #expect(all.batches.map(\.cpu) == [3])
    }

    @Test func `losses come back at their places, with their numbers`() throws {
        let losses = [
            LossMark(index: 1, place: .ringBuffer, count: 5), LossMark(index: 3, place: .agent, count: nil),
            LossMark(index: 4, place: .ringBuffer, count: 9),
        ]
        let all = try written(Self.batch([10, 20, 30, 40], .little, losses: losses), .little, in: try Scratch())
        #expect(all.events == 4)
        var places: [(Int, UInt64?)] = []
        var before = 0
        for batch in all.batches {
            for loss in batch.losses { places.append((before + loss.index, loss.count)) }
            before += batch.headers.count
        }
        #expect(places.map(\.0) == [1, 3, 4])
        // One of unknown size is at least one.
        #expect(places.map(\.1) == [5, 1, 9])
    }

    @Test func `an export goes into an empty directory only`() throws {
        let scratch = try Scratch()
        try Data().write(to: URL(filePath: "\(scratch.path)/something"))
        #expect(throws: CTFError("'\(scratch.path)' is not an empty directory; give another -o")) {
            try CTFWriter(
                directory: scratch.path, machines: [],
                clock: ExportedClock(hostBootID: "", epochOffsetNanoseconds: 0))
        }
    }
}
