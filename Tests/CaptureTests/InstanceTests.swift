import Capture
import Glibc
import Testing
import TraceModel

/// The real kernel's tracefs, only ever in instances of this test's own.
///
/// One after the other, and with a role that no other suite uses: the name of an instance is free again when it is gone.
@Suite(.serialized, .enabled(if: RealTracefs.isUsable, RealTracefs.need))
struct InstanceTests {
    private let tracefs: Tracefs

    init() throws { tracefs = try RealTracefs.found.get() }

    /// The state of the machine's own tracing, which nothing here may change.
    private func topLevel() -> [String?] {
        ["current_tracer", "tracing_on", "trace_clock", "set_event", "buffer_size_kb", "trace_options"].map {
            text(ofFile: "\(tracefs.root)/\($0)")
        }
    }

    /// Runs `body` on an instance of its own that is gone afterwards, with the top level as it was before.
    private func check(
        _ settings: InstanceSettings = RealTracefs.settings, body: (TraceInstance) throws -> Void
    ) throws {
        let before = topLevel()
        let instance = try TraceInstance(in: tracefs, role: "lone", settings: settings)
        let path = instance.files.path
        #expect(isThere(path))
        try body(instance)
        try instance.remove()
        #expect(!isThere(path))
        try instance.remove()
        #expect(topLevel() == before)
    }

    private func select(_ text: String, filter: String? = nil) throws -> [SelectedEvent] {
        try EventSelection.resolve([EventPattern(text, filter: filter)], available: tracefs.availableEvents())
    }

    /// Switches of this thread, each of which the kernel traces with this thread as the previous one.
    private func sleepOften(_ count: Int) { for _ in 0..<count { usleep(100) } }

