import Compression
import RecordingSupport
import SessionLog
import Testing
import TraceDat
import TraceFiles
import TraceModel
import Wire

/// A session that is exported and read again is the same session.
struct TraceDatOutputTests {
    @Test
    func `files, session, files: events, times, clocks, names, symbols stay`() throws {
        let paths = SessionPaths(
            path: Samples.path("host.dat"),
            guests: ["host-g1.dat", "host-g2.dat"].map { SessionPaths.Guest(argument: Samples.path($0)) })
        try check(paths) { folder in
            SessionPaths(
                path: "\(folder)/trace.dat",
                guests: ["g1", "g2"].map { SessionPaths.Guest(argument: "\(folder)/trace-\($0).dat") })
        }
    }

    @Test(
        .enabled(
            if: Samples.labFolder != nil,
            "needs TANDEM_LAB_DATA: a folder of folders with recordings of 'trace-cmd record -A'"))
    func `whole recordings of the lab stay what they are`() throws {
        for name in ["vsock-kvm", "vsock-ptp"] {
            let lab = "\(Samples.labFolder ?? "")/\(name)"
            try #require(Files.exists("\(lab)/host-g1.dat"), "\(lab)")
            try check(
                SessionPaths(
                    path: "\(lab)/host.dat",
                    guests: ["g1", "g2"].map { SessionPaths.Guest(argument: "\(lab)/host-\($0).dat") })
            ) { folder in
                SessionPaths(
                    path: "\(folder)/trace.dat",
                    guests: ["g1", "g2"].map { SessionPaths.Guest(argument: "\(folder)/trace-\($0).dat") })
            }
        }
    }

    private func check(_ paths: SessionPaths, _ exported: (String) -> SessionPaths) throws {
        let parent = try TemporaryFolder()
        let folder = "\(parent.path)/out"
        let before = try Session(TraceDatInput(paths))
        let output = try TraceDatOutput(directory: folder, program: "test")
        for input in before.inputs {
            try output.take(input) { source, ticks, _ in before.hostTime(source, ticks) }
        }
        try output.finish()
        #expect(output.notices.isEmpty, "\(output.notices)")
        let after = try Session(TraceDatInput(exported(folder)))
        for name in try Files.list(folder) { try ChildProcess.run(["/bin/rm", "\(folder)/\(name)"]) }
        try ChildProcess.run(["/bin/rmdir", folder])

        #expect(after.names == before.names)
        #expect(after.clocks == before.clocks)
        #expect(after.machines == before.machines)
        #expect(after.tasks.keys == before.tasks.keys)
        for (source, tasks) in before.tasks {
            // Switches name more tasks than the files did, and newer names.
            #expect(Set(after.tasks[source, default: []].map(\.tid)).isSuperset(of: tasks.map(\.tid)))
        }
        #expect(after.events.keys == before.events.keys)
        for (key, events) in before.events {
            #expect(after.events[key]?.headers.map(\.ticks) == events.headers.map(\.ticks), "\(key)")
            #expect(after.events[key]?.records == events.records, "\(key)")
        }
        #expect(after.symbols.keys == before.symbols.keys)
        for (source, symbols) in before.symbols {
            #expect(try plain(after.symbols[source] ?? []) == plain(symbols), "\(source)")
        }
    }

    /// Decompressed, without a length in front.
    private func plain(_ symbols: [UInt8]) throws -> ArraySlice<UInt8> {
        let text = try #require(Codec(.zstd)).decompress(symbols.span.bytes, maximumBytes: 64 << 20)
        let length = text.prefix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
        return length == text.count - 4 ? text.dropFirst(4) : text[...]
    }

    @Test
    func `a sub-buffer of losses alone ends a recording whose last events were lost`() throws {
        var writer = SubBufferWriter(subBufferBytes: 4096, longSize: 8, byteOrder: .little)
        var batch = EventBatch(cpu: 0)
        batch.losses = [LossMark(index: 0, place: .ringBuffer, count: 12)]
        var pages: [UInt8] = []
        writer.append(batch, to: &pages)
        writer.finish(to: &pages)
        #expect(pages.count == 4096)
        // Bits 31 and 30 of commit, no data, and the number behind them.
        #expect(pages[8..<16] == [0, 0, 0, 0xc0, 0, 0, 0, 0])
        #expect(pages[16..<24] == [12, 0, 0, 0, 0, 0, 0, 0])
    }

    /// All that an input tells, gathered.
    private struct Session {
        struct Key: Hashable {
            var source: SourceID
            var cpu: Int
        }

        var inputs: [PipelineInput] = []
        var names: [String] = []
        var clocks: [SourceID: [ClockFacts]] = [:]
        var machines: [VMFacts] = []
        var tasks: [SourceID: [TaskNamesMessage.Task]] = [:]
        var events: [Key: EventBatch] = [:]
        var symbols: [SourceID: [UInt8]] = [:]

        init(_ input: some SessionInput) throws {
            while let next = try input.next() {
                inputs.append(next)
                switch next {
                case .record(.sourceOpened(let source, let facts, _, let tasks)):
                    names.append(facts.name)
                    self.tasks[source] = tasks.tasks
                case .record(.clock(let source, let facts)): clocks[source, default: []].append(facts)
                case .record(.machine(let facts)): machines.append(facts)
                case .record(.symbols(let source, let part)): symbols[source, default: []] += part
                case .batch(let source, let batch):
                    let key = Key(source: source, cpu: batch.cpu)
                    events[key, default: EventBatch(cpu: batch.cpu)].headers += batch.headers
                    events[key]?.records += batch.records
                default: break
                }
            }
        }

        /// Only asked for where no fact says more: an identity will do.
        func hostTime(_ source: SourceID, _ ticks: TraceTicks) -> HostTime? {
            HostTime(nanoseconds: Int64(clamping: ticks.rawValue))
        }
    }
}