    /// Everything there is to read: the pages and how many bytes of data they say they hold.
    private func drain(_ readers: [SubBufferReader]) throws -> (pages: Int, dataBytes: Int) {
        var result = (pages: 0, dataBytes: 0)
        for reader in readers {
            var page = [UInt8](repeating: 0, count: reader.subBufferBytes)
            while let count = try page.withUnsafeMutableBytes({ try reader.read(into: $0) }) {
                #expect(count == reader.subBufferBytes)
                // The commit word behind the time: its low 20 bits are the length of the data (ring_buffer.c).
                let commit = page.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: 8, as: UInt32.self) }
                result.pages += 1
                result.dataBytes += Int(commit & 0xf_ffff)
            }
        }
        return result
    }

    @Test
    func `a private instance records what was asked for, and nothing of it stays`() throws {
        try check { instance in
            #expect(InstanceName(parsing: instance.name.description) == instance.name)
            #expect(instance.name.owner.pid == getpid())
            #expect(instance.geometry.subBufferBytes == 4096)
            #expect(instance.geometry.kibibytesPerCPU >= 256)

            let filter = "prev_pid == \(currentThread())"
            let enabled = try instance.enable(try select("sched:sched_switch", filter: filter))
            #expect(enabled.map(\.event.description) == ["sched:sched_switch"])
            #expect(enabled.first?.formatText.hasPrefix("name: sched_switch\nID: ") == true)
            #expect(enabled.first?.formatText.contains("print fmt:") == true)

            let readers = try instance.rescan()
            #expect(readers.map(\.cpu) == CPUList.online())
            #expect(try instance.rescan().isEmpty, "no CPU was plugged in meanwhile")
            #expect(instance.readers.map(\.cpu) == readers.map(\.cpu))
            sleepOften(5)
            #expect(try drain(readers) == (0, 0), "tracing is off until it is started")

            try instance.start()
            sleepOften(50)
            try instance.stop()
            let before = try readers.map { try instance.statistics(cpu: $0.cpu) }
            #expect(before.reduce(0) { $0 + $1.entries } >= 50)
            #expect(before.allSatisfy { $0.overrun == 0 && $0.nowTicks != nil })

            let (pages, dataBytes) = try drain(readers)
            #expect(pages >= 1)
            #expect(dataBytes >= 50 * 60, "a sched_switch takes at least 60 bytes")
            let after = try readers.map { try instance.statistics(cpu: $0.cpu) }
            #expect(after.reduce(0) { $0 + $1.entries } == 0)
            #expect(after.reduce(0) { $0 + $1.readEvents } == before.reduce(0) { $0 + $1.entries })
        }
    }

    @Test
    func `a filter that matches nothing lets nothing through`() throws {
        try check { instance in
            _ = try instance.enable(try select("sched:sched_switch", filter: "prev_pid == 2000000000"))
            let readers = try instance.rescan()
            try instance.start()
            sleepOften(20)
            try instance.stop()
            #expect(try drain(readers) == (0, 0))
        }
    }

    @Test
    func `a filter that the kernel refuses comes back with the kernel's words`() throws {
        try check { instance in
            let error = #expect(throws: CaptureError.self) {
                try instance.enable(try select("sched:sched_switch", filter: "prev_pidx == 1"))
            }
            #expect(error?.operation == .filter)
            #expect(error?.description.contains("Field not found after 'prev_pidx'") == true, "\(error as Any)")
            #expect(text(ofFile: "\(instance.files.path)/events/sched/sched_switch/enable")?.hasPrefix("0") == true)
        }
    }

    @Test(arguments: [4, 16, 64])
    func `sub-buffers have the size that is told, whatever was asked for`(kibibytes: Int) throws {
        let settings = InstanceSettings(clock: .mono, bufferKibibytesPerCPU: 512, subBufferKibibytes: kibibytes)
        try check(settings) { instance in
            let isChoice = isThere("\(instance.files.path)/buffer_subbuf_size_kb")
            #expect(instance.geometry.subBufferBytes <= max(4, kibibytes) << 10)
            if !isChoice { #expect(instance.geometry.subBufferBytes == 4096) }
            _ = try instance.enable(try select("sched:sched_switch", filter: "prev_pid == \(currentThread())"))
            let readers = try instance.rescan()
            try instance.start()
            sleepOften(20)
            try instance.stop()
            #expect(try drain(readers).pages >= 1)
        }
    }

    @Test
    func `events that were overwritten unread are counted, and none is missing from the sum`() throws {
        let settings = InstanceSettings(clock: .mono, bufferKibibytesPerCPU: 8, subBufferKibibytes: 4)
        try check(settings) { instance in
            _ = try instance.enable(try select("sched:sched_switch", filter: "prev_pid == \(currentThread())"))
            _ = try instance.rescan()
            try instance.start()
            sleepOften(3000)
            try instance.stop()
            let counted = try instance.readers.map { try instance.statistics(cpu: $0.cpu) }
            #expect(counted.contains { $0.overrun > 0 })
            #expect(counted.reduce(0) { $0 + $1.entries + $1.overrun } >= 3000)
        }
    }

    @Test(arguments: TraceClock.readable)
    func `the clock that is read here is the one that stamps there`(clock: TraceClock) throws {
        let names = text(ofFile: "\(tracefs.root)/trace_clock") ?? ""
        guard TraceClockList(parsing: names).available.contains(clock.rawValue) else { return }
        let settings = InstanceSettings(clock: clock, bufferKibibytesPerCPU: 64, subBufferKibibytes: 4)
        try check(settings) { instance in
            let before = try #require(TraceClockReader.now(clock))
            let kernel = try #require(try instance.statistics(cpu: 0).nowTicks)
            let after = try #require(TraceClockReader.now(clock))
            // Nanoseconds are shown cut to microseconds.
            #expect(kernel.rawValue + 999 >= before.rawValue)
            #expect(kernel <= after)
        }
    }

    @Test
    func `one process can have several instances`() throws {
        try check { first in
            try check { second in
                #expect(second.name.number != first.name.number)
                #expect(second.name.owner == first.name.owner)
            }
        }
    }

    @Test
    func `an instance goes with the last reference to it`() throws {
        var instance: TraceInstance? = try TraceInstance(in: tracefs, role: "lone", settings: RealTracefs.settings)
        let path = try #require(instance?.files.path)
        _ = try instance?.rescan()
        instance = nil
        #expect(!isThere(path))
    }

    @Test
    func `an instance that others hold open is silenced, said to be left, and removed later`() throws {
        try check { instance in
            _ = try instance.enable(try select("sched:sched_switch"))
            try instance.start()
            let descriptor = open("\(instance.files.path)/trace_clock", O_RDONLY)
            try #require(descriptor >= 0)
            let error = #expect(throws: CaptureError.self) { try instance.remove() }
            #expect(error?.operation == .remove)
            #expect(error?.description.contains(instance.files.path) == true)
            #expect(text(ofFile: "\(instance.files.path)/tracing_on") == "0\n")
            #expect(text(ofFile: "\(instance.files.path)/events/enable") == "0\n")
            close(descriptor)
        }
    }

    @Test
    func `a kernel that refuses leaves no instance behind`() throws {
        let wrong = InstanceSettings(clock: .mono, bufferKibibytesPerCPU: 64, subBufferKibibytes: 1 << 20)
        guard isThere("\(tracefs.root)/buffer_subbuf_size_kb") else { return }
        let error = #expect(throws: CaptureError.self) {
            try TraceInstance(in: tracefs, role: "refused", settings: wrong)
        }
        #expect(error?.operation == .setBuffer)
        var entries: [String] = []
        let directory = try #require(opendir("\(tracefs.root)/instances"))
        defer { closedir(directory) }
        while let entry = readdir(directory) {
            entries.append(
                withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) })
        }
        #expect(!entries.contains { InstanceName(parsing: $0)?.role == "refused" })
    }

    @Test
    func `processor time grows with work`() {
        let before = ProcessClock.cpuNanoseconds()
        var sum: UInt64 = 0
        while ProcessClock.cpuNanoseconds() &- before < 1_000_000 { sum &+= 1 }
        #expect(sum > 0 && before > 0)
    }
}
